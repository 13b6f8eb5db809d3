//! `wharfinger keys`: making keys, and what others need to know of them.

mod jwks;
mod new;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use token::{KeyKind, PrivateKey};

use crate::failure::Failure;

/// Create and show the keys that sign tokens
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Arguments),
    Show(show::Arguments),
    Jwks(jwks::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::New(arguments) => new::run(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Jwks(arguments) => jwks::run(arguments),
    }
}

/// The kind of key to create.
#[derive(Debug, Args)]
pub(crate) struct NewKey {
    /// The signature algorithm.
    #[arg(long, value_name = "NAME", default_value = "ES256", ignore_case = true)]
    algorithm: NewAlgorithm,
    /// Size of an RSA key: 2048 (the default), 3072 or 4096.
    #[arg(long, value_name = "N")]
    bits: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NewAlgorithm {
    #[value(name = "ES256")]
    Es256,
    #[value(name = "ES384")]
    Es384,
    #[value(name = "ES512")]
    Es512,
    #[value(name = "RS256")]
    Rs256,
    #[value(name = "EdDSA")]
    EdDsa,
}

impl NewKey {
    /// Creates the key.
    pub(crate) fn generate(&self) -> Result<PrivateKey, Failure> {
        let kind = match self.algorithm {
            NewAlgorithm::Es256 => KeyKind::P256,
            NewAlgorithm::Es384 => KeyKind::P384,
            NewAlgorithm::Es512 => KeyKind::P521,
            NewAlgorithm::Rs256 => KeyKind::Rsa {
                bits: self.bits.unwrap_or(2048),
            },
            NewAlgorithm::EdDsa => KeyKind::Ed25519,
        };
        if self.bits.is_some() && self.algorithm != NewAlgorithm::Rs256 {
            return Err(Failure::usage("--bits is for RSA keys only").hint("add --algorithm RS256"));
        }
        PrivateKey::generate(kind)
            .map_err(|error| Failure::usage("no key was made").caused_by(&error))
    }

    /// A warning about such a key, if there is one.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        (self.algorithm == NewAlgorithm::EdDsa)
            .then_some("registry 2.8 does not start with an Ed25519 key, and registry 3.0 finds it only in a JWKS")
    }
}
