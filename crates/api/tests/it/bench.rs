//! An API over a database, whose responses are compared with the OpenAPI document.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use accounts::{AccountStore, RuleList};
use api::{Api, ApiRules, ApiSettings, ApiStores, ResponseKey};
use audit::{AuditReader, AuditStore, PersonalData, Pseudonyms};
use auth::TokenServer;
use auth::sessions::{DatabaseSessions, SessionPolicy, Sessions};
use bytes::Bytes;
use common::{ClientAddress, Clock, Origin, RequestContext, SystemEntropy, unix_seconds};
use database::{AdministrationFilter, Database, DatabaseConnection, logged_changes};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use identity::{Account, Accounts, Rate, RequestLimiter};
use immutable_tags::ImmutableTagList;
use notifications::{DeliveryList, DeliveryStore, EndpointNames};
use personal_tokens::{PersonalTokens, TokenPolicy};
use policy::AclOptions;
use serde_json::Value;
use token::{
    Access, Claims, HeaderMember, HeaderOptions, JwkSet, KeyIdKind, KeyKind, PrivateKey, Signer,
    Verifier,
};

use crate::quotas::FixedQuotas;
use crate::schema;
use crate::test_database::{DatabaseKind, TestDatabase};
use crate::token_server::token_server;

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// The API of one test.
pub(crate) struct Bench {
    pub(crate) api: Api,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) token_server: Arc<TokenServer>,
    pub(crate) sessions: Sessions,
    pub(crate) tokens: PersonalTokens,
    pub(crate) quotas: Arc<FixedQuotas>,
    pub(crate) database: Database,
    _place: TestDatabase,
}

