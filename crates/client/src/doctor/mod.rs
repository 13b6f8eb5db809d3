//! The doctor: why a registry does not let anybody in, found out from outside.
//!
//! Each *probe* looks at one thing that goes wrong with registry authentication in the field, and
//! finds it well, doubtful or broken, or could not look. What it saw is its *evidence*; what to
//! change, in the words of the file where it is to be changed, its *remedy*. Probes are named by
//! stable ids ([`PROBES`]), which scripts may rely on. A doctor changes nothing: an upload that is
//! tried is cancelled.

mod address;
mod certificates;
mod challenge;
mod clock;
mod key;
mod logins;
mod pulling;
mod pushing;
mod token;

use std::fmt;
use std::time::SystemTime;

use ::token::{Certificate, JwkSet};
use oci::{Reference, RepositoryName};
use reqwest::Url;

use crate::session::{TokenEndpoint, TokenResponse};
use crate::{CredentialStore, Credentials, Error, Host, Transport, TransportOptions};

/// All probes, in the order in which they are made.
pub const PROBES: [&str; 20] = [
    "registry-reachable",
    "registry-scheme",
    "registry-certificate",
    "registry-redirects",
    "registry-challenge",
    "realm-address",
    "realm-scheme",
    "realm-reachable",
    "realm-certificate",
    "clocks",
    "stored-logins",
    "login",
    "token-claims",
    "token-key",
    "token-access",
    "token-accepted",
    "pull",
    "push-session",
    "push-location",
    "push-body",
];

/// The probes behind which, when they find something, there may be nothing more to look at; the
/// first counts.
const ENDS: [&str; 6] = [
    "registry-reachable",
    "registry-redirects",
    "registry-challenge",
    "realm-reachable",
    "token-claims",
    "registry-scheme",
];

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Which probe, one of [`PROBES`].
    pub id: &'static str,
    /// What it makes of what it saw.
    pub verdict: ProbeVerdict,
    /// What it saw, or why it did not look.
    pub evidence: String,
    /// What to change, where something is to be.
    pub remedy: Option<String>,
}

/// How a probe came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// All is well.
    Ok,
    /// Something will go wrong some day, or for some.
    Warning,
    /// Something is wrong.
    Failure,
    /// It was not looked at.
    NotTested,
}

impl fmt::Display for ProbeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::NotTested => "not-tested",
        })
    }
}

/// Whom to examine, and what the doctor is given for it.
pub struct ProbeTarget {
    /// The registry.
    pub host: Host,
    /// One of its repositories, for what is asked of a repository.
    pub repository: Option<RepositoryName>,
    /// One of its images.
    pub reference: Option<Reference>,
    /// The login to try; without, the stored one.
    pub login: Option<Credentials>,
    /// Where stored logins lie.
    pub places: CredentialStore,
    /// Try an upload, and cancel it.
    pub push: bool,
    /// What is known of how the two servers are set up.
    pub sides: KnownSettings,
}

/// What the two servers' own files say.
#[derive(Clone, Debug, Default)]
pub struct KnownSettings {
    /// The registry's `rootcertbundle`.
    pub bundle: Vec<Certificate>,
    /// The registry's `jwks`.
    pub jwks: Option<JwkSet>,
    /// The `issuer` that the registry wants.
    pub issuer: Option<String>,
    /// The `service` that the registry wants.
    pub service: Option<String>,
}

/// Examines a registry, probe by probe; every one of [`PROBES`] is in what comes back.
///
/// # Errors
/// When it cannot be begun: a file of certificates that the options name, or `certs.d` has, is
/// none.
pub async fn run_probes(
    patient: &ProbeTarget,
    options: TransportOptions,
) -> Result<Vec<ProbeResult>, Error> {
    let mut examination = ProbeRun::new(patient, options);
    examination
        .transport
        .prepare(&examination.address("https")?)?;
    examination.run().await;
    Ok(examination.findings)
}

/// An examination under way: what was found, and what later probes need of it.
struct ProbeRun<'a> {
    patient: &'a ProbeTarget,
    /// The way that a client would take.
    transport: Transport,
    /// The same, believing every certificate: to look on behind a bad one. Nothing secret goes that
    /// way.
    lenient: Transport,
    findings: Vec<ProbeResult>,
    /// `/v2/` of the registry, once it answered.
    base: Option<Url>,
    /// Whether the way there can be trusted with a password.
    trusted: bool,
    /// Where tokens are to be had.
    server: Option<TokenEndpoint>,
    realm_trusted: bool,
    /// The login that is tried, and where it was found.
    login: Credentials,
    granted: Option<TokenResponse>,
    belief: key::KeyVerdict,
    /// When each side said it was, and when that was here.
    dates: Vec<(&'static str, SystemTime, SystemTime)>,
}

