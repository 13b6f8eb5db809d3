//! A platform on loopback that signs its workloads' tokens, and does wrong what a test tells it to.

use std::sync::{Arc, Mutex, MutexGuard};

use data_encoding::BASE64URL_NOPAD;
use peers::{HttpStub, StubAnswer};
use serde_json::{Value, json};
use token::{KeyKind, PrivateKey};

/// The audience of every token.
pub(crate) const AUDIENCE: &str = "registry.example.com";

/// The platform.
pub(crate) struct Platform {
    server: HttpStub,
    state: Arc<Mutex<PlatformState>>,
}

/// What it knows and does.
pub(crate) struct PlatformState {
    /// Its keys, each with its `kid`. The last one signs.
    pub(crate) keys: Vec<(String, PrivateKey)>,
    /// The algorithms in its document.
    pub(crate) algorithms: Value,
    /// What it answers instead, if anything.
    pub(crate) answer: Option<StubAnswer>,
    /// The issuer in its document, if it is not its own address.
    pub(crate) other_issuer: Option<String>,
    /// Where its document says that the keys are, if not below its own address.
    pub(crate) keys_at: Option<String>,
    /// The bearer token that it wants to see.
    pub(crate) bearer: Option<String>,
}

impl Platform {
    /// A platform with one key `k1` on P-256.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(PlatformState {
            keys: vec![("k1".to_owned(), key())],
            algorithms: json!(["ES256", "HS256", "none"]),
            answer: None,
            other_issuer: None,
            keys_at: None,
            bearer: None,
        }));
        let shared = Arc::clone(&state);
        let server = HttpStub::start(move |request| {
            let state = shared.lock().unwrap();
            let origin = format!("http://{}", request.header("host").unwrap_or_default());
            state.respond(&origin, &request.path, request.header("authorization"))
        });
        Self { server, state }
    }

    /// `iss` of its tokens.
    pub(crate) fn issuer(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, PlatformState> {
        self.state.lock().unwrap()
    }

    /// The paths of the requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        requests.map(|request| request.path).collect()
    }

    /// A token of these parts, signed by its first key.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        sign(header, claims, &self.state().keys[0].1)
    }

    /// A token with these claims, besides `iss`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = self.issuer().into();
        let state = self.state();
        let (kid, key) = state.keys.last().unwrap();
        sign(
            &json!({"alg": "ES256", "typ": "JWT", "kid": kid}),
            &claims,
            key,
        )
    }
}

impl PlatformState {
    /// The set of its keys.
    pub(crate) fn key_set(&self) -> Value {
        let keys = self.keys.iter().map(|(kid, key)| {
            let mut jwk = key.public().jwk().published();
            jwk.key_id = Some(kid.clone());
            serde_json::to_value(jwk).unwrap()
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    }

    fn respond(&self, origin: &str, path: &str, authorization: Option<&str>) -> StubAnswer {
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        let wanted = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_some() && authorization != wanted.as_deref() {
            return StubAnswer::Status(401, String::new());
        }
        let body = match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": self.other_issuer.clone().unwrap_or_else(|| origin.to_owned()),
                "jwks_uri": self.keys_at.clone().unwrap_or_else(|| format!("{origin}/keys")),
                "id_token_signing_alg_values_supported": self.algorithms,
            }),
            "/keys" => self.key_set(),
            _ => return StubAnswer::Status(404, String::new()),
        };
        StubAnswer::Status(200, body.to_string())
    }
}

/// A new key on P-256.
pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeyKind::P256).unwrap()
}

/// A token of these parts.
pub(crate) fn sign(header: &Value, claims: &Value, key: &PrivateKey) -> String {
    sign_text(&header.to_string(), &claims.to_string(), |input| {
        key.sign(input).unwrap()
    })
}

