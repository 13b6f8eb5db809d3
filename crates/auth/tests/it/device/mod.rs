//! Device authorization (RFC 8628).

mod people;
mod polls;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::device::{DeviceDecision, DeviceLoginLimits, DeviceLoginPolicy, DeviceSignIn, UserCode};
use common::{ClientAddress, Clock, Origin, RequestContext, Secret, SystemEntropy};
use database::Database;
use identity::{Credentials, Proof};

use crate::support::{Response, Server, Setup};
use crate::test_database::TestDatabase;

const GRANT: &str = "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=cli";
const SECOND: Duration = Duration::from_secs(1);

/// A server with device logins.
struct Bench {
    server: Server,
    database: Database,
    limits: Arc<DeviceLoginLimits>,
    _place: TestDatabase,
}

/// What a device gets.
struct Codes {
    device_code: String,
    user_code: UserCode,
}

impl Bench {
    fn new() -> Self {
        Self::with(DeviceLoginPolicy::default())
    }

    fn with(policy: DeviceLoginPolicy) -> Self {
        let place = TestDatabase::new(super::KIND);
        let database = place.database.clone();
        let mut setup = Setup::with_sessions();
        setup.path_prefix = "/p";
        let clock: Arc<dyn Clock> = setup.clock.clone();
        let limits = Arc::new(DeviceLoginLimits::new(&clock, &SystemEntropy).unwrap());
        setup.devices = Some((database.clone(), policy, limits.clone()));
        Self {
            server: setup.start(),
            database,
            limits,
            _place: place,
        }
    }

    /// The same installation with these accounts: its configuration was changed.
    fn reloaded(&self, accounts: &[(&str, &str)]) -> Server {
        let mut setup = Setup::changed_from(&self.server, accounts);
        setup.path_prefix = "/p";
        setup.clock = self.server.clock.clone();
        let policy = DeviceLoginPolicy::default();
        setup.devices = Some((self.database.clone(), policy, self.limits.clone()));
        setup.start()
    }

    async fn begin(&self) -> Codes {
        let response = begin(&self.server, "client_id=cli&service=reg").await;
        assert_eq!(response.status, 200, "{}", response.body);
        let text = |name: &str| response.json()[name].as_str().unwrap().to_owned();
        Codes {
            device_code: text("device_code"),
            user_code: text("user_code").parse().unwrap(),
        }
    }

    async fn poll(&self, codes: &Codes) -> Response {
        poll(&self.server, codes).await
    }

    /// What a person does on the page, up to the decision.
    async fn sign_in(&self, codes: &Codes, credentials: (&str, &str)) -> Secret {
        let logins = self.server.devices.as_ref().unwrap();
        let browser = logins.browser_secret().unwrap();
        let signed_in = logins
            .sign_in(
                &codes.user_code,
                &browser,
                &proof(credentials),
                &context(),
                "",
            )
            .await;
        match signed_in.unwrap() {
            DeviceSignIn::SignedIn(login) => {
                assert_eq!(login.account.as_deref(), Some(credentials.0));
            }
            other => panic!("{other:?}"),
        }
        browser
    }

    async fn decide(&self, codes: &Codes, browser: &Secret, decision: DeviceDecision) -> bool {
        let logins = self.server.devices.as_ref().unwrap();
        let context = context();
        let decided = logins.decide(&codes.user_code, browser, decision, &context);
        decided.await.unwrap().is_some()
    }

    async fn approved(&self, credentials: (&str, &str)) -> Codes {
        let codes = self.begin().await;
        let browser = self.sign_in(&codes, credentials).await;
        assert!(self.decide(&codes, &browser, DeviceDecision::Approve).await);
        codes
    }
}

async fn begin(server: &Server, body: &str) -> Response {
    let agent = [("user-agent", "cli/1")];
    server.send("POST", "/p/auth/device", &agent, body).await
}

async fn poll(server: &Server, codes: &Codes) -> Response {
    let body = format!("{GRANT}&service=reg&device_code={}", codes.device_code);
    server.send("POST", "/p/auth", &[], &body).await
}

fn proof((account, password): (&str, &str)) -> Proof {
    Proof::Password(Credentials {
        account: account.into(),
        password: password.into(),
    })
}

fn context() -> RequestContext {
    let address: Option<IpAddr> = "192.0.2.7".parse().ok();
    let origin = Origin {
        scheme: "https",
        host: Some("auth.example.com".to_owned()),
        prefix: String::new(),
        certain: true,
    };
    RequestContext::new(
        address,
        Ok(ClientAddress::direct(address)),
        origin,
        "page-1".into(),
    )
}

#[track_caller]
fn assert_error(response: &Response, status: u16, code: &str) {
    assert_eq!(response.status.as_u16(), status, "{}", response.body);
    assert_eq!(response.json()["error"], code, "{}", response.body);
    assert_eq!(response.header("cache-control"), Some("no-store"));
}
