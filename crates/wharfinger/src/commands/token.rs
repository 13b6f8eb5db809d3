//! `wharfinger token`: one token, for scripts and tries.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::TokenResponse;
use clap::{Args, ValueEnum};
use common::{Clock, SystemClock, SystemEntropy, parse_duration, unix_seconds};
use token::{Access, Claims, HeaderOptions, PrivateKey, Scope, Signer};

use crate::commands::key_file;
use crate::failure::Failure;
use crate::output;
use crate::when::TimeArgument;

/// Sign a token and print it
///
/// On a terminal, a newline follows it. Flags may have one dash or two.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Private key file, PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The issuer: the registry's auth.token.issuer.
    #[arg(long, default_value = "distribution-token-server")]
    issuer: String,
    /// The audience: the registry's auth.token.service.
    #[arg(long, num_args = 0..=1, default_value = "", default_missing_value = "", hide_default_value = true)]
    service: String,
    /// The access to grant, as type:name:action,… ; may be repeated, or hold several with spaces.
    #[arg(long, num_args = 0..)]
    scope: Vec<String>,
    /// The user; default: anonymous.
    #[arg(long, num_args = 0..=1, default_value = "", default_missing_value = "", hide_default_value = true)]
    username: String,
    /// The lifetime: 300, 5m, 24h, 30d.
    #[arg(long, value_name = "TIME", default_value = "300", value_parser = parse_duration)]
    expires: Duration,
    /// The time from which it is valid: now-10s, now+1h, 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", default_value = "now", value_parser = TimeArgument::parse)]
    not_before: TimeArgument,
    /// The header members that name the key: kid, jwk, x5c; several with commas.
    #[arg(
        long,
        value_name = "MEMBER",
        default_value = "jwk",
        value_delimiter = ','
    )]
    header: Vec<HeaderMember>,
    /// The key's ID in kid or jwk: libtrust (registry 2) or thumbprint (registry 3).
    #[arg(long, value_name = "KIND", default_value = "libtrust")]
    key_id: KeyIdKind,
    /// The key's certificate with its chain, PEM; for --header x5c.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Print the JSON that a token endpoint would respond with.
    #[arg(long)]
    json: bool,
}

/// [`token::HeaderMember`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum HeaderMember {
    Kid,
    Jwk,
    X5c,
}

/// [`token::KeyIdKind`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyIdKind {
    Libtrust,
    Thumbprint,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let now = SystemClock.now();
    let access = access(&arguments.scope)?;
    let claims = claims(arguments, access, now)?;
    let token = signer(arguments)?;
    let token = token
        .sign(&claims)
        .map_err(|error| Failure::system("no token was made").caused_by(&error))?;
    let text = if arguments.json {
        answer(token, claims)
    } else {
        token
    };
    // Scripts put a token between quotes of their own: nothing may follow it.
    let end = if arguments.json || io::stdout().is_terminal() {
        "\n"
    } else {
        ""
    };
    output::print(&format!("{text}{end}"))?;
    Ok(ExitCode::SUCCESS)
}

fn access(texts: &[String]) -> Result<Vec<Access>, Failure> {
    let scopes = texts.iter().flat_map(|text| text.split_whitespace());
    let scopes = scopes.map(|text| {
        let scope = text.parse::<Scope>().map_err(|error| {
            let failure = Failure::usage("a scope cannot be read").caused_by(&error);
            failure.hint("write repository:library/app:pull,push or registry:catalog:*")
        })?;
        let actions = scope.actions.clone();
        Ok(scope.granted(actions))
    });
    scopes.collect()
}

fn claims(arguments: &Arguments, access: Vec<Access>, now: SystemTime) -> Result<Claims, Failure> {
    if arguments.expires.as_secs() == 0 {
        return Err(Failure::usage(
            "--expires is shorter than a second: such a token is never valid",
        ));
    }
    let begin = arguments.not_before.resolve(now);
    let begin = begin.ok_or_else(|| Failure::usage("--not-before is out of range"))?;
    let end = begin.max(now).checked_add(arguments.expires);
    let end = end.ok_or_else(|| Failure::usage("--expires is out of range"))?;
    Ok(Claims {
        issuer: arguments.issuer.clone(),
        subject: arguments.username.clone(),
        audience: arguments.service.clone(),
        expires_at: unix_seconds(end),
        not_before: unix_seconds(begin),
        issued_at: unix_seconds(now),
        id: token::jti(&SystemEntropy)
            .map_err(|error| Failure::system("no token was made").caused_by(&error))?,
        access,
        personal_token: String::new(),
    })
}

fn signer(arguments: &Arguments) -> Result<Signer, Failure> {
    let key: PrivateKey = key_file::private(&arguments.key)?;
    let chain = arguments
        .certificate
        .as_deref()
        .map(key_file::certificates)
        .transpose()?
        .unwrap_or_default();
    let members: Vec<token::HeaderMember> =
        arguments.header.iter().copied().map(Into::into).collect();
    let options = HeaderOptions {
        members: &members,
        key_id: arguments.key_id.into(),
        chain: &chain,
    };
    Signer::new(Arc::new(key), options).map_err(|error| {
        Failure::usage("no token was made")
            .caused_by(&error)
            .hint("give the key's own certificate: --certificate FILE")
    })
}

fn answer(token: String, claims: Claims) -> String {
    let scopes = claims.access.into_iter().map(|access| {
        let Access {
            resource_type,
            name,
            actions,
        } = access;
        Scope {
            resource_type,
            name,
            actions,
        }
        .to_string()
    });
    let answer = TokenResponse {
        token,
        expires_in: claims.expires_at.saturating_sub(claims.issued_at),
        issued_at: common::rfc3339(claims.issued_at),
        scope: scopes.collect::<Vec<_>>().join(" "),
        issued_token_type: None,
        token_type: None,
        refresh_token: None,
    };
    String::from_utf8_lossy(&answer.to_json()).into_owned()
}

impl From<HeaderMember> for token::HeaderMember {
    fn from(member: HeaderMember) -> Self {
        match member {
            HeaderMember::Kid => Self::Kid,
            HeaderMember::Jwk => Self::Jwk,
            HeaderMember::X5c => Self::X5c,
        }
    }
}

impl From<KeyIdKind> for token::KeyIdKind {
    fn from(kind: KeyIdKind) -> Self {
        match kind {
            KeyIdKind::Libtrust => Self::Libtrust,
            KeyIdKind::Thumbprint => Self::Thumbprint,
        }
    }
}
