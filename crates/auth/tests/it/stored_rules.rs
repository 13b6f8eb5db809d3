//! Rules that are kept in a store: order, refresh, failures, age.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth::{
    AuthorizeError, Authorizer, MaxStale, RuleStore, RuleStoreError, StoredRule, StoredRules,
    StoredRulesSettings, explain,
};
use common::{BoxFuture, Clock};
use identity::LoginSource;
use policy::{AclOptions, AclQuery, Labels};
use serde_json::{Value, json};

use crate::support::{ALICE, Server, Setup};

/// A store in memory.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    rules: Vec<StoredRule>,
    failure: Option<fn() -> RuleStoreError>,
    reads: usize,
}

impl Store {
    fn of(rules: &[(i64, Value)]) -> Self {
        let store = Self::default();
        store.set(rules);
        store
    }

    fn set(&self, rules: &[(i64, Value)]) {
        let rules = rules.iter().map(|(seq, rule)| StoredRule {
            seq: *seq,
            rule: rule.clone(),
        });
        self.0.lock().unwrap().rules = rules.collect();
    }

    fn fail(&self, failure: Option<fn() -> RuleStoreError>) {
        self.0.lock().unwrap().failure = failure;
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }
}

impl RuleStore for Store {
    fn name(&self) -> &'static str {
        "acl_store"
    }

    fn read(&self) -> BoxFuture<'_, Result<Vec<StoredRule>, RuleStoreError>> {
        let mut content = self.0.lock().unwrap();
        content.reads += 1;
        let read = match content.failure {
            Some(failure) => Err(failure()),
            None => Ok(content.rules.clone()),
        };
        Box::pin(std::future::ready(read))
    }
}

const SETTINGS: StoredRulesSettings = StoredRulesSettings {
    options: AclOptions {
        quote_labels: false,
    },
    refresh: Duration::from_millis(5),
    max_stale: MaxStale::Unlimited,
};

fn rules(store: &Store) -> StoredRules {
    StoredRules::new(store.clone(), SETTINGS, Setup::new().clock)
}

fn grants(name: &str, actions: &[&str]) -> Value {
    json!({"Match": {"Name": name}, "Actions": actions})
}

/// The decision as `ACTIONS by PLACE`.
async fn decision(rules: &StoredRules, name: &str) -> Result<String, AuthorizeError> {
    let actions = ["pull".to_owned(), "push".to_owned()];
    let labels = Labels::new();
    let decision = rules
        .decide(
            &query(name, &actions, &labels),
            &LoginSource::new(None, "ann"),
        )
        .await?;
    Ok(decision.map_or_else(String::new, |decision| {
        format!("{} by {}", decision.granted.join(","), decision.by)
    }))
}

fn query<'a>(name: &'a str, actions: &'a [String], labels: &'a Labels) -> AclQuery<'a> {
    AclQuery {
        account: "ann",
        labels,
        resource_type: "repository",
        name,
        service: "reg",
        ip: None,
        actions,
    }
}

#[tokio::test]
async fn the_lowest_seq_is_asked_first_however_the_rules_come() {
    let store = Store::of(&[
        (30, grants("a*", &["push"])),
        (-5, grants("b", &[])),
        (10, grants("ab", &["pull"])),
        (20, grants("ab", &["*"])),
    ]);
    let rules = rules(&store);
    rules.load().await.unwrap();
    assert_eq!(
        decision(&rules, "ab").await.unwrap(),
        "pull by acl_store seq 10"
    );
    assert_eq!(
        decision(&rules, "ac").await.unwrap(),
        "push by acl_store seq 30"
    );
    assert_eq!(decision(&rules, "b").await.unwrap(), " by acl_store seq -5");
    assert_eq!(decision(&rules, "c").await.unwrap(), "");
    assert_eq!(rules.count(), Some(4));
    assert_eq!(rules.probe().await.unwrap().as_deref(), Some("4 rules"));
}

