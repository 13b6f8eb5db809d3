//! The arguments of a new secret.

use std::time::Duration;

use clap::Args;
use common::{IpNetwork, parse_duration};
use personal_tokens::{Rotation, parse_ceiling};
use policy::ScopeCeiling;

use crate::failure::Failure;

/// The most that the secret may do, and from where.
#[derive(Debug, Args)]
pub(crate) struct CeilingArguments {
    /// What it may do, as repository:team/*:pull,push: type, name and actions, with the patterns of
    /// acl; may be repeated.
    #[arg(
        long = "scope",
        value_name = "TYPE:NAME:ACTIONS",
        required_unless_present = "unlimited"
    )]
    scopes: Vec<String>,
    /// All that its owner may do.
    #[arg(long, conflicts_with = "scopes")]
    unlimited: bool,
    /// Where it may be used from, as 10.0.0.0/8; may be repeated. Default: everywhere.
    #[arg(long = "network", value_name = "NETWORK")]
    pub(in crate::commands) networks: Vec<IpNetwork>,
}

/// How long a new secret lasts, and how it is printed.
#[derive(Debug, Args)]
pub(crate) struct SecretArguments {
    /// How long the secret is valid, as 30d. Default: personal_tokens.ttl, or as long as the one that
    /// it replaces.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(in crate::commands) ttl: Option<Duration>,
    /// The registry in the printed lines, as registry.example.com. Default: the host of
    /// server.public_url.
    #[arg(long, value_name = "HOST")]
    pub(super) registry: Option<String>,
    /// Print a JSON object: {id, account, name, secret, expires_at}.
    #[arg(long)]
    pub(in crate::commands) json: bool,
}

/// How a secret is replaced.
#[derive(Debug, Args)]
pub(crate) struct RotationArguments {
    /// How long the old secret stays valid, as 1h. Default: it ends at once.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", hide_default_value = true)]
    overlap: Duration,
    #[command(flatten)]
    pub(in crate::commands) secret: SecretArguments,
}

impl CeilingArguments {
    pub(in crate::commands) fn ceiling(&self) -> Result<ScopeCeiling, Failure> {
        if self.unlimited {
            return Ok(ScopeCeiling::Unlimited);
        }
        parse_ceiling(&self.scopes).map_err(|error| {
            Failure::usage("a scope cannot be read")
                .caused_by(&error)
                .hint("write it as --scope 'repository:team/*:pull,push'")
        })
    }
}

impl RotationArguments {
    pub(in crate::commands) fn rotation(&self) -> Rotation {
        Rotation {
            overlap: self.overlap,
            lifetime: self.secret.ttl,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
