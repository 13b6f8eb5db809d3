//! Sign-in by the pages of providers. The password of the case comes from a page.

use common::{Clock, SystemClock, unix_seconds};
use serde_json::json;

use super::cases::{BackendCase, TestUser};
use crate::oidc_stub::{CLIENT_SECRET, OidcStub, form};
use crate::stub::{StubRequest, StubResponse, StubServer};

/// What users of the group or team `red` may do.
fn acl(label: &str) -> String {
    format!("acl: [{{match: {{labels: {{{label}: red}}, name: 'red/*'}}, actions: ['*']}}]\n")
}

/// A provider whose tokens rotate.
pub(super) fn oidc_auth() -> BackendCase {
    let provider = OidcStub::start(unix_seconds(SystemClock.now()));
    let sections = format!(
        "oidc_auth:\n  issuer: {}\n  redirect_url: http://localhost/oidc_auth\n  \
         client_id: wharfinger\n  client_secret: \"{CLIENT_SECRET}\"\n  label_claims: [groups]\n  \
         revalidate_after: 1s\n  http_timeout: 60s\n{}",
        provider.issuer(),
        acl("groups"),
    );
    let secrets = [CLIENT_SECRET, "rt-0", "rt-1", "at-0", "at-1", "code-0"];
    signs_in("/oidc_auth", sections, &secrets, move |url| {
        provider.agree(url)
    })
}

pub(super) fn github_auth() -> BackendCase {
    let provider = StubServer::start(|_, request| {
        let is_known = request.header("authorization") == Some("Bearer gh-at");
        match request.path.as_str() {
            "/login/oauth/access_token" => tokens(request, json!({"access_token": "gh-at"})),
            "/api/user" if is_known => StubResponse::json(json!({"login": "ann", "id": 7})),
            "/api/orgs/acme/members/ann" if is_known => StubResponse::status(204),
            "/api/user/teams" if is_known => StubResponse::json(json!([
                {"slug": "red", "organization": {"login": "acme"}}
            ])),
            _ => StubResponse::status(401),
        }
    });
    let sections = format!(
        "github_auth:\n  organization: acme\n  client_id: wharfinger\n  \
         client_secret: \"{CLIENT_SECRET}\"\n  github_web_uri: {}\n  github_api_uri: {}\n  \
         revalidate_after: 1s\n  http_timeout: 60s\n{}",
        provider.url(""),
        provider.url("/api"),
        acl("teams"),
    );
    let secrets = [CLIENT_SECRET, "gh-at", "c0de"];
    signs_in("/github_auth", sections, &secrets, move |url| {
        agree(&provider, url)
    })
}

pub(super) fn gitlab_auth() -> BackendCase {
    let provider = StubServer::start(|_, request| {
        let is_known = request.header("authorization") == Some("Bearer gl-at");
        match request.path.as_str() {
            "/oauth/token" => tokens(
                request,
                json!({"access_token": "gl-at", "refresh_token": "gl-rt", "expires_in": 7200}),
            ),
            "/api/user" if is_known => StubResponse::json(json!({"username": "ann", "id": 7})),
            "/api/groups" if is_known => StubResponse::json(json!([{"full_path": "red"}])),
            _ => StubResponse::status(401),
        }
    });
    let sections = format!(
        "gitlab_auth:\n  client_id: wharfinger\n  client_secret: \"{CLIENT_SECRET}\"\n  \
         gitlab_web_uri: {}\n  gitlab_api_uri: {}\n  group_labels: true\n  \
         redirect_uri: http://localhost/gitlab_auth\n  revalidate_after: 1s\n  http_timeout: 60s\n{}",
        provider.url(""),
        provider.url("/api"),
        acl("groups"),
    );
    let secrets = [CLIENT_SECRET, "gl-at", "gl-rt", "c0de"];
    signs_in("/gitlab_auth", sections, &secrets, move |url| {
        agree(&provider, url)
    })
}

fn signs_in(
    page: &'static str,
    sections: String,
    secrets: &[&str],
    agree: impl Fn(&str) -> String + Send + Sync + 'static,
) -> BackendCase {
    let mut case = BackendCase::new(sections, secrets, ());
    case.user = TestUser::SignsIn {
        page,
        agree: Box::new(agree),
    };
    case
}

/// The answer of a token endpoint to the right code, or to any refresh token.
fn tokens(request: &StubRequest, mut tokens: serde_json::Value) -> StubResponse {
    let form = form(&request.body);
    assert_eq!(form["client_secret"], CLIENT_SECRET);
    let is_right = form.get("code").is_none_or(|code| code == "c0de");
    assert!(is_right, "another code");
    tokens["token_type"] = "bearer".into();
    StubResponse::json(tokens)
}

/// The query with which `provider` sends the browser back.
fn agree(provider: &StubServer, url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap();
    assert!(address.starts_with(&provider.url("/")), "{url}");
    format!("code=c0de&state={}", form(query)["state"])
}
