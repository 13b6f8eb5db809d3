//! One file per command. Each has its arguments (a `clap` struct, whose doc comments are its help) and
//! `run(arguments) -> Result<ExitCode, Failure>`.
