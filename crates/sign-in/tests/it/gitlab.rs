//! GitLab: tokens that live two hours, and groups.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::stub::{StubRequest, StubResponse, StubServer};
use identity::AuthenticationOutcome;
use serde_json::json;
use sign_in::{GitlabProvider, GitlabSettings, ProviderError, SignInRefusal, TokenGrant};

use crate::oidc_stub::form;
use crate::support::{AT_SIGN_IN, Bench, PAGE, hourly_policy, label};

struct State {
    /// How often the tokens were rotated; the last ones are good.
    generation: u32,
    /// Whether the last access token has expired.
    has_expired: bool,
    groups: Vec<&'static str>,
}

struct Gitlab {
    server: StubServer,
    state: Arc<Mutex<State>>,
}

impl Gitlab {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            generation: 0,
            has_expired: false,
            groups: vec!["acme/tools", "others"],
        }));
        let shared = state.clone();
        let server = StubServer::start(move |_, request| shared.lock().unwrap().answer(request));
        Self { server, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn bench(&self, organization: Option<&str>, group_labels: bool) -> Bench {
        let settings = GitlabSettings {
            web: self.server.url(""),
            api: self.server.url("/api/v4"),
            client_id: "client".to_owned(),
            client_secret: "secret".into(),
            redirect_uri: "https://auth.example.com/gitlab_auth".to_owned(),
            organization: organization.map(str::to_owned),
            group_labels,
        };
        Bench::new("gitlab_auth", hourly_policy(), |client, _| {
            Arc::new(GitlabProvider::new(settings, client))
        })
    }
}

impl State {
    fn answer(&mut self, request: &StubRequest) -> StubResponse {
        if request.path == "/oauth/token" {
            return self.token(request);
        }
        let bearer = format!("Bearer at-{}", self.generation);
        if self.has_expired || request.header("authorization") != Some(&bearer) {
            return StubResponse::status(401);
        }
        match request.path.as_str() {
            "/api/v4/user" => StubResponse::json(json!({"username": "ann", "id": 7})),
            "/api/v4/groups" => self.page(request),
            _ => StubResponse::status(404),
        }
    }

    fn token(&mut self, request: &StubRequest) -> StubResponse {
        let form = form(&request.body);
        assert_eq!(form["redirect_uri"], "https://auth.example.com/gitlab_auth");
        if form["grant_type"] == "refresh_token" {
            if form["refresh_token"] != format!("rt-{}", self.generation) {
                return StubResponse {
                    status: 400,
                    ..StubResponse::json(json!({"error": "invalid_grant"}))
                };
            }
            self.generation += 1;
            self.has_expired = false;
        }
        StubResponse::json(json!({
            "access_token": format!("at-{}", self.generation),
            "refresh_token": format!("rt-{}", self.generation),
            "token_type": "Bearer",
            "expires_in": 7200,
        }))
    }

    /// A page for each group.
    fn page(&self, request: &StubRequest) -> StubResponse {
        let query = form(&request.query);
        assert_eq!(query["min_access_level"], "10");
        let page: usize = query["page"].parse().unwrap();
        let groups: Vec<_> = self.groups.iter().skip(page - 1).take(1).collect();
        let groups: Vec<_> = groups
            .iter()
            .map(|path| json!({"full_path": path}))
            .collect();
        let next = if page < self.groups.len() {
            (page + 1).to_string()
        } else {
            String::new()
        };
        StubResponse::json(json!(groups)).with_header("X-Next-Page", &next)
    }
}

async fn sign_in(bench: &Bench) -> Result<common::Secret, ProviderError> {
    let grant = TokenGrant::AuthorizationCode {
        code: &"good".into(),
        verifier: &"v".into(),
        page: PAGE,
    };
    let tokens = bench.provider.request_tokens(grant).await?;
    let user = bench.provider.identify(&tokens, AT_SIGN_IN).await?;
    Ok(bench.store_user(&tokens, &user).await)
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_the_rotated_one_kept() {
    let gitlab = Gitlab::start();
    let bench = gitlab.bench(None, false);
    let password = sign_in(&bench).await.unwrap();
    for expected in 0..3 {
        assert_eq!(gitlab.state().generation, expected);
        bench.clock.pass(3601);
        Bench::labels(bench.log_in("ann", &password).await);
        assert_eq!(
            gitlab.state().generation,
            expected,
            "the access token is good"
        );
        // Its two hours are over.
        bench.clock.pass(3601);
        gitlab.state().has_expired = true;
        Bench::labels(bench.log_in("ann", &password).await);
    }
}

#[tokio::test]
async fn groups_are_labels_and_fetched_anew() {
    let gitlab = Gitlab::start();
    let bench = gitlab.bench(Some("ACME"), true);
    let password = sign_in(&bench).await.unwrap();
    let labels = Bench::labels(bench.log_in("ANN", &password).await);
    assert_eq!(labels, label("groups", &["acme/tools", "others"]));
    gitlab.state().groups = vec!["acme"];
    bench.clock.pass(3601);
    let labels = Bench::labels(bench.log_in("ann", &password).await);
    assert_eq!(labels, label("groups", &["acme"]));
    // A group whose name only begins so is another one.
    gitlab.state().groups = vec!["acme-friends", "others"];
    bench.clock.pass(3601);
    let outcome = bench.log_in("ann", &password).await.unwrap();
    assert!(matches!(outcome, AuthenticationOutcome::Rejected(_)));
    let error = sign_in(&bench).await.unwrap_err();
    assert!(
        matches!(
            error,
            ProviderError::Refused(SignInRefusal::NotAMember { .. })
        ),
        "{error}"
    );
}