impl<'a> ProbeRun<'a> {
    fn new(patient: &'a ProbeTarget, options: TransportOptions) -> Self {
        let server = patient.host.server();
        let lenient = Transport::new(TransportOptions {
            insecure: true,
            ..options.clone()
        })
        .on_behalf_of(server);
        Self {
            patient,
            transport: Transport::new(options).on_behalf_of(server),
            lenient,
            findings: Vec::new(),
            base: None,
            trusted: false,
            server: None,
            realm_trusted: false,
            login: Credentials::Anonymous,
            granted: None,
            belief: key::KeyVerdict::default(),
            dates: Vec::new(),
        }
    }

    async fn run(&mut self) {
        self.reach_registry().await;
        self.registry_certificate().await;
        self.redirects().await;
        self.challenge().await;
        self.realm().await;
        self.realm_certificate().await;
        self.clocks();
        self.stored_logins().await;
        self.log_in().await;
        self.token().await;
        self.pull().await;
        self.push().await;
        let missing = PROBES
            .iter()
            .filter(|id| !self.findings.iter().any(|finding| finding.id == **id));
        let missing: Vec<_> = missing.copied().collect();
        let why = self.why_no_further();
        for id in missing {
            self.not_tested(id, why.clone());
        }
        self.findings
            .sort_by_key(|finding| PROBES.iter().position(|id| *id == finding.id));
    }

    /// Why probes were never come to: something ended the way to them.
    fn why_no_further(&self) -> String {
        let ends = |id: &&&str| {
            self.finding(id)
                .is_some_and(|f| matches!(f.verdict, ProbeVerdict::Failure | ProbeVerdict::Warning))
        };
        match ENDS.iter().find(ends) {
            Some(id) => format!("see {id} first"),
            None => "there is nothing to look at: the registry wants no token".to_owned(),
        }
    }

    /// `/v2/` of the registry.
    fn address(&self, scheme: &str) -> Result<Url, Error> {
        let url = format!("{scheme}://{}/v2/", self.patient.host.server());
        url.parse()
            .map_err(|error| Error::Unsupported(format!("{url} is no URL: {error}")))
    }

    /// The way to look on: trusted or not.
    fn looking(&self) -> &Transport {
        if self.trusted {
            &self.transport
        } else {
            &self.lenient
        }
    }

    fn ok(&mut self, id: &'static str, evidence: impl Into<String>) {
        self.found(id, ProbeVerdict::Ok, evidence, None);
    }

    fn warn(&mut self, id: &'static str, evidence: impl Into<String>, remedy: impl Into<String>) {
        self.found(id, ProbeVerdict::Warning, evidence, Some(remedy.into()));
    }

    fn fail(&mut self, id: &'static str, evidence: impl Into<String>, remedy: impl Into<String>) {
        self.found(id, ProbeVerdict::Failure, evidence, Some(remedy.into()));
    }

    fn not_tested(&mut self, id: &'static str, why: impl Into<String>) {
        self.found(id, ProbeVerdict::NotTested, why, None);
    }

    fn found(
        &mut self,
        id: &'static str,
        verdict: ProbeVerdict,
        evidence: impl Into<String>,
        remedy: Option<String>,
    ) {
        self.findings.push(ProbeResult {
            id,
            verdict,
            evidence: evidence.into(),
            remedy,
        });
    }

    /// The failure that makes every attempt to pull or push fail, too.
    fn in_the_way(&self) -> Option<&'static str> {
        let ids = [
            "registry-reachable",
            "registry-redirects",
            "registry-challenge",
            "realm-reachable",
            "token-accepted",
        ];
        ids.into_iter().find(|id| self.has_failed(id))
    }

    fn has_failed(&self, id: &str) -> bool {
        self.finding(id)
            .is_some_and(|finding| finding.verdict == ProbeVerdict::Failure)
    }

    fn finding(&self, id: &str) -> Option<&ProbeResult> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// Whether a password or refresh token may be sent: the way to the registry, and to its realm,
    /// is a client's own.
    fn is_private(&self) -> bool {
        self.trusted && (self.server.is_none() || self.realm_trusted)
    }

    /// The login, where it may be sent.
    fn sendable_login(&self) -> Credentials {
        if self.is_private() {
            self.login.clone()
        } else {
            Credentials::Anonymous
        }
    }

    /// Why the login was kept back: what is asked for without it says nothing of what the login may
    /// do.
    fn withheld(&self) -> Option<String> {
        let ids = [
            "registry-scheme",
            "registry-certificate",
            "realm-scheme",
            "realm-certificate",
        ];
        let cause = ids
            .into_iter()
            .find(|id| self.has_failed(id))
            .unwrap_or("realm-reachable");
        let held = !self.login.is_anonymous() && !self.is_private();
        held.then(|| format!("the way there cannot be trusted with a password: see {cause} first"))
    }

    /// `HOST:PORT` as the reader wrote it.
    fn host(&self) -> &str {
        self.patient.host.as_str()
    }
}

/// An error with what it came from, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
