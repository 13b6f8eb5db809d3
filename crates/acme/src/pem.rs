//! PEM (RFC 7468) with a line of text before it.

use std::fmt::Write;

use data_encoding::BASE64;

/// What stands before the URL of the directory in the first line of a certificate's file.
const DIRECTORY: &str = "Directory: ";

/// One object in PEM.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let base64 = BASE64.encode(der);
    for start in (0..base64.len()).step_by(64) {
        let line = &base64[start..base64.len().min(start + 64)];
        // A `String` takes everything.
        let _ = writeln!(text, "{line}");
    }
    text + &format!("-----END {label}-----\n")
}

/// A certificate's file: where it is from, its private key, its chain. Text before the first object
/// is not read by others (RFC 7468 §2).
pub(crate) fn certificate_file(directory: &str, key: &str, chain: &str) -> String {
    format!("{DIRECTORY}{directory}\n{key}{chain}")
}

/// The directory that [`certificate_file`] wrote.
pub(crate) fn directory(pem: &[u8]) -> Option<String> {
    let line = pem.split(|byte| *byte == b'\n').next()?;
    let url = line.strip_prefix(DIRECTORY.as_bytes())?;
    String::from_utf8(url.to_vec()).ok()
}
