//! What commands print. All text for people passes through here, and is made safe here: it may hold
//! what another machine wrote, such as a registry's error or a tag.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

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

/// Standard output for content of any length, like [`print_bytes`].
pub(crate) fn content_output() -> Box<dyn Write> {
    let output = io::stdout();
    if output.is_terminal() {
        Box::new(EscapingWriter(output))
    } else {
        Box::new(output)
    }
}

/// Escapes what a terminal would obey.
struct EscapingWriter<W>(W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(escape_lines(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
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
    write(json(value).as_bytes())
}

/// The text of JSON, laid out for people. It stays JSON when it is printed: a character that
/// [`print`] would escape is escaped as JSON has it.
pub(crate) fn json(value: &serde_json::Value) -> String {
    escape_json(&format!("{value:#}\n")).into_owned()
}

/// Writes `line` to standard error. If that cannot be written, the line is lost.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", escape_lines(&line.to_string()));
}

/// Writes what is wrong with a command line to standard error, or help to standard output. The words
/// of the command line may come from elsewhere: a script passes on the tags that it found.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        note(error.render().to_string().trim_end());
    } else {
        // If help cannot be written, no message can be.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_for_a_terminal_is_escaped() {
        let mut output = EscapingWriter(Vec::new());
        output
            .write_all(b"{\n\"a\": \"\x1b]0;x\x07\xff\"}\n")
            .unwrap();
        let written = String::from_utf8(output.0).unwrap();
        assert_eq!(written, "{\n\"a\": \"\\u{1b}]0;x\\u{7}\u{fffd}\"}\n");
    }
}
