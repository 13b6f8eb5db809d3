//! Rules for the source that neither compiler nor clippy knows: which crate may use which, circles
//! of modules, names with two meanings, words to avoid, dependencies. See `tests/it`.
