//! What commands print. All text for people passes through here, and is made safe here: it may hold
//! what a stranger wrote, such as a registry's error or a tag.

use std::io::{self, ErrorKind, IsTerminal, Write};

use common::{escape_json, escape_line, escape_lines};

use crate::failure::Failure;

/// Writes `text` to standard output. A reader that closes the pipe early (`| head`) has seen enough:
/// that is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write(escape_lines(text).as_bytes())
}

/// Writes content to standard output, byte for byte; safe characters only if that is a terminal.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        print(&String::from_utf8_lossy(bytes))
    } else {
        write(bytes)
    }
}

/// [`print`], one item a line.
pub(crate) fn print_lines<T: std::fmt::Display>(
    lines: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    let lines = lines.into_iter().map(|line| format!("{line}\n"));
    print(&lines.collect::<String>())
}

/// [`print_lines`] of names that others chose: line ends in them are escaped, too.
pub(crate) fn print_names<T: AsRef<str>>(
    names: impl IntoIterator<Item = T>,
) -> Result<(), Failure> {
    let lines = names
        .into_iter()
        .map(|name| format!("{}\n", escape_line(name.as_ref())));
    print(&lines.collect::<String>())
}

/// [`print`] of JSON, laid out for people.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    write(escape_json(&format!("{value:#}\n")).as_bytes())
}

/// Writes `line` to standard error. If nobody reads that, the line is lost.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", escape_lines(&line.to_string()));
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::system("cannot write to standard output").caused_by(&error))
        }
        _ => Ok(()),
    }
}
