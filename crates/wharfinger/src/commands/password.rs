//! A new password: typed twice, or one line of standard input.

use std::io::{self, IsTerminal, Read};

use common::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest password that is read, in bytes.
const LONGEST: u64 = 4096;

/// The password, typed twice at a terminal.
pub(super) fn prompted() -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        let message = "cannot ask for the password: standard input is not a terminal";
        return Err(Failure::usage(message).hint("pipe the password in, with --password-stdin"));
    }
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Secret::from)
            .map_err(|error| {
                Failure::system("the password cannot be read from the terminal").caused_by(&error)
            })
    };
    let password = not_empty(ask("Password: ")?)?;
    let again = ask("Again: ")?;
    if password.expose() != again.expose() {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(password)
}

/// The password, one line of `input`; the line's end is not part of it.
pub(super) fn piped(input: impl Read) -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 << 13));
    input
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::system("standard input cannot be read").caused_by(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::usage(format!(
            "the password on standard input is longer than {LONGEST} bytes"
        )));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::usage("the password on standard input is not UTF-8, which is what clients send")
    })?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains(['\n', '\r']) {
        return Err(
            Failure::usage("there is more than one line on standard input")
                .hint("a password is one line; pass several one by one"),
        );
    }
    not_empty(Secret::from(line))
}

fn not_empty(password: Secret) -> Result<Secret, Failure> {
    if password.is_empty() {
        return Err(Failure::usage("the password is empty").hint(
            "if it comes from a variable or a file, that is empty, or not set in this environment",
        ));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<String, String> {
        piped(input)
            .map(|secret| secret.expose().to_owned())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn reads_one_line() {
        for input in [&b"sesame"[..], b"sesame\n", b"sesame\r\n"] {
            assert_eq!(read(input).as_deref(), Ok("sesame"));
        }
        assert_eq!(read(b" open sesame \n").as_deref(), Ok(" open sesame "));
        for (input, error) in [
            (&b""[..], "error: the password is empty\n"),
            (b"\n", "error: the password is empty\n"),
            (
                b"one\ntwo\n",
                "error: there is more than one line on standard input\n",
            ),
            (
                b"sesame\n\n",
                "error: there is more than one line on standard input\n",
            ),
            (
                b"\xff\n",
                "error: the password on standard input is not UTF-8, which is what clients send\n",
            ),
            (
                &[b'x'; 5000],
                "error: the password on standard input is longer than 4096 bytes\n",
            ),
        ] {
            assert!(read(input).unwrap_err().starts_with(error), "{input:?}");
        }
    }
}