/// A token whose parts are these texts, signed by `signature`.
pub(crate) fn sign_text(
    header: &str,
    claims: &str,
    signature: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
    let input = format!("{header}.{claims}");
    let signature = BASE64URL_NOPAD.encode(&signature(input.as_bytes()));
    format!("{input}.{signature}")
}

/// Claims as the platforms document them, besides `iss`, at a time in seconds since 1970.
pub(crate) mod documented {
    use serde_json::{Value, json};

    use super::AUDIENCE;

    /// A token of GitHub Actions for a job in the environment `prod`.
    pub(crate) fn github(now: u64) -> Value {
        json!({
            "jti": "example-id",
            "sub": "repo:octo-org@65/octo-repo@74:environment:prod",
            "environment": "prod",
            "aud": AUDIENCE,
            "ref": "refs/heads/main",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "repository": "octo-org/octo-repo",
            "repository_owner": "octo-org",
            "actor_id": "12",
            "repository_visibility": "private",
            "repository_id": "74",
            "repository_owner_id": "65",
            "run_id": "9001",
            "run_number": "10",
            "run_attempt": "2",
            "runner_environment": "github-hosted",
            "actor": "octocat",
            "workflow": "release",
            "head_ref": "",
            "base_ref": "",
            "event_name": "workflow_dispatch",
            "ref_type": "branch",
            "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
            "nbf": now - 300,
            "exp": now + 300,
            "iat": now,
        })
    }

    /// An `id_tokens` token of GitLab.
    pub(crate) fn gitlab(now: u64) -> Value {
        json!({
            "namespace_id": "72",
            "namespace_path": "my-group",
            "project_id": "20",
            "project_path": "my-group/my-project",
            "user_id": "1",
            "user_login": "sample-user",
            "user_email": "sample-user@example.com",
            "pipeline_id": "574",
            "pipeline_source": "push",
            "job_id": "302",
            "ref": "feature-branch-1",
            "ref_type": "branch",
            "ref_path": "refs/heads/feature-branch-1",
            "ref_protected": "false",
            "groups_direct": ["mygroup/mysubgroup", "myothergroup"],
            "environment": "test-environment2",
            "environment_protected": "false",
            "deployment_tier": "testing",
            "environment_action": "start",
            "runner_id": 1,
            "runner_environment": "self-hosted",
            "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
            "project_visibility": "public",
            "ci_config_ref_uri": "gitlab.example.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
            "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b",
            "iat": now,
            "nbf": now - 5,
            "exp": now + 3600,
            "sub": "project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1",
            "aud": AUDIENCE,
        })
    }

    /// A projected service account token of Kubernetes.
    pub(crate) fn kubernetes(now: u64) -> Value {
        json!({
            "aud": [AUDIENCE],
            "exp": now + 3607,
            "iat": now,
            "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
            "kubernetes.io": {
                "namespace": "builds",
                "node": {"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
                "pod": {"name": "build-7f9c", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
                "serviceaccount": {"name": "builder", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
            },
            "nbf": now,
            "sub": "system:serviceaccount:builds:builder",
        })
    }

    /// A token of Forgejo Actions.
    pub(crate) fn forgejo(now: u64) -> Value {
        json!({
            "actor": "ann",
            "actor_id": "4",
            "aud": AUDIENCE,
            "base_ref": "",
            "event_name": "push",
            "exp": now + 3600,
            "head_ref": "",
            "iat": now,
            "nbf": now,
            "ref": "refs/heads/main",
            "ref_protected": "true",
            "ref_type": "branch",
            "repository": "tools/app",
            "repository_id": "21",
            "repository_owner": "tools",
            "repository_owner_id": "3",
            "run_attempt": "1",
            "run_id": "77",
            "run_number": "12",
            "sha": "0123456789abcdef0123456789abcdef01234567",
            "sub": "repo:tools-3/app-21:ref:refs/heads/main",
            "workflow": "release.yml",
            "workflow_ref": "tools/app/.forgejo/workflows/release.yml@refs/heads/main",
        })
    }
}
