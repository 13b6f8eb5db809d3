//! The token server beside the API: its accounts and its policies.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use auth::sessions::Sessions;
use auth::{AclAuthorizer, ServiceSettings, TokenServer, TokenServerSettings};
use common::{Clock, SystemEntropy};
use event::Observers;
use identity::{
    Account, Accounts, AuthenticatorChain, Login, LoginCache, LoginLimiter, PasswordVerifier, Rate,
    StaticUsers, WorkerPool,
};
use personal_tokens::{PersonalTokens, TokenVerifier};
use policy::{Acl, AclEntry, AclOptions, Conditions, Labels};
use token::Signer;

/// `ann` of the team `red`, `bob`, `eve` and `root`. The rules: `root` may do everything, the team may pull
/// what is its own, and each account may do everything below its own name.
pub(crate) fn token_server(
    clock: &Arc<dyn Clock>,
    signer: Arc<Signer>,
    sessions: Sessions,
    tokens: PersonalTokens,
) -> TokenServer {
    let mut accounts = Accounts::default();
    for (name, team) in [
        ("ann", Some("red")),
        ("bob", None),
        ("eve", None),
        ("root", None),
    ] {
        let labels = team.map(|team| ("team".to_owned(), vec![team.to_owned()]));
        let account = Account {
            labels: Labels::from_iter(labels),
            ..Account::default()
        };
        accounts.add(name.into(), account).unwrap();
    }
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let verifier = Arc::new(PasswordVerifier::new(workers, []));
    let users = StaticUsers::new(accounts, Arc::clone(&verifier));
    let tokens = TokenVerifier::new(tokens, Arc::clone(clock));
    let chain = AuthenticatorChain::new(vec![Box::new(users)]).with_tokens(Arc::new(tokens));
    let rate = Rate::per_minute(20);
    let limiter = LoginLimiter::new(rate, rate, Arc::clone(clock), &SystemEntropy).unwrap();
    let cache = LoginCache::new(Duration::ZERO, Arc::clone(clock), &SystemEntropy).unwrap();
    let login = Login::new(chain, cache, Arc::new(limiter), verifier);
    TokenServer::new(TokenServerSettings {
        issuer: "Acme auth".to_owned(),
        default: ServiceSettings {
            signer,
            expiration: Duration::from_secs(900),
        },
        services: HashMap::new(),
        not_before_skew: Duration::ZERO,
        keys: Vec::new(),
        path_prefix: "/wh".to_owned(),
        hsts: None,
        login: Arc::new(login),
        authorizers: vec![Box::new(acl()), Box::new(administrators())],
        sessions: Some(sessions),
        device_logins: None,
        body_limit: 1 << 16,
        body_timeout: Duration::from_secs(5),
        clock: Arc::clone(clock),
        entropy: Arc::new(SystemEntropy),
        observers: Observers::default(),
    })
}

fn acl() -> AclAuthorizer {
    let entry = |account: &str, team: Option<&str>, name: &str, actions: &[&str]| AclEntry {
        conditions: Conditions {
            account: Some(account.to_owned()),
            name: Some(name.to_owned()),
            labels: team
                .map(|team| ("team".to_owned(), team.to_owned()))
                .into_iter()
                .collect(),
            ..Conditions::default()
        },
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        comment: None,
    };
    let entries = vec![
        entry("root", None, "/.*/", &["*"]),
        entry("/.+/", Some("red"), "red/*", &["pull"]),
        entry("/.+/", None, "${account}/*", &["*"]),
    ];
    let places = vec![
        "auth.yml:10".into(),
        "auth.yml:11".into(),
        "auth.yml:12".into(),
    ];
    let acl = Acl::compile(entries, AclOptions::default()).unwrap();
    AclAuthorizer::new("acl", acl, places)
}

/// What a token of these tests grants, the rules grant, too.
fn administrators() -> AclAuthorizer {
    let entry = AclEntry {
        conditions: Conditions {
            account: Some("/.+/".to_owned()),
            resource_type: Some("wharfinger".to_owned()),
            ..Conditions::default()
        },
        actions: vec!["*".to_owned()],
        comment: None,
    };
    let acl = Acl::compile(vec![entry], AclOptions::default()).unwrap();
    AclAuthorizer::new("acl", acl, vec!["auth.yml:13".into()])
}
