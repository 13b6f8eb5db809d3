//! PEM (RFC 7468), read as the tools of the field write it: any number of blocks, text between
//! them, the old headers of encrypted keys.
//!
//! By hand because an error has to name the line: people edit these files.

use std::iter::Peekable;

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// One `-----BEGIN label-----` block.
pub(crate) struct Block {
    pub(crate) label: String,
    /// The old openssl header that says that the block is encrypted (RFC 1421 §4.6.1.1).
    pub(crate) encrypted: bool,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// A block that is begun but cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No end line.
    #[error(
        "line {line}: the PEM block {label:?} has no \"-----END {label}-----\"; was the file cut off?"
    )]
    Unfinished {
        /// What the block says it is.
        label: String,
        /// Where it begins, counted from 1.
        line: usize,
    },
    /// What is between begin and end is not base64.
    #[error("line {line}: the PEM block {label:?} is not base64")]
    Base64 {
        /// What the block says it is.
        label: String,
        /// Where it begins, counted from 1.
        line: usize,
    },
}

/// All blocks of `text`, in its order.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, PemError> {
    each_block(text).collect()
}

/// Each block of `text`, also behind one that cannot be read.
pub(crate) fn each_block(text: &str) -> impl Iterator<Item = Result<Block, PemError>> {
    let mut lines = text.lines().map(str::trim).enumerate().peekable();
    std::iter::from_fn(move || {
        loop {
            let (index, line) = lines.next()?;
            if let Some(label) = between(line, "-----BEGIN ") {
                return Some(block(label, index + 1, &mut lines));
            }
        }
    })
}

/// `bytes` as a block, in lines of 64 characters.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(BASE64.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(
        base64.len() * 66 / 64 + 2 * label.len() + 64,
    ));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn block<'a>(
    label: &str,
    line: usize,
    lines: &mut Peekable<impl Iterator<Item = (usize, &'a str)>>,
) -> Result<Block, PemError> {
    let mut base64 = Zeroizing::new(String::new());
    let mut encrypted = false;
    while let Some((_, text)) = lines.next_if(|(_, text)| !text.starts_with("-----BEGIN ")) {
        if between(text, "-----END ") == Some(label) {
            let der = BASE64.decode(base64.as_bytes());
            let der = der.map_err(|_| PemError::Base64 {
                label: label.to_owned(),
                line,
            })?;
            return Ok(Block {
                label: label.to_owned(),
                encrypted,
                der: Zeroizing::new(der),
            });
        }
        match text.split_once(':') {
            Some(("Proc-Type", value)) => encrypted = value.contains("ENCRYPTED"),
            Some(_) => {}
            None => base64.push_str(text),
        }
    }
    Err(PemError::Unfinished {
        label: label.to_owned(),
        line,
    })
}

fn between<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.strip_prefix(prefix)?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn says_where_a_block_is_broken() {
        let unfinished = |text| blocks(text).err();
        let cut = PemError::Unfinished {
            label: "CERTIFICATE".into(),
            line: 2,
        };
        assert_eq!(
            unfinished("subject=x\n-----BEGIN CERTIFICATE-----\nAAAA\n"),
            Some(cut.clone())
        );
        let next = "\n-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        assert_eq!(unfinished(next), Some(cut));
        let after_it: Vec<_> = each_block(next).map(|block| block.is_ok()).collect();
        assert_eq!(after_it, [false, true]);
        let base64 = PemError::Base64 {
            label: "X".into(),
            line: 1,
        };
        assert_eq!(
            unfinished("-----BEGIN X-----\nA*AA\n-----END X-----"),
            Some(base64)
        );
    }

    #[test]
    fn skips_text_between_and_notices_encryption() {
        let text = "Bag Attributes\r\n-----BEGIN A B-----\r\nAAA=\r\n-----END A B-----\r\nkey:\n-----BEGIN C-----\n\
                    Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END C-----\n";
        let found: Vec<_> = blocks(text)
            .unwrap()
            .into_iter()
            .map(|b| (b.label, b.encrypted, b.der.to_vec()))
            .collect();
        assert_eq!(
            found,
            [
                ("A B".into(), false, vec![0, 0]),
                ("C".into(), true, vec![1, 2, 3])
            ]
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let read = blocks(&encode("PRIVATE KEY", &bytes)).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&read[0].der[..], &bytes[..]);
        }

        #[test]
        fn no_text_is_a_surprise(text in "(-----(BEGIN|END) [A-Z]{0,2}-----|[A-Za-z0-9+/=: ]{0,8}|\n){0,12}") {
            let _ = blocks(&text);
        }
    }
}
