//! The doctor: finds out from outside why logging in to a registry, pulling or pushing fails.
//!
//! Each *probe* tests one thing that goes wrong with registry authentication in the field. Its
//! *verdict* is ok, warning, failure or not tested, its *evidence* what it saw. Its *remedy* says
//! what to change, in the words of the file that is to be changed; commands in it, in backticks, can
//! be run as they are. Probes have stable ids ([`PROBES`]), which scripts may rely on. The doctor
//! changes nothing: it cancels the upload that it tries.

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
use std::path::PathBuf;
use std::time::SystemTime;

use ::token::{Certificate, JwkSet};
use oci::{Reference, RepositoryName};
use reqwest::Url;

use crate::session::{IssuedToken, TokenRealm};
use crate::{CredentialStore, Error, Host, LoginCredentials, Transport, TransportOptions};

/// The ids of all probes, in their order.
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

/// The probes whose problem may keep later probes from being made. The first counts.
const BLOCKING: [&str; 6] = [
    "registry-reachable",
    "registry-redirects",
    "registry-challenge",
    "realm-reachable",
    "token-claims",
    "registry-scheme",
];

/// The result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// The probe, one of [`PROBES`].
    pub id: &'static str,
    /// How the probe came out.
    pub verdict: ProbeVerdict,
    /// What the probe saw, or why it was not made.
    pub evidence: String,
    /// What to change, if something is wrong.
    pub remedy: Option<String>,
}

/// How a probe came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// Nothing is wrong.
    Ok,
    /// Something may go wrong later, or for some clients.
    Warning,
    /// Something is wrong.
    Failure,
    /// The probe was not made.
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

/// What to test, and what the tests may use.
pub struct ProbeTarget {
    /// The registry.
    pub host: Host,
    /// One of its repositories, for the probes of a repository.
    pub repository: Option<RepositoryName>,
    /// One of its images.
    pub reference: Option<Reference>,
    /// The login to try; `None` for the stored one.
    pub login: Option<LoginCredentials>,
    /// The stored logins.
    pub store: CredentialStore,
    /// Try an upload, and cancel it.
    pub push: bool,
    /// The settings of both servers, as far as they are known.
    pub settings: KnownSettings,
    /// Docker's configuration on this machine, `daemon.json`.
    pub docker_daemon: PathBuf,
}

/// Settings that both servers' own files name.
#[derive(Clone, Debug, Default)]
pub struct KnownSettings {
    /// The registry's `rootcertbundle`.
    pub bundle: Vec<Certificate>,
    /// The registry's `jwks`.
    pub jwks: Option<JwkSet>,
    /// The `issuer` that the registry requires.
    pub issuer: Option<String>,
    /// The `service` that the registry requires.
    pub service: Option<String>,
}

/// Makes all probes. There is a result for each of [`PROBES`].
///
/// # Errors
/// When the probes cannot begin: a file of certificates, in the options or in `certs.d`, is
/// invalid.
pub async fn run_probes(
    target: &ProbeTarget,
    options: TransportOptions,
) -> Result<Vec<ProbeResult>, Error> {
    let mut run = ProbeRun::new(target, options);
    run.transport.prepare(&run.address("https")?)?;
    run.run().await;
    Ok(run.results)
}

/// The results so far, and what later probes need.
struct ProbeRun<'a> {
    target: &'a ProbeTarget,
    /// Verifies certificates, as a client does.
    transport: Transport,
    /// Accepts every certificate, to see what is behind a bad one. Secrets are not sent with it.
    lenient: Transport,
    results: Vec<ProbeResult>,
    /// `/v2/` of the registry, once it has responded.
    base: Option<Url>,
    /// Whether a password may be sent to the registry.
    trusted: bool,
    /// The token server.
    server: Option<TokenRealm>,
    /// Whether a password may be sent to the token server.
    realm_trusted: bool,
    /// Whether registry and token server are one server of this project.
    is_wharfinger: bool,
    /// The login to try. It is anonymous once the login was rejected.
    login: LoginCredentials,
    granted: Option<IssuedToken>,
    key_verdict: key::KeyVerdict,
    /// The time of each server, and the local time at that moment.
    dates: Vec<(&'static str, SystemTime, SystemTime)>,
}

