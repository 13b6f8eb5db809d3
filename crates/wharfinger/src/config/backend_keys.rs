//! Keys that several backends have, read in one way.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use identity::tls::ClientTls;

use super::schema::key;
use super::section::{Located, Section};

/// How many questions a backend is asked at once, if the file does not say it.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// `concurrency`, of which `meaning` says what is counted.
pub(super) fn concurrency(section: &mut Section<'_>, meaning: &'static str) -> NonZeroUsize {
    section.get(
        key::count("concurrency", 1024)
            .means(meaning)
            .default(DEFAULT_CONCURRENCY),
    )
}

/// `ca_certificate` of a server that is asked over https.
pub(super) fn authorities<'a>(section: &mut Section<'a>) -> Option<Located<'a, PathBuf>> {
    section.locate(
        key::path("ca_certificate")
            .means(
                "PEM: only servers with one of these certificates, or one that they signed, are \
                 trusted",
            )
            .otherwise("the system's authorities"),
    )
}

/// The TLS of a client that trusts `authorities`. `None` if their file cannot be used, which is
/// reported.
pub(super) fn trusting(authorities: Option<&Located<'_, PathBuf>>) -> Option<ClientTls> {
    let Some(file) = authorities else {
        return Some(ClientTls::default());
    };
    let trusting = ClientTls::default().trusting(&file.read()?);
    file.setting.checked_file(&file.value, trusting)
}