/// Each way in which a load can fail.
#[tokio::test]
async fn a_load_that_fails_changes_nothing_and_says_which_seq_is_wrong() {
    let store = Store::of(&[(1, grants("a", &["pull"]))]);
    let rules = rules(&store);
    rules.load().await.unwrap();
    let good = "pull by acl_store seq 1";
    for (wrong, said) in [
        (
            json!({"Match": {"Name": "/(/"}, "Actions": []}),
            "seq 7: match.name: ",
        ),
        (
            json!({"Match": {"IP": "300.0.0.1"}, "Actions": []}),
            "seq 7: match.ip: ",
        ),
        (json!({"Actions": []}), "seq 7: `match` is missing"),
        (json!(null), "seq 7: the rule is null"),
        (json!({"Match": {}}), "seq 7: `actions` is missing"),
        (json!("text"), "seq 7: the rule is a string"),
    ] {
        store.set(&[(1, grants("a", &[])), (7, wrong)]);
        let error = rules.load().await.unwrap_err();
        let AuthorizeError::Policy { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(source.to_string().starts_with(said), "{source}");
        assert_eq!(decision(&rules, "a").await.unwrap(), good);
    }
    store.fail(Some(|| RuleStoreError::Broken("no such table".into())));
    assert!(matches!(
        rules.load().await,
        Err(AuthorizeError::Policy { .. })
    ));
    store.fail(Some(|| RuleStoreError::Unavailable("refused".into())));
    assert!(matches!(
        rules.load().await,
        Err(AuthorizeError::Unavailable { .. })
    ));
    assert_eq!(decision(&rules, "a").await.unwrap(), good);
    store.fail(None);
    store.set(&[(1, grants("a", &[]))]);
    rules.load().await.unwrap();
    assert_eq!(decision(&rules, "a").await.unwrap(), " by acl_store seq 1");
}

#[tokio::test]
async fn a_store_with_too_many_rules_is_refused() {
    let store = Store::of(&[(1, grants("a", &["pull"]))]);
    let rules = rules(&store);
    rules.load().await.unwrap();
    let many: Vec<_> = (0..100_001).map(|seq| (seq, json!(null))).collect();
    store.set(&many);
    let AuthorizeError::Policy { source, .. } = rules.load().await.unwrap_err() else {
        panic!("another error")
    };
    let cause = source.source().unwrap().to_string();
    assert_eq!(cause, "100001 rules: at most 100000 are supported");
    assert_eq!(rules.count(), Some(1));
}

#[tokio::test]
async fn no_rules_at_all_grant_nothing_and_the_next_policy_is_asked() {
    let rules = rules(&Store::of(&[]));
    rules.load().await.unwrap();
    assert_eq!(decision(&rules, "a").await.unwrap(), "");
    let mut setup = Setup::new();
    setup.authorizers.push(Box::new(Arc::new(rules)));
    assert_eq!(
        scope(&setup.start()).await,
        (200, Some("repository:a:pull,push".into()))
    );
}

async fn scope(server: &Server) -> (u16, Option<String>) {
    let url = "/auth?service=reg&scope=repository:a:pull,push";
    let response = server.get(url, ALICE).await;
    let scope = response.json()["scope"].as_str().map(str::to_owned);
    (response.status.as_u16(), scope)
}

#[tokio::test]
async fn before_the_first_load_and_after_max_stale_requests_get_503() {
    let store = Store::of(&[(1, grants("a", &["pull"]))]);
    let mut setup = Setup::new();
    let settings = StoredRulesSettings {
        max_stale: MaxStale::Limited(Duration::from_secs(60)),
        ..SETTINGS
    };
    let clock = Arc::clone(&setup.clock);
    let rules = Arc::new(StoredRules::new(store.clone(), settings, clock.clone()));
    setup.authorizers.push(Box::new(Arc::clone(&rules)));
    let server = setup.start();
    assert_eq!((rules.age(), rules.count()), (None, None));
    assert_eq!(scope(&server).await, (503, None));
    rules.load().await.unwrap();
    let granted = (200, Some("repository:a:pull".to_owned()));
    assert_eq!(scope(&server).await, granted);
    clock.pass(Duration::from_secs(60));
    assert_eq!(rules.age(), Some(Duration::from_secs(60)));
    assert_eq!(scope(&server).await, granted);
    clock.pass(Duration::from_secs(1));
    assert_eq!(scope(&server).await, (503, None));
    store.fail(Some(|| RuleStoreError::Unavailable("refused".into())));
    rules.load().await.unwrap_err();
    assert_eq!(scope(&server).await, (503, None));
    store.fail(None);
    rules.load().await.unwrap();
    assert_eq!(rules.age(), Some(Duration::ZERO));
    assert_eq!(scope(&server).await, granted);
}

#[tokio::test]
async fn a_catalog_and_explain_know_the_rules() {
    let store = Store::of(&[(1, grants("other", &[])), (4, grants("a", &["pull"]))]);
    let rules = Arc::new(rules(&store));
    let authorizers: Vec<Box<dyn Authorizer>> = vec![Box::new(Arc::clone(&rules))];
    let (actions, labels) = (["pull".to_owned()], Labels::new());
    let query = query("a", &actions, &labels);
    let unasked = explain(&authorizers, &query);
    assert_eq!(unasked.end, auth::ExplanationEnd::Unasked("acl_store"));
    authorizers[0].load().await.unwrap();
    let explanation = explain(&authorizers, &query);
    assert_eq!(&*explanation.passed[0].place, "acl_store seq 1");
    let auth::ExplanationEnd::Decided(decided) = explanation.end else {
        panic!("{explanation:?}")
    };
    assert_eq!(decided.by.to_string(), "acl_store seq 4");

    let mut setup = Setup::new();
    setup.authorizers = authorizers;
    let server = setup.start();
    let filter = server
        .server
        .repository_filter("bob", "pull", "reg", None)
        .await
        .unwrap();
    let filter = filter.unwrap();
    assert!(filter("a") && !filter("other"));
}

/// Waits until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn rules_are_loaded_again_and_again_until_they_are_dropped() {
    let store = Store::of(&[(1, grants("a", &["pull"]))]);
    let rules = rules(&store);
    rules.start();
    until(|| rules.count() == Some(1)).await;
    // A failure does not end it, and a change is seen.
    store.fail(Some(|| RuleStoreError::Unavailable("refused".into())));
    let reads = store.reads();
    until(|| store.reads() > reads + 3).await;
    store.set(&[(1, grants("a", &["pull"])), (2, grants("b", &[]))]);
    store.fail(None);
    until(|| rules.count() == Some(2)).await;
    drop(rules);
    // The task was aborted: it gives back the store, of which this is the last handle then.
    until(|| Arc::strong_count(&store.0) == 1).await;
}

