//! A token server to send requests to.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth::device::{DeviceLoginLimits, DeviceLoginPolicy, DeviceLoginSettings, DeviceLogins};
use auth::sessions::{MemorySessions, SessionPolicy, Sessions};
use auth::{
    AclAuthorizer, Authorizer, PublishedKey, ServiceSettings, TokenServer, TokenServerSettings,
};
use bytes::Bytes;
use common::{ClientAddress, Clock, Origin, RequestContext, SystemEntropy};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use database::Database;
use event::{MemoryObserver, Observer, Observers};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use identity::password::Bcrypt;
use identity::{
    Account, Accounts, Authenticator, AuthenticatorChain, Login, LoginCache, LoginLimiter,
    PasswordVerifier, Rate, StaticUsers, WorkerPool,
};
use policy::{Acl, AclEntry, AclOptions, Conditions};
use serde_json::Value;
use token::{HeaderMember, HeaderOptions, KeyIdKind, KeyKind, PrivateKey, Signer};

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl Default for HeldClock {
    fn default() -> Self {
        Self(Mutex::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
    }
}

impl HeldClock {
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// The accounts: `alice` and `bob` with the password `secret`, and anonymous. `alice` may do
/// everything, the others may pull.
pub(crate) struct Setup {
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) observer: Arc<MemoryObserver>,
    pub(crate) accounts: Accounts,
    /// Backends that are asked before the accounts.
    pub(crate) backends: Vec<Box<dyn Authenticator>>,
    /// Policies that are asked before the rules.
    pub(crate) authorizers: Vec<Box<dyn Authorizer>>,
    pub(crate) rules: Vec<(&'static str, &'static [&'static str])>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) path_prefix: &'static str,
    pub(crate) services: HashMap<String, ServiceSettings>,
    pub(crate) per_address: Rate,
    pub(crate) per_account: Rate,
    /// Device logins, and the database that has them.
    pub(crate) devices: Option<(Database, DeviceLoginPolicy, Arc<DeviceLoginLimits>)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut accounts = Accounts::default();
        accounts.add(String::new(), Account::default()).unwrap();
        for name in ["alice", "bob"] {
            accounts.add(name.into(), account("secret")).unwrap();
        }
        Self {
            clock: Arc::default(),
            observer: Arc::new(MemoryObserver::new(100)),
            accounts,
            backends: Vec::new(),
            authorizers: Vec::new(),
            rules: vec![("alice", &["*"]), ("/.*/", &["pull"])],
            sessions: None,
            path_prefix: "",
            services: HashMap::new(),
            per_address: Rate::per_minute(20),
            per_account: Rate::per_minute(10),
            devices: None,
        }
    }

    /// With these accounts alone, and the sessions of `server`: its configuration was changed.
    pub(crate) fn changed_from(server: &Server, accounts: &[(&str, &str)]) -> Self {
        let mut setup = Self::new();
        setup.sessions.clone_from(&server.sessions);
        setup.accounts = Accounts::default();
        for (name, password) in accounts {
            let account = account(password);
            setup.accounts.add((*name).into(), account).unwrap();
        }
        setup
    }

    /// With refresh tokens.
    pub(crate) fn with_sessions() -> Self {
        let store = Arc::new(MemorySessions::new());
        let policy = SessionPolicy::default();
        Self {
            sessions: Some(Sessions::new(store, policy, Arc::new(SystemEntropy))),
            ..Self::new()
        }
    }

    pub(crate) fn start(self) -> Server {
        let accounts = self.accounts.iter().map(|(_, account)| account);
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let verifier = Arc::new(PasswordVerifier::new(workers, accounts));
        let mut backends = self.backends;
        backends.push(Box::new(StaticUsers::new(self.accounts, verifier.clone())));
        let limiter = LoginLimiter::new(
            self.per_address,
            self.per_account,
            self.clock.clone(),
            &SystemEntropy,
        );
        let minute = Duration::from_secs(60);
        let cache = LoginCache::new(minute, self.clock.clone(), &SystemEntropy).unwrap();
        let chain = AuthenticatorChain::new(backends);
        let login = Login::new(chain, cache, Arc::new(limiter.unwrap()), verifier);
        let login = Arc::new(login);
        let observers = Observers::new([self.observer.clone() as Arc<dyn Observer>]);
        let devices = self.devices.map(|(database, policy, limits)| {
            Arc::new(DeviceLogins::new(DeviceLoginSettings {
                database,
                policy,
                limits,
                login: login.clone(),
                clock: self.clock.clone(),
                entropy: Arc::new(SystemEntropy),
                observers: observers.clone(),
            }))
        });
        let mut authorizers = self.authorizers;
        let places = (10..).take(self.rules.len());
        let places = places.map(|line| format!("auth.yml:{line}")).collect();
        authorizers.push(Box::new(AclAuthorizer::new(
            "acl",
            acl(&self.rules),
            places,
        )));
        let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
        let jwk = key.public().jwk();
        let keys = [KeyIdKind::Libtrust, KeyIdKind::Thumbprint].map(|kind| PublishedKey {
            jwk: jwk.clone().with_id(kind),
            not_after: None,
        });
        let server = TokenServer::new(TokenServerSettings {
            issuer: "Acme".into(),
            default: service(&key, KeyIdKind::Libtrust, 900),
            services: self.services,
            not_before_skew: Duration::from_secs(10),
            keys: keys.into(),
            path_prefix: self.path_prefix.into(),
            hsts: None,
            login,
            authorizers,
            sessions: self.sessions.clone(),
            device_logins: devices.clone(),
            body_limit: 1 << 16,
            body_timeout: minute,
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            observers,
        });
        Server {
            server,
            clock: self.clock,
            observer: self.observer,
            sessions: self.sessions,
            devices,
        }
    }
}

/// A server with refresh tokens, and alice's refresh token for `reg`.
pub(crate) async fn logged_in() -> (Server, String) {
    let server = Setup::with_sessions().start();
    let token = server.log_in(ALICE).await;
    (server, token)
}

pub(crate) fn account(password: &str) -> Account {
    let hash = Bcrypt::hash(password.as_bytes(), [5; 16], 4).unwrap();
    Account {
        passwords: vec![hash.parse().unwrap()],
        ..Account::default()
    }
}

fn acl(rules: &[(&str, &[&str])]) -> Acl {
    let entries = rules.iter().map(|(account, actions)| AclEntry {
        conditions: Conditions {
            account: Some((*account).into()),
            ..Conditions::default()
        },
        actions: actions.iter().map(|&action| action.into()).collect(),
        comment: None,
    });
    Acl::compile(entries.collect(), AclOptions::default()).unwrap()
}

pub(crate) fn service(
    key: &Arc<PrivateKey>,
    key_id: KeyIdKind,
    expiration: u64,
) -> ServiceSettings {
    let header = HeaderOptions {
        members: &[HeaderMember::Kid],
        key_id,
        chain: &[],
    };
    ServiceSettings {
        signer: Arc::new(Signer::new(key.clone(), header).unwrap()),
        expiration: Duration::from_secs(expiration),
    }
}

pub(crate) struct Server {
    pub(crate) server: TokenServer,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) observer: Arc<MemoryObserver>,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) devices: Option<Arc<DeviceLogins>>,
}

