//! `wharfinger keys show`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use common::unix_seconds;
use serde_json::{Value, json};
use token::SignatureAlgorithm;

use crate::commands::key_file::{self, FileKey};
use crate::failure::Failure;
use crate::output;

/// Show the keys in a file: kind, size, IDs, and the public key as JWK
///
/// The file may hold a private or public key, certificates, a JWK or a JWKS.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// PEM or JSON.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let found = key_file::all(&arguments.file)?;
    output::print(&if arguments.json {
        output::json(&found.iter().map(to_json).collect())
    } else {
        found.iter().map(text).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text(found: &FileKey) -> String {
    let ids = found.key.ids();
    let (kind, algorithm) = (found.key.kind(), SignatureAlgorithm::of(found.key.kind()));
    let mut text = format!("{}: {kind}, signs with {algorithm}\n", found.form);
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<13} {value}");
    };
    if let Some(certificate) = &found.certificate {
        let [from, to] = [certificate.not_before(), certificate.not_after()]
            .map(|time| common::rfc3339(unix_seconds(time)));
        line("subject", certificate.subject());
        line("names", &certificate.names().join(", "));
        line("valid", &format!("{from} to {to}"));
    }
    if let Some(kid) = &found.key_id {
        line("kid", kid);
    }
    line("libtrust id", &ids.libtrust);
    line("thumbprint", &ids.thumbprint);
    // Where a registry counts differently, its operator needs to know.
    match &ids.registry_3_0 {
        Some(id) if *id != ids.thumbprint => line("registry 3.0", id),
        Some(_) => {}
        None => line("registry 3.0", "none"),
    }
    if ids.registry_3_1 != ids.thumbprint {
        line("registry 3.1", &ids.registry_3_1);
    }
    line(
        "JWK",
        &serde_json::to_string(&found.key.jwk()).unwrap_or_default(),
    );
    text
}

fn to_json(found: &FileKey) -> Value {
    let ids = found.key.ids();
    let certificate = found.certificate.as_ref().map(|certificate| {
        json!({
            "subject": certificate.subject(),
            "issuer": certificate.issuer(),
            "names": certificate.names(),
            "not_before": common::rfc3339(unix_seconds(certificate.not_before())),
            "not_after": common::rfc3339(unix_seconds(certificate.not_after())),
        })
    });
    json!({
        "form": found.form,
        "kind": found.key.kind().to_string(),
        "algorithm": SignatureAlgorithm::of(found.key.kind()).name(),
        "kid": found.key_id,
        "libtrust": ids.libtrust,
        "thumbprint": ids.thumbprint,
        "registry_3_0": ids.registry_3_0,
        "registry_3_1": ids.registry_3_1,
        "certificate": certificate,
        "jwk": found.key.jwk(),
    })
}
