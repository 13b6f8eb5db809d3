//! What commands print: to the end or with a word, and never with a panic.

use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes `text` to standard output, as it is. Who reads it through a pipe may have seen enough (`| head`): that is no
/// failure; a full disk is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::trouble("cannot write to standard output").caused_by(&error))
        }
        _ => Ok(()),
    }
}

/// Writes `line` to standard error. It is for people: where it cannot be written, nobody is there to miss it.
pub(crate) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