impl<'a> ProbeRun<'a> {
    fn new(target: &'a ProbeTarget, options: TransportOptions) -> Self {
        let server = target.host.server();
        let lenient = Transport::new(TransportOptions {
            insecure: true,
            ..options.clone()
        })
        .on_behalf_of(server);
        Self {
            target,
            transport: Transport::new(options).on_behalf_of(server),
            lenient,
            results: Vec::new(),
            base: None,
            trusted: false,
            server: None,
            realm_trusted: false,
            is_wharfinger: false,
            login: LoginCredentials::Anonymous,
            granted: None,
            key_verdict: key::KeyVerdict::default(),
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
            .filter(|id| !self.results.iter().any(|result| result.id == **id));
        let missing: Vec<_> = missing.copied().collect();
        let why = self.why_no_further();
        for id in missing {
            self.not_tested(id, why.clone());
        }
        self.results
            .sort_by_key(|result| PROBES.iter().position(|id| *id == result.id));
    }

    /// Why the remaining probes were not made.
    fn why_no_further(&self) -> String {
        let ends = |id: &&&str| {
            self.result(id)
                .is_some_and(|f| matches!(f.verdict, ProbeVerdict::Failure | ProbeVerdict::Warning))
        };
        match BLOCKING.iter().find(ends) {
            Some(id) => format!("see {id} first"),
            None => "the registry does not ask for a token".to_owned(),
        }
    }

    /// `/v2/` of the registry.
    fn address(&self, scheme: &str) -> Result<Url, Error> {
        let url = format!("{scheme}://{}/v2/", self.target.host.server());
        url.parse()
            .map_err(|error| Error::Unsupported(format!("{url} is not a URL: {error}")))
    }

    /// The transport for requests without secrets.
    fn open_transport(&self) -> &Transport {
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
        self.results.push(ProbeResult {
            id,
            verdict,
            evidence: evidence.into(),
            remedy,
        });
    }

    /// The failure that makes every attempt to pull or push fail, too.
    fn blocked_by(&self) -> Option<&'static str> {
        let ids = [
            "registry-reachable",
            "registry-redirects",
            "registry-challenge",
            "realm-reachable",
            "login",
            "token-accepted",
        ];
        ids.into_iter().find(|id| self.has_failed(id))
    }

    fn has_failed(&self, id: &str) -> bool {
        self.result(id)
            .is_some_and(|result| result.verdict == ProbeVerdict::Failure)
    }

    fn result(&self, id: &str) -> Option<&ProbeResult> {
        self.results.iter().find(|result| result.id == id)
    }

    /// Whether a password or refresh token may be sent to both servers.
    fn may_send_login(&self) -> bool {
        self.trusted && (self.server.is_none() || self.realm_trusted)
    }

    /// The login if it may be sent, else none.
    fn sendable_login(&self) -> LoginCredentials {
        if self.may_send_login() {
            self.login.clone()
        } else {
            LoginCredentials::Anonymous
        }
    }

    /// Why the login is not sent. What happens without it says nothing about its rights.
    fn withheld(&self) -> Option<String> {
        let causes = [
            (
                "registry-certificate",
                "the registry's certificate is not trusted",
            ),
            ("registry-scheme", "the registry speaks plain http"),
            (
                "realm-certificate",
                "the token server's certificate is not trusted",
            ),
            ("realm-scheme", "the token server speaks plain http"),
        ];
        let (id, why) = causes
            .into_iter()
            .find(|(id, _)| self.has_failed(id))
            .unwrap_or(("realm-reachable", "the token server is not reached"));
        let held = !self.login.is_anonymous() && !self.may_send_login();
        held.then(|| format!("login not sent: {why}; see {id} first"))
    }

    /// `HOST:PORT` as the user wrote it.
    fn host(&self) -> &str {
        self.target.host.as_str()
    }
}
