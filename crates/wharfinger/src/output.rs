//! What commands print: to the end or with a word, and never with a panic.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes `text` to standard output, as it is. Who reads it through a pipe may have seen enough (`|
/// head`): that is no failure; a full disk is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// [`print`], of what need not be text.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::system("cannot write to standard output").caused_by(&error))
        }
        _ => Ok(()),
    }
}

/// [`print`], one thing a line.
pub(crate) fn print_lines<T: std::fmt::Display>(
    lines: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    print(
        &lines
            .into_iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

/// [`print_lines`] of what strangers named: what a terminal would obey is written out (`\u{1b}`).
pub(crate) fn print_names<T: AsRef<str>>(
    names: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    print_lines(names.into_iter().map(|name| {
        let shown = |c: char| {
            if c.is_control() {
                c.escape_unicode().to_string()
            } else {
                c.to_string()
            }
        };
        name.as_ref().chars().map(shown).collect::<String>()
    }))
}

/// [`print`], of JSON, laid out for people who look at it.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// Writes `line` to standard error. It is for people: where it cannot be written, nobody is there
/// to miss it.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
