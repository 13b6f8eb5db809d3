//! `wharfinger doctor`: why nobody gets in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use client::{Credentials, Finding, Host, HostError, ImageName, Patient, Places, Sides, Verdict, examine};
use oci::{Reference, RepositoryName};
use serde_json::json;
use token::JwkSet;

use super::key_file;
use crate::config::sides::Sides as Files;
use crate::failure::Failure;
use crate::files;
use crate::output::{print, print_json};
use crate::remote::{Connection, password, places};

/// Find out why a registry with token authentication does not let people in, and what to change
///
/// Looks at the registry, the token server that it names, their certificates, clocks and keys, at the stored login and at
/// what a token grants. Nothing is changed; secrets are not shown. The exit code is 0 when nothing failed, 1 when
/// something did, 2 when nothing could be examined.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Whom to examine: HOST[:PORT], or HOST[:PORT]/NAME[:TAG] to try a pull, too.
    #[arg(value_name = "HOST[/NAME[:TAG]]")]
    patient: Whom,
    /// Try the login of this user, instead of the stored one.
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from standard input.
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Try an upload of 110 MB, which is cancelled.
    #[arg(long)]
    push: bool,
    /// The registry's configuration, or the token server's (docker_auth's, too), to compare; may be repeated.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The registry's rootcertbundle, to compare.
    #[arg(long, value_name = "FILE")]
    rootcertbundle: Option<PathBuf>,
    /// The registry's jwks, to compare.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Print JSON: {healthy, probes: [{id, verdict, evidence, remedy}]}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A registry, or an image of one.
#[derive(Clone, Debug)]
struct Whom {
    host: Host,
    repository: Option<RepositoryName>,
    reference: Option<Reference>,
}

impl std::str::FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim_end_matches('/');
        if !bare.contains('/') {
            let host = bare.parse().map_err(|error: HostError| error.to_string())?;
            return Ok(Self { host, repository: None, reference: None });
        }
        let name: ImageName = bare.parse().map_err(|error: client::ImageNameError| error.to_string())?;
        let named = name.tag.is_some() || name.digest.is_some();
        let reference = named.then(|| name.reference());
        Ok(Self { host: name.host, repository: Some(name.repository), reference })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let login = match &arguments.user {
        Some(user) => {
            let password = password(arguments.password_stdin, "Password: ")?;
            Some(Credentials::Password { user: user.clone(), password })
        }
        None => None,
    };
    let whom = &arguments.patient;
    let patient = Patient {
        host: whom.host.clone(),
        repository: whom.repository.clone(),
        reference: whom.reference.clone(),
        login,
        places: if arguments.connection.anonymous { Places::default() } else { places() },
        push: arguments.push,
        sides: sides(arguments)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage("cannot start the runtime").caused_by(&error))?;
    let findings = runtime.block_on(examine(&patient, arguments.connection.options()));
    runtime.shutdown_background();
    let healthy = findings.iter().all(|finding| finding.verdict != Verdict::Failure);
    if arguments.json {
        print_json(&json(&findings, healthy))?;
    } else {
        print(&report(&findings, healthy))?;
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the files say; those that are named by themselves count more.
fn sides(arguments: &Arguments) -> Result<Sides, Failure> {
    let mut said = Files { bundle: arguments.rootcertbundle.clone(), jwks: arguments.jwks.clone(), ..Files::default() };
    for path in &arguments.config {
        let read = Files::read(path).map_err(|error| Failure::usage(format!("{} {error}", path.display())))?;
        said = said.or(read);
    }
    Ok(Sides {
        bundle: said.bundle.as_deref().map(key_file::certificates).transpose()?.unwrap_or_default(),
        jwks: said.jwks.as_deref().map(jwks).transpose()?,
        issuer: said.issuer,
        service: said.service,
    })
}

fn jwks(path: &Path) -> Result<JwkSet, Failure> {
    let text = files::read(path)?;
    JwkSet::from_json(&text).map_err(|error| Failure::usage(format!("{} is no JWKS", path.display())).caused_by(&error))
}

fn json(findings: &[Finding], healthy: bool) -> serde_json::Value {
    let probes = findings.iter().map(|finding| {
        json!({
            "id": finding.id,
            "verdict": finding.verdict.to_string(),
            "evidence": finding.evidence,
            "remedy": finding.remedy,
        })
    });
    json!({ "healthy": healthy, "probes": probes.collect::<Vec<_>>() })
}

fn report(findings: &[Finding], healthy: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let (verdict, evidence) = (finding.verdict.to_string(), visible(&finding.evidence));
        text += &format!("{verdict:10}  {:20}  {evidence}\n", finding.id);
        let remedy = finding.remedy.as_ref().filter(|_| finding.verdict != Verdict::NotTested);
        text.extend(remedy.map(|remedy| format!("{:34}-> {}\n", "", visible(remedy))));
    }
    let failed: Vec<_> = findings.iter().filter(|f| f.verdict == Verdict::Failure).map(|f| f.id).collect();
    match healthy {
        true => text + "nothing failed\n",
        false => text + &format!("failed: {}\n", failed.join(", ")),
    }
}

/// What strangers wrote, fit for a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_examine() {
        let whom = |text: &str| {
            text.parse::<Whom>()
                .map(|whom| (whom.host.to_string(), whom.repository.is_some(), whom.reference.is_some()))
        };
        assert_eq!(whom("r.example:5000"), Ok(("r.example:5000".into(), false, false)));
        assert_eq!(whom("localhost/"), Ok(("localhost".into(), false, false)));
        assert_eq!(whom("r.example/a/b"), Ok(("r.example".into(), true, false)));
        assert_eq!(whom("r.example/a:1"), Ok(("r.example".into(), true, true)));
        assert!(whom("https://r.example").is_err());
    }

    #[test]
    fn a_remedy_stands_below_what_it_mends() {
        let found = |verdict, remedy: Option<&str>| Finding {
            id: "clocks",
            verdict,
            evidence: "what\nwas".into(),
            remedy: remedy.map(str::to_owned),
        };
        let findings = [found(Verdict::Ok, None), found(Verdict::Failure, Some("set them"))];
        let expected = "\
ok          clocks                what was
failure     clocks                what was
                                  -> set them
failed: clocks
";
        assert_eq!(report(&findings, false), expected);
        assert_eq!(json(&findings, false)["probes"][1]["verdict"], "failure");
    }
}
