//! `wharfinger keys show`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use token::{Algorithm, unix_seconds};

use crate::commands::key_file::{self, Found};
use crate::failure::Failure;

/// Shows the keys in a file (private or public key, certificates, JWK, JWKS): kind, size, ids, and the public key as JWK.
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
    if arguments.json {
        println!("{:#}", found.iter().map(to_json).collect::<Value>());
    } else {
        for key in &found {
            print_key(key);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_key(found: &Found) {
    let ids = found.key.ids();
    println!("{}: {}, signs with {}", found.form, found.key.kind(), Algorithm::of(found.key.kind()));
    if let Some(certificate) = &found.certificate {
        let [from, to] =
            [certificate.not_before(), certificate.not_after()].map(|time| token::rfc3339(unix_seconds(time)));
        println!("  subject       {}", certificate.subject());
        println!("  names         {}", certificate.names().join(", "));
        println!("  valid         {from} to {to}");
    }
    if let Some(kid) = &found.key_id {
        println!("  kid           {kid}");
    }
    println!("  libtrust id   {}", ids.libtrust);
    println!("  thumbprint    {}", ids.thumbprint);
    // Where a registry counts differently, its operator needs to know.
    match &ids.registry_3_0 {
        Some(id) if *id != ids.thumbprint => println!("  registry 3.0  {id}"),
        Some(_) => {}
        None => println!("  registry 3.0  none"),
    }
    if ids.registry_3_1 != ids.thumbprint {
        println!("  registry 3.1  {}", ids.registry_3_1);
    }
    println!("  JWK           {}", serde_json::to_string(&found.key.jwk()).unwrap_or_default());
}

fn to_json(found: &Found) -> Value {
    let ids = found.key.ids();
    let certificate = found.certificate.as_ref().map(|certificate| {
        json!({
            "subject": certificate.subject(),
            "issuer": certificate.issuer(),
            "names": certificate.names(),
            "not_before": token::rfc3339(unix_seconds(certificate.not_before())),
            "not_after": token::rfc3339(unix_seconds(certificate.not_after())),
        })
    });
    json!({
        "form": found.form,
        "kind": found.key.kind().to_string(),
        "algorithm": Algorithm::of(found.key.kind()).name(),
        "kid": found.key_id,
        "libtrust": ids.libtrust,
        "thumbprint": ids.thumbprint,
        "registry_3_0": ids.registry_3_0,
        "registry_3_1": ids.registry_3_1,
        "certificate": certificate,
        "jwk": found.key.jwk(),
    })
}