/// 10,000 rules, replaced while others decide: each decision is by the rules before or by those
/// after, as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_rules_are_swapped_under_load_without_a_failed_request() {
    const COUNT: i64 = 10_000;
    let generation = |action: &str| {
        let rule = |seq| {
            (
                seq,
                json!({"Match": {"Name": format!("/^team-{seq}/.*$/")}, "Actions": [action]}),
            )
        };
        let last = (
            COUNT,
            json!({"Match": {"Name": "last"}, "Actions": [action]}),
        );
        (0..COUNT - 1).map(rule).chain([last]).collect::<Vec<_>>()
    };
    let store = Store::of(&generation("pull"));
    let mut setup = Setup::new();
    let clock: Arc<dyn Clock> = Arc::clone(&setup.clock) as Arc<dyn Clock>;
    let rules = Arc::new(StoredRules::new(store.clone(), SETTINGS, clock));
    rules.load().await.unwrap();
    setup.authorizers.push(Box::new(Arc::clone(&rules)));
    let server = Arc::new(setup.start());
    let (swapped, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (server, swapped, asked) = (server.clone(), swapped.clone(), asked.clone());
            tokio::spawn(async move {
                let url = "/auth?service=reg&scope=repository:last:pull,push";
                let mut seen = Vec::new();
                loop {
                    let is_last = swapped.load(Ordering::Acquire);
                    let response = server.get(url, ALICE).await;
                    assert_eq!(response.status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                    seen.push(response.json()["scope"].as_str().unwrap().to_owned());
                    if is_last {
                        return seen;
                    }
                    // Nothing here waits. Four such tasks would keep all workers from the timer.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    until(|| asked.load(Ordering::Relaxed) > 8).await;
    store.set(&generation("push"));
    rules.load().await.unwrap();
    swapped.store(true, Ordering::Release);
    for seen in asking {
        let seen = seen.await.unwrap();
        let (before, after) = ("repository:last:pull", "repository:last:push");
        assert!(
            seen.iter().all(|scope| scope == before || scope == after),
            "{seen:?}"
        );
        assert!(seen.is_sorted(), "never back: {seen:?}");
        assert_eq!(seen.last().unwrap(), after);
    }
}
