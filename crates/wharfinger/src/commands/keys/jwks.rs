//! `wharfinger keys jwks`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use token::{Jwk, JwkSet, KeyIdKind, PublicKey};

use crate::commands::key_file;
use crate::failure::Failure;
use crate::output;

/// Print keys as a JWKS for registry 3 (auth.token.jwks); of private keys, only the public half
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// PEM (private or public keys, certificates) or JSON (JWK, JWKS).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The ID (kid) of each key. With both, the set has each key twice, once under each ID.
    #[arg(long, value_name = "KIND", default_value = "both")]
    kid: Kid,
    /// Use this ID instead, for a single key.
    #[arg(long, value_name = "ID", conflicts_with = "kid")]
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kid {
    Libtrust,
    Thumbprint,
    Both,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for file in &arguments.files {
        for found in key_file::all(file)? {
            // A key and its certificate are one key.
            if !keys.contains(&found.key) {
                keys.push(found.key);
            }
        }
    }
    let set: JwkSet = match &arguments.name {
        Some(name) => [named(&keys, name)?].into_iter().collect(),
        None => keys
            .iter()
            .flat_map(|key| with_ids(key, arguments.kid))
            .collect(),
    };
    output::print_json(&serde_json::to_value(&set).unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

fn named(keys: &[PublicKey], name: &str) -> Result<Jwk, Failure> {
    match keys {
        [key] => Ok(Jwk {
            key_id: Some(name.to_owned()),
            ..key.jwk().published()
        }),
        _ => Err(Failure::usage(format!(
            "--name is for one key, and there are {}",
            keys.len()
        ))
        .hint("give one file with one key, or choose the ids with --kid")),
    }
}

fn with_ids(key: &PublicKey, kid: Kid) -> Vec<Jwk> {
    let kinds: &[KeyIdKind] = match kid {
        Kid::Libtrust => &[KeyIdKind::Libtrust],
        Kid::Thumbprint => &[KeyIdKind::Thumbprint],
        Kid::Both => &[KeyIdKind::Libtrust, KeyIdKind::Thumbprint],
    };
    kinds
        .iter()
        .map(|kind| key.jwk().published().with_id(*kind))
        .collect()
}
