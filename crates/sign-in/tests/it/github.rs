//! GitHub: teams in pages, members who leave, and answers that must store nothing.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::stub::{StubRequest, StubResponse, StubServer};
use identity::{AuthenticationError, AuthenticationOutcome, BackendFault};
use serde_json::{Value, json};
use sign_in::{
    AuthorizationParameters, GithubProvider, GithubSettings, ProviderError, SignInRefusal,
    TokenGrant,
};

use crate::oidc_stub::form;
use crate::support::{AT_SIGN_IN, Bench, PAGE, hourly_policy, label};

/// What GitHub knows of the one user there, `Octo-Cat`.
struct State {
    token: &'static str,
    login: &'static str,
    is_member: bool,
    /// The teams: slug, organization, parent.
    teams: Vec<(String, &'static str, Option<&'static str>)>,
    /// A path and what it answers instead.
    instead: Option<(&'static str, StubResponse)>,
}

struct Github {
    server: StubServer,
    state: Arc<Mutex<State>>,
}

impl Github {
    fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            token: "gho_1",
            login: "Octo-Cat",
            is_member: true,
            teams: vec![("core".to_owned(), "acme", None)],
            instead: None,
        }));
        let shared = state.clone();
        let server = StubServer::start(move |origin, request| {
            shared.lock().unwrap().answer(origin, request)
        });
        Self { server, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn bench(&self, organization: Option<&str>) -> Bench {
        let settings = GithubSettings {
            web: self.server.url(""),
            api: self.server.url("/api/v3"),
            client_id: "client".to_owned(),
            client_secret: "s&cret+".into(),
            organization: organization.map(str::to_owned),
        };
        Bench::new("github_auth", hourly_policy(), |client, _| {
            Arc::new(GithubProvider::new(settings, client))
        })
    }
}

impl State {
    fn answer(&self, origin: &str, request: &StubRequest) -> StubResponse {
        if let Some((_, response)) = self
            .instead
            .as_ref()
            .filter(|(path, _)| *path == request.path)
        {
            return response.clone();
        }
        if request.path == "/login/oauth/access_token" {
            let form = form(&request.body);
            assert_eq!(form["client_secret"], "s&cret+");
            if form.get("code").is_none_or(|code| code != "good") {
                // GitHub says this with status 200.
                return StubResponse::json(json!({"error": "bad_verification_code"}));
            }
            return StubResponse::json(json!({"access_token": self.token, "token_type": "bearer"}));
        }
        let bearer = format!("Bearer {}", self.token);
        if request.header("authorization") != Some(&bearer) {
            return StubResponse::status(401);
        }
        match request.path.as_str() {
            "/api/v3/user" => StubResponse::json(json!({"login": self.login, "id": 583_231})),
            "/api/v3/orgs/acme/members/Octo%2DCat" if self.is_member => StubResponse::status(204),
            "/api/v3/user/teams" => self.page(origin, request),
            _ => StubResponse::status(404),
        }
    }

