//! Passwords: typed or piped in, never an argument.

use std::io::{self, IsTerminal, Read};

use common::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The longest secret that is read, in bytes: personal tokens of some providers are long.
const LONGEST: u64 = 64 * 1024;

/// A password: from standard input if `from_stdin`, else typed at `prompt`.
pub(crate) fn password(from_stdin: bool, prompt: &str) -> Result<Secret, Failure> {
    let password = if from_stdin {
        piped(io::stdin().lock())?
    } else if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(prompt);
        typed.map(Secret::from).map_err(|error| {
            Failure::system("cannot read the password from the terminal").caused_by(&error)
        })?
    } else {
        return Err(Failure::usage(
            "cannot ask for the password: standard input is not a terminal",
        )
        .hint("pipe the password in, with --password-stdin"));
    };
    if password.is_empty() {
        Err(Failure::usage("the password is empty"))
    } else {
        Ok(password)
    }
}

/// All of `input`, without the end of the last line.
fn piped(input: impl Read) -> Result<Secret, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    let read = input.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::system("cannot read standard input").caused_by(&error))?;
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::usage(format!(
            "the password on standard input is longer than {LONGEST} bytes"
        )));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::usage("the password on standard input is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::from(text.strip_suffix('\r').unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_line_is_not_part_of_the_password() {
        let read = |input: &[u8]| {
            piped(input)
                .map(|secret| secret.expose().to_owned())
                .map_err(|f| f.to_string())
        };
        assert_eq!(read(b"sesame\n").as_deref(), Ok("sesame"));
        assert_eq!(read(b"ses ame\r\n").as_deref(), Ok("ses ame"));
        assert_eq!(
            read(b"two\nlines").as_deref(),
            Ok("two\nlines"),
            "a JSON key of a cloud has several"
        );
        assert!(read(b"\xff").unwrap_err().contains("is not UTF-8"));
        assert!(
            read(&vec![b'x'; 70_000])
                .unwrap_err()
                .contains("longer than 65536 bytes")
        );
    }
}
