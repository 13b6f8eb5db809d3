//! How a condition is written: a regular expression between slashes, otherwise a glob.

/// How large a regular expression of a configuration may become, in bytes.
pub(crate) const SIZE_LIMIT: usize = 64 << 20;

/// Whether `text` is a regular expression, not a glob: `//` and `/` are globs.
pub(crate) fn is_regex(text: &str) -> bool {
    regex_in(text).is_some_and(|inner| !inner.is_empty())
}

/// What stands between the slashes of a regular expression, or of `//`.
pub(crate) fn regex_in(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/')
}