/// A response as a test sees it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_rate("off")
    }

    pub(crate) fn with_rate(rate: &str) -> Self {
        Self::on(DatabaseKind::Sqlite, rate)
    }

    /// The API over this kind of database.
    pub(crate) fn on(kind: DatabaseKind, rate: &str) -> Self {
        let place = TestDatabase::new(kind);
        let database = place.database.clone();
        // 2026-11-01.
        let start = UNIX_EPOCH + Duration::from_secs(1_793_491_200);
        let clock = Arc::new(HeldClock(Mutex::new(start)));
        let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
        let keys: JwkSet = [key.public().jwk()].into_iter().collect();
        let header = HeaderOptions {
            members: &[HeaderMember::Kid],
            key_id: KeyIdKind::Libtrust,
            chain: &[],
        };
        let entropy = Arc::new(SystemEntropy);
        let accounts = AccountStore::new(database.clone(), clock.clone(), entropy);
        let store = Arc::new(DatabaseSessions::new(database.clone()));
        let sessions = Sessions::new(store, SessionPolicy::default(), Arc::new(SystemEntropy));
        let policy = TokenPolicy::default();
        let tokens = PersonalTokens::new(database.clone(), policy, Arc::new(SystemEntropy));
        let signer = Arc::new(Signer::new(key, header).unwrap());
        let server = token_server(
            &(clock.clone() as Arc<dyn Clock>),
            signer.clone(),
            sessions.clone(),
            tokens.clone(),
        );
        let token_server = Arc::new(server);
        let rate: Rate = rate.parse().unwrap();
        let limiter = RequestLimiter::new(rate, clock.clone(), &SystemEntropy).unwrap();
        let quotas = Arc::new(FixedQuotas::default());
        let mut configured = Accounts::default();
        configured
            .add("root".to_owned(), Account::default())
            .unwrap();
        let api = Api::new(ApiSettings {
            registry: Some("registry.example".to_owned()),
            path_prefix: "/wh".to_owned(),
            service: "wharfinger".to_owned(),
            verifier: Verifier::new("wharfinger", ["Acme auth".to_owned()]).trusting_keys(&keys),
            limiter: Arc::new(limiter),
            hsts: Some(HeaderValue::from_static("max-age=60")),
            // No test sends a body in pieces, but the one that sends none.
            body_timeout: Duration::from_millis(50),
            stores: ApiStores {
                accounts,
                configured: vec![configured],
                rules: ApiRules {
                    list: RuleList::new(database.clone(), clock.clone()),
                    options: AclOptions::default(),
                    shadowed_by: None,
                },
                immutable_tags: ImmutableTagList::new(database.clone(), clock.clone()),
                quotas: Some(Arc::clone(&quotas) as _),
                token_server: Arc::clone(&token_server),
                sessions: Some(sessions.clone()),
                personal_tokens: Some(tokens.clone()),
                trust: None,
                audit: AuditReader::new(
                    AuditStore::new(database.clone()),
                    Arc::new(Pseudonyms::new(PersonalData::default(), &[0; 32])),
                ),
                notifications: DeliveryList::new(
                    DeliveryStore::new(database.clone()),
                    EndpointNames::Configured(vec!["one".to_owned(), "idle".to_owned()]),
                ),
                database: database.clone(),
            },
            response_key: ResponseKey::derived_from(b"the key that signs"),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
        });
        Self {
            api,
            clock,
            signer,
            token_server,
            sessions,
            tokens,
            quotas,
            database,
            _place: place,
        }
    }

    /// A token of `account` with these scopes of the API: `users:read,write`.
    pub(crate) fn token(&self, account: &str, scopes: &[&str]) -> String {
        let access = scopes.iter().map(|scope| {
            let (name, actions) = scope.split_once(':').unwrap();
            access("wharfinger", name, actions)
        });
        self.signed(&Claims {
            subject: account.to_owned(),
            access: access.collect(),
            ..self.claims()
        })
    }

    /// The claims of a token that is valid now and grants nothing.
    pub(crate) fn claims(&self) -> Claims {
        let now = unix_seconds(self.clock.now());
        Claims {
            issuer: "Acme auth".to_owned(),
            subject: "ann".to_owned(),
            audience: "wharfinger".to_owned(),
            expires_at: now + 900,
            not_before: now,
            issued_at: now,
            id: "1".to_owned(),
            access: Vec::new(),
            personal_token: String::new(),
        }
    }

    pub(crate) fn signed(&self, claims: &Claims) -> String {
        self.signer.sign(claims).unwrap()
    }

    /// The answer to a request of `account` with `scopes`, whose body is JSON.
    pub(crate) async fn ask(
        &self,
        account: &str,
        scopes: &[&str],
        request: (&str, &str),
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let authorization = format!("Bearer {}", self.token(account, scopes));
        let mut all = vec![("authorization", authorization.as_str())];
        all.extend(headers);
        let is_typed = headers.iter().any(|(name, _)| *name == "content-type");
        if body.is_some() && !is_typed {
            all.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(request, &all, &body).await
    }

    /// The answer to a request as it is, behind `/wh/api/v1`. It must be one that the OpenAPI
    /// document describes.
    pub(crate) async fn send(
        &self,
        request: (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (method, path) = request;
        let target = format!("/wh/api/v1{path}");
        let answer = self.respond(method, &target, headers, body).await;
        schema::check(method, path, &answer);
        answer
    }

    /// The answer to a request for any path.
    pub(crate) async fn respond(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let request = request.body(body).unwrap();
        let response = self.api.respond(&context(), request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(head.headers["cache-control"], "no-store");
        assert_eq!(head.headers["strict-transport-security"], "max-age=60");
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: match body.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&body).unwrap(),
            },
        }
    }

    /// What was logged, the latest first: who did what to which object.
    pub(crate) async fn log(&self) -> Vec<(String, String, String)> {
        let read = self.database.read(|connection: &DatabaseConnection| {
            logged_changes(connection, &AdministrationFilter::default(), 1000)
        });
        let entries = read.await.unwrap().into_iter();
        let entry = |entry: database::AdministrationEntry| {
            let by = format!("{} {}", entry.by.origin(), entry.by.name());
            (by, entry.action, entry.object)
        };
        entries.map(entry).collect()
    }
}

/// What a token grants.
pub(crate) fn access(resource_type: &str, name: &str, actions: &str) -> Access {
    Access {
        resource_type: resource_type.to_owned(),
        name: name.to_owned(),
        actions: actions.split(',').map(str::to_owned).collect(),
    }
}

pub(crate) fn context() -> RequestContext {
    let peer: IpAddr = "192.0.2.7".parse().unwrap();
    let client = ClientAddress::direct(Some(peer));
    let origin = Origin {
        scheme: "https",
        host: Some("auth.example".to_owned()),
        prefix: "/outer".to_owned(),
        certain: true,
    };
    RequestContext::new(Some(peer), Ok(client), origin, "request-1".to_owned())
}