/// A response, its body read.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

pub(crate) const ALICE: (&str, &str) = ("alice", "secret");
pub(crate) const BOB: (&str, &str) = ("bob", "secret");

impl Server {
    /// A request from 192.0.2.7.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let client = ClientAddress::direct("192.0.2.7".parse().ok());
        self.send_from(client, method, url, more, body).await
    }

    pub(crate) async fn send_from(
        &self,
        client: ClientAddress,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let origin = Origin {
            scheme: "https",
            host: Some("auth.example.com".to_owned()),
            prefix: String::new(),
            certain: true,
        };
        let context = RequestContext::new(Some(peer), Ok(client), origin, "request-1".into());
        let response = self.server.respond(&context, request.unwrap()).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// A GET with Basic credentials, or without if the name and the password are empty.
    pub(crate) async fn get(&self, url: &str, (name, password): (&str, &str)) -> Response {
        let basic = basic(name, password);
        let headers: &[(&str, &str)] = match (name, password) {
            ("", "") => &[],
            _ => &[("authorization", &basic)],
        };
        self.send("GET", url, headers, "").await
    }

    pub(crate) async fn post(&self, body: &str) -> Response {
        self.send("POST", "/auth", &[], body).await
    }

    pub(crate) async fn refresh(&self, token: &str, more: &str) -> Response {
        let body = format!("grant_type=refresh_token&refresh_token={token}&{more}");
        self.post(&body).await
    }

    /// The refresh token of a login for `reg`.
    pub(crate) async fn log_in(&self, credentials: (&str, &str)) -> String {
        let url = "/auth?service=reg&offline_token=true&client_id=docker";
        self.get(url, credentials).await.refresh_token()
    }
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn refresh_token(&self) -> String {
        let token = self.json()["refresh_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("{}", self.body))
    }

    pub(crate) fn claims(&self) -> Value {
        self.part(1)
    }

    pub(crate) fn token_header(&self) -> Value {
        self.part(0)
    }

    fn part(&self, index: usize) -> Value {
        let token = self.json()["token"].as_str().unwrap().to_owned();
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    }
}

pub(crate) fn basic(name: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{name}:{password}").as_bytes())
    )
}
