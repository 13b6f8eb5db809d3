//! `wharfinger inspect`: what a token says, and whether registries accept it.

mod human;
mod input;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use common::{Clock, SystemClock};
use compatibility::{RegistryVersion, TokenAuthSettings};
use token::{Certificate, JwkSet};

use crate::commands::key_file;
use crate::failure::Failure;
use crate::files;
use crate::output;
use crate::when::TimeArgument;
use report::Report;

/// Show what a token says; with a registry's keys, predict whether registry 2.8 and 3 accept it
///
/// Without --certificate or --jwks the signature is not verified, so the token may say anything. The
/// exit code is 1 if it is not a token, if --issuer or --service differ from it, or if no registry
/// accepts it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The token, also as `Bearer …` or as the JSON of a token endpoint; - reads standard input.
    token: String,
    /// The registry's rootcertbundle, PEM.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The registry's jwks: a file, or the address where a token server publishes it.
    #[arg(long, value_name = "FILE|URL")]
    jwks: Option<String>,
    /// The registry's auth.token.issuer, to compare with the token's.
    #[arg(long)]
    issuer: Option<String>,
    /// The registry's auth.token.service, to compare with the token's.
    #[arg(long)]
    service: Option<String>,
    /// Predict for this version only; may be repeated.
    #[arg(long, value_name = "VERSION")]
    registry: Vec<Version>,
    /// The time to check against: now-10s, now+1h, 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", default_value = "now", value_parser = TimeArgument::parse)]
    at: TimeArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// [`RegistryVersion`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    #[value(name = "2.8")]
    V2_8,
    #[value(name = "3.0")]
    V3_0,
    #[value(name = "3.1")]
    V3_1,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let token = input::token(&arguments.token)?;
    let bundle = arguments
        .certificate
        .as_deref()
        .map(key_file::certificates)
        .transpose()?
        .unwrap_or_default();
    let jwks = arguments.jwks.as_deref().map(key_set).transpose()?;
    let now = arguments.at.resolve(SystemClock.now());
    let now = now.ok_or_else(|| Failure::usage("--at is out of range"))?;
    let trust = trust(arguments, &bundle, jwks.as_ref());
    let report = Report::new(&token, trust, &registries(&arguments.registry), now)?;
    output::print(&if arguments.json {
        output::json(&report.to_json())
    } else {
        human::text(&report)
    })?;
    Ok(
        if report.is_refused_by_all() || !report.mismatches.is_empty() {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        },
    )
}

fn trust<'a>(
    arguments: &'a Arguments,
    bundle: &'a [Certificate],
    jwks: Option<&'a JwkSet>,
) -> TokenAuthSettings<'a> {
    TokenAuthSettings {
        bundle,
        jwks,
        issuer: arguments.issuer.as_deref(),
        service: arguments.service.as_deref(),
    }
}

fn registries(chosen: &[Version]) -> Vec<RegistryVersion> {
    let chosen = chosen.iter().map(|version| match version {
        Version::V2_8 => RegistryVersion::V2_8,
        Version::V3_0 => RegistryVersion::V3_0,
        Version::V3_1 => RegistryVersion::V3_1,
    });
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        RegistryVersion::ALL.to_vec()
    } else {
        chosen
    }
}

fn fetched(url: &str) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    runtime.block_on(crate::fetch::key_set(url))
}

fn key_set(place: &str) -> Result<JwkSet, Failure> {
    let is_address = place.starts_with("http://") || place.starts_with("https://");
    let text = if is_address {
        fetched(place)?
    } else {
        files::read(Path::new(place))?.to_string()
    };
    JwkSet::from_json(&text).map_err(|error| {
        let failure = Failure::usage(format!("{place} is not a JWKS")).caused_by(&error);
        failure.hint("wharfinger keys jwks KEY makes one; token servers publish theirs at /.well-known/jwks.json")
    })
}
