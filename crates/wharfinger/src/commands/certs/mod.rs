//! `wharfinger certs`: certificates for TLS and for a registry's `rootcertbundle`.

pub(super) mod acme;
pub(super) mod authority;
pub(super) mod names;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use common::{Clock, SystemClock, SystemEntropy, parse_duration};
use token::{Certificate, CertificateRequest, PrivateKey};

use crate::commands::key_file;
use crate::commands::keys::NewKey;
use crate::failure::Failure;
use crate::files::{self, FileMode};
use crate::output;
use authority::Authority;

/// How long before now a certificate begins, for machines whose clocks are behind.
const HEADROOM: Duration = Duration::from_secs(3600);

/// Create certificates for TLS and for signing tokens, and show those of an ACME server
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
    #[command(subcommand)]
    Acme(acme::Command),
}

/// Create a key and its certificate, self-signed or signed by an authority
///
/// Use it for a TLS server with the given names, or to sign tokens for a registry that has the
/// certificate in auth.token.rootcertbundle. It overwrites no file.
#[derive(Debug, Args)]
struct New {
    /// A host name in the certificate; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// An IP address in the certificate; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<std::net::IpAddr>,
    /// The files to write: NAME.pem and NAME.key. Default: the first host name.
    #[arg(long, value_name = "NAME")]
    out: Option<PathBuf>,
    /// How long it is valid.
    #[arg(long, value_name = "TIME", default_value = "365d", value_parser = parse_duration)]
    valid: Duration,
    /// Use this private key instead of creating one.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["algorithm", "bits"])]
    key: Option<PathBuf>,
    #[command(flatten)]
    new_key: NewKey,
    #[command(flatten)]
    authority: authority::Arguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Command::New(arguments) => create(arguments),
        Command::Acme(command) => acme::run(command),
    }
}

fn create(arguments: &New) -> Result<ExitCode, Failure> {
    let names = names::Names::new(&arguments.host, &arguments.ip)?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(names.file_name()));
    let (pem, key_path) = (with_extension(&out, "pem"), with_extension(&out, "key"));
    files::must_be_new(&pem)?;
    let key = match &arguments.key {
        Some(path) => key_file::private(path)?,
        None => {
            files::must_be_new(&key_path)?;
            arguments.new_key.generate()?
        }
    };
    let validity = validity(arguments.valid)?;
    let request = request(names, validity, false);
    let authority = arguments.authority.find(validity.0)?;
    let certificate = certify(&request, &key, authority.as_ref())?;
    if arguments.key.is_none() {
        write_key(&key_path, &key)?;
    }
    files::write_new(&pem, certificate.to_pem().as_bytes(), FileMode::Public)?;
    output::print(&report(
        arguments,
        &pem,
        &key_path,
        &certificate,
        authority.as_ref(),
    ))?;
    if let Some(warning) = arguments.new_key.warning() {
        output::note(format_args!("warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn certify(
    request: &CertificateRequest,
    key: &PrivateKey,
    authority: Option<&Authority>,
) -> Result<Certificate, Failure> {
    let made = match authority {
        Some(authority) => {
            request.signed_by(key, &authority.certificate, &authority.key, &SystemEntropy)
        }
        None => request.self_signed(key, &SystemEntropy),
    };
    made.map_err(|error| Failure::usage("no certificate was made").caused_by(&error))
}

fn request(
    names: names::Names,
    (not_before, not_after): (SystemTime, SystemTime),
    authority: bool,
) -> CertificateRequest {
    let common_name = names.common_name();
    let names::Names { hosts, addresses } = names;
    CertificateRequest {
        common_name,
        hosts,
        addresses,
        not_before,
        not_after,
        authority,
    }
}

fn validity(length: Duration) -> Result<(SystemTime, SystemTime), Failure> {
    // A certificate cannot hold a year beyond 9999 (RFC 5280 §4.1.2.5).
    const LONGEST: Duration = Duration::from_secs(1000 * 365 * 86_400);
    if length.is_zero() || length > LONGEST {
        return Err(
            Failure::usage("a certificate is valid for a second to a thousand years")
                .hint("--valid 365d"),
        );
    }
    let now = SystemClock.now();
    Ok((now - HEADROOM, now + length))
}

fn write_key(path: &Path, key: &PrivateKey) -> Result<(), Failure> {
    let pem = key
        .to_pkcs8_pem()
        .map_err(|error| Failure::system("the key cannot be written").caused_by(&error))?;
    files::write_new(path, pem.as_bytes(), FileMode::Private)
}

/// `NAME.extension`; a dot in the name is a part of it.
fn with_extension(name: &Path, extension: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

fn report(
    arguments: &New,
    pem: &Path,
    key: &Path,
    certificate: &Certificate,
    authority: Option<&Authority>,
) -> String {
    let end = common::rfc3339(common::unix_seconds(certificate.not_after()));
    let mut lines = Vec::new();
    if arguments.key.is_none() {
        lines.push(format!("{}: the private key", key.display()));
    }
    lines.push(format!(
        "{}: the certificate for {}, valid until {end}",
        pem.display(),
        certificate.names().join(", ")
    ));
    match authority {
        None => {
            let own = "  signed by its own key; clients trust it as their CA, registries in rootcertbundle";
            lines.push(own.to_owned());
        }
        Some(authority) => {
            lines.push(format!("  signed by {}", authority.certificate.subject()));
            if let Some(made) = &authority.made {
                lines.push(format!(
                    "{}: the authority, which clients trust as their CA",
                    made.display()
                ));
            }
            // The trap of bundles: a registry knows the keys of the certificates in it, not of
            // those below them.
            lines.push(format!(
                "  in rootcertbundle: {} for tokens with kid or jwk; the authority is enough for x5c",
                pem.display()
            ));
        }
    }
    lines.join("\n") + "\n"
}