    /// A hundred teams, and the address of the next ones.
    fn page(&self, origin: &str, request: &StubRequest) -> StubResponse {
        let query = form(&request.query);
        let page: usize = query.get("page").map_or(1, |page| page.parse().unwrap());
        let teams = self.teams.iter().skip(100 * (page - 1)).take(100);
        let teams: Vec<Value> = teams
            .map(|(slug, organization, parent)| {
                let parent = parent.map(|slug| json!({"slug": slug}));
                json!({"slug": slug, "organization": {"login": organization}, "parent": parent})
            })
            .collect();
        let response = StubResponse::json(Value::from(teams));
        if self.teams.len() <= 100 * page {
            return response;
        }
        let next = format!("{origin}/api/v3/user/teams?per_page=100&page={}", page + 1);
        response.with_header(
            "Link",
            &format!("<{next}>; rel=\"next\", <{next}>; rel=\"last\""),
        )
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

async fn is_rejected(bench: &Bench, password: &common::Secret) -> bool {
    let outcome = bench.log_in("octo-cat", password).await.unwrap();
    matches!(outcome, AuthenticationOutcome::Rejected(_))
}

#[tokio::test]
async fn a_hundred_and_one_teams_are_two_pages() {
    let github = Github::start();
    github.state().teams = (0..101)
        .map(|n| (format!("t-{n:03}"), "Acme", None))
        .collect();
    let bench = github.bench(Some("acme"));
    let password = sign_in(&bench).await.unwrap();
    let labels = Bench::labels(bench.log_in("octo-cat", &password).await);
    let slugs: Vec<_> = (0..101).map(|n| format!("t-{n:03}")).collect();
    assert_eq!(labels["teams"], slugs);
}

#[tokio::test]
async fn parents_count_and_other_organizations_do_not() {
    let github = Github::start();
    github.state().teams = vec![
        ("child".to_owned(), "ACME", Some("parent")),
        ("other".to_owned(), "other", None),
        ("parent".to_owned(), "acme", None),
    ];
    let bench = github.bench(Some("acme"));
    let password = sign_in(&bench).await.unwrap();
    let labels = Bench::labels(bench.log_in("Octo-Cat", &password).await);
    assert_eq!(labels, label("teams", &["child", "parent"]));
    let everyone = github.bench(None);
    let password = sign_in(&everyone).await.unwrap();
    assert!(Bench::labels(everyone.log_in("Octo-Cat", &password).await).is_empty());
}

#[tokio::test]
async fn a_team_that_the_user_left_goes_at_the_next_revalidation() {
    let github = Github::start();
    let bench = github.bench(Some("acme"));
    let password = sign_in(&bench).await.unwrap();
    github.state().teams.clear();
    let labels = Bench::labels(bench.log_in("octo-cat", &password).await);
    assert_eq!(labels, label("teams", &["core"]));
    bench.clock.pass(3601);
    let labels = Bench::labels(bench.log_in("octo-cat", &password).await);
    assert_eq!(labels, label("teams", &[]));
}

#[tokio::test]
async fn who_left_the_organization_is_out_and_may_come_back() {
    let github = Github::start();
    let bench = github.bench(Some("acme"));
    let password = sign_in(&bench).await.unwrap();
    github.state().is_member = false;
    bench.clock.pass(3601);
    assert!(is_rejected(&bench, &password).await);
    github.state().is_member = true;
    Bench::labels(bench.log_in("octo-cat", &password).await);
    let error = {
        github.state().is_member = false;
        sign_in(&bench).await.unwrap_err()
    };
    let message = "the account Octo-Cat is not a member of acme";
    assert_eq!(error.to_string(), message);
}

#[tokio::test]
async fn teams_that_cannot_be_fetched_count_once_more() {
    let github = Github::start();
    let bench = github.bench(Some("acme"));
    let password = sign_in(&bench).await.unwrap();
    github.state().instead = Some(("/api/v3/user/teams", StubResponse::status(502)));
    bench.clock.pass(3601);
    let labels = Bench::labels(bench.log_in("octo-cat", &password).await);
    assert_eq!(labels, label("teams", &["core"]));
    bench.clock.pass(3601);
    let error = bench.log_in("octo-cat", &password).await.unwrap_err();
    assert!(
        matches!(error, AuthenticationError::Backend(error) if error.fault == BackendFault::Unavailable)
    );
    github.state().instead = None;
    Bench::labels(bench.log_in("octo-cat", &password).await);
}

#[tokio::test]
async fn a_revoked_token_is_a_rejection_and_another_name_too() {
    for change in [(|state| state.token = "gho_2") as fn(&mut State), |state| {
        state.login = "Renamed";
    }] {
        let github = Github::start();
        let bench = github.bench(None);
        let password = sign_in(&bench).await.unwrap();
        change(&mut github.state());
        Bench::labels(bench.log_in("octo-cat", &password).await);
        bench.clock.pass(3601);
        assert!(is_rejected(&bench, &password).await);
    }
}

/// docker_auth stored a record for the user "" and showed its password.
#[tokio::test]
async fn an_answer_without_a_user_stores_nothing() {
    let limited = StubResponse::status(403).with_header("X-RateLimit-Remaining", "0");
    let html = StubResponse::json("<html>busy</html>");
    for (response, is_unavailable) in [
        (StubResponse::status(401), false),
        (StubResponse::status(403), false),
        (limited, true),
        (StubResponse::status(429), true),
        (StubResponse::status(500), true),
        (StubResponse::json("{}"), false),
        (StubResponse::json("{\"login\":\"\"}"), false),
        (html, true),
    ] {
        let github = Github::start();
        let bench = github.bench(None);
        github.state().instead = Some(("/api/v3/user", response.clone()));
        let error = sign_in(&bench).await.unwrap_err();
        let found = matches!(error, ProviderError::Unavailable { .. });
        assert_eq!(found, is_unavailable, "{response:?}: {error}");
        assert!(bench.accounts.users().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_rate_limit_at_revalidation_ends_no_sign_in() {
    let github = Github::start();
    let bench = github.bench(None);
    let password = sign_in(&bench).await.unwrap();
    bench.clock.pass(3601);
    let limited = StubResponse::status(403).with_header("X-RateLimit-Remaining", "0");
    github.state().instead = Some(("/api/v3/user", limited));
    let error = bench.log_in("octo-cat", &password).await.unwrap_err();
    assert!(
        matches!(error, AuthenticationError::Backend(error) if error.fault == BackendFault::Unavailable)
    );
    github.state().instead = None;
    Bench::labels(bench.log_in("octo-cat", &password).await);
}

#[tokio::test]
async fn a_code_that_github_refuses_with_200_is_refused() {
    let github = Github::start();
    let bench = github.bench(None);
    let grant = TokenGrant::AuthorizationCode {
        code: &"bad".into(),
        verifier: &"v".into(),
        page: PAGE,
    };
    let error = bench.provider.request_tokens(grant).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Refused(SignInRefusal::Code)),
        "{error}"
    );
}

#[tokio::test]
async fn the_browser_is_sent_with_state_and_challenge() {
    let github = Github::start();
    let parameters = AuthorizationParameters {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        code_challenge: "c".to_owned(),
        page: PAGE.to_owned(),
    };
    let to = github
        .bench(None)
        .provider
        .authorization_url(&parameters)
        .await
        .unwrap();
    let expected = "/login/oauth/authorize?client_id=client&scope=user%3Aemail+read%3Aorg&state=s&\
                    code_challenge=c&code_challenge_method=S256";
    assert_eq!(to, github.server.url(expected));
}

/// The token goes to the API and nowhere else.
#[tokio::test]
async fn a_next_page_at_another_host_is_not_followed() {
    let github = Github::start();
    let other = StubServer::start(|_, _| StubResponse::json("[]"));
    let page = StubResponse::json("[]");
    let link = format!("<{}>; rel=\"next\"", other.url("/user/teams"));
    let page = page.with_header("Link", &link);
    github.state().instead = Some(("/api/v3/user/teams", page));
    sign_in(&github.bench(Some("acme"))).await.unwrap();
    assert!(other.requests().is_empty());
}
