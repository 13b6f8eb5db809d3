//! A provider that speaks OpenID Connect, and does wrong what a test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::stub::{StubRequest, StubResponse, StubServer};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use token::{KeyIdKind, KeyKind, PrivateKey};

/// The secret of the client `wharfinger`. It has what is special in URLs, forms and Basic.
pub(crate) const CLIENT_SECRET: &str = "s3cret:&=+% ü";

/// A provider on loopback.
pub(crate) struct OidcStub {
    server: StubServer,
    state: Arc<Mutex<State>>,
}

/// What it knows and does.
pub(crate) struct State {
    key: PrivateKey,
    /// The claims of the user who signs in and stays signed in, `iss`, `aud`, `nonce` and times left
    /// out.
    pub(crate) claims: Value,
    /// What userinfo says besides `sub`.
    pub(crate) userinfo: Value,
    /// Changes a token's header and claims before they are signed.
    pub(crate) tamper: fn(&mut Value, &mut Value),
    /// Whether it refuses every refresh token.
    pub(crate) is_revoked: bool,
    /// The issuer, if not the server's own address: another server is in front.
    pub(crate) origin: Option<String>,
    /// The status of each answer, if not 200.
    pub(crate) broken: Option<u16>,
    /// Whether it answers nothing.
    pub(crate) is_silent: bool,
    /// Whether the answer to a refresh has an ID token.
    pub(crate) refreshes_id_token: bool,
    pub(crate) gives_refresh_token: bool,
    pub(crate) auth_methods: Value,
    /// The time, in seconds since 1970.
    pub(crate) now: u64,
    /// The only refresh token that is good: each use makes another.
    refresh_token: String,
    /// How many times it was rotated.
    pub(crate) rotations: u32,
    /// Codes: the nonce and the challenge of the authorization request.
    codes: BTreeMap<String, (String, String)>,
}

impl OidcStub {
    pub(crate) fn start(now: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            key: PrivateKey::generate(KeyKind::P256).unwrap(),
            claims: json!({"sub": "7", "email": "ann", "email_verified": true, "groups": ["red", "blue"]}),
            userinfo: json!({}),
            tamper: |_, _| {},
            is_revoked: false,
            origin: None,
            broken: None,
            is_silent: false,
            refreshes_id_token: true,
            gives_refresh_token: true,
            auth_methods: json!(["client_secret_basic"]),
            now,
            refresh_token: "rt-0".to_owned(),
            rotations: 0,
            codes: BTreeMap::new(),
        }));
        let shared = state.clone();
        let server = StubServer::start(move |origin, request| {
            let mut state = shared.lock().unwrap();
            match state.broken {
                _ if state.is_silent => StubResponse::silence(),
                Some(status) => StubResponse::status(status),
                None => {
                    let own = state.origin.clone();
                    state.answer(own.as_deref().unwrap_or(origin), request)
                }
            }
        });
        Self { server, state }
    }

    pub(crate) fn issuer(&self) -> String {
        self.server.url("")
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<StubRequest> {
        self.server.requests()
    }

    /// What a user does who is sent to `url` and agrees: the query with which the browser comes back.
    pub(crate) fn agree(&self, url: &str) -> String {
        let (base, query) = url.split_once('?').unwrap();
        let mut state = self.state();
        let origin = state.origin.clone().unwrap_or_else(|| self.issuer());
        assert_eq!(base, format!("{origin}/authorize"));
        let query = form(query);
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
        let code = format!("code-{}", state.codes.len());
        let request = (query["nonce"].clone(), query["code_challenge"].clone());
        state.codes.insert(code.clone(), request);
        format!("code={code}&state={}", query["state"])
    }
}

impl State {
    fn answer(&mut self, origin: &str, request: &StubRequest) -> StubResponse {
        match request.path.as_str() {
            "/.well-known/openid-configuration" => StubResponse::json(json!({
                "issuer": origin,
                "authorization_endpoint": format!("{origin}/authorize"),
                "token_endpoint": format!("{origin}/token"),
                "userinfo_endpoint": format!("{origin}/userinfo"),
                "jwks_uri": format!("{origin}/keys"),
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
                "token_endpoint_auth_methods_supported": self.auth_methods,
            })),
            "/keys" => {
                let jwk = self.key.public().jwk().with_id(KeyIdKind::Thumbprint);
                StubResponse::json(json!({"keys": [jwk]}))
            }
            "/token" => self.token(origin, request),
            "/userinfo" => {
                let mut told = self.userinfo.clone();
                told["sub"] = self.claims["sub"].clone();
                StubResponse::json(told)
            }
            _ => StubResponse::status(404),
        }
    }

    fn token(&mut self, origin: &str, request: &StubRequest) -> StubResponse {
        let form = form(&request.body);
        let basic = request.header("authorization").and_then(basic);
        let posted = form
            .get("client_id")
            .cloned()
            .zip(form.get("client_secret").cloned());
        let client = basic.or(posted);
        if client != Some(("wharfinger".to_owned(), CLIENT_SECRET.to_owned())) {
            return error(401, "invalid_client");
        }
        match form["grant_type"].as_str() {
            "authorization_code" => {
                let Some((nonce, challenge)) = self.codes.remove(&form["code"]) else {
                    return error(400, "invalid_grant");
                };
                let verifier = form.get("code_verifier").map_or("", String::as_str);
                if BASE64URL_NOPAD.encode(&sha256(verifier.as_bytes())) != challenge {
                    return error(400, "invalid_grant");
                }
                let id_token = self.id_token(origin, Some(&nonce));
                self.tokens(Some(id_token))
            }
            "refresh_token" => {
                if self.is_revoked || form["refresh_token"] != self.refresh_token {
                    // The second use of a rotated token ends everything, as at real providers.
                    self.is_revoked = true;
                    return error(400, "invalid_grant");
                }
                self.rotations += 1;
                self.refresh_token = format!("rt-{}", self.rotations);
                let id_token = self.refreshes_id_token.then(|| self.id_token(origin, None));
                self.tokens(id_token)
            }
            _ => error(400, "unsupported_grant_type"),
        }
    }

    fn tokens(&self, id_token: Option<String>) -> StubResponse {
        let mut response = json!({
            "access_token": format!("at-{}", self.rotations),
            "token_type": "Bearer",
            "expires_in": 300,
        });
        if self.gives_refresh_token {
            response["refresh_token"] = self.refresh_token.clone().into();
        }
        if let Some(id_token) = id_token {
            response["id_token"] = id_token.into();
        }
        StubResponse::json(response)
    }

    fn id_token(&self, origin: &str, nonce: Option<&str>) -> String {
        let public = self.key.public();
        let mut header = json!({"alg": "ES256", "kid": public.id(KeyIdKind::Thumbprint)});
        let mut claims = self.claims.clone();
        claims["iss"] = origin.into();
        claims["aud"] = "wharfinger".into();
        claims["iat"] = self.now.into();
        claims["exp"] = (self.now + 300).into();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        (self.tamper)(&mut header, &mut claims);
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let input = format!("{}.{}", encode(&header), encode(&claims));
        let signature = match header["alg"].as_str() {
            Some("none") => Vec::new(),
            _ => self.key.sign(input.as_bytes()).unwrap(),
        };
        format!("{input}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn error(status: u16, code: &str) -> StubResponse {
    let response = StubResponse::json(json!({"error": code, "error_description": "no"}));
    StubResponse { status, ..response }
}

/// The fields of a form or a query.
pub(crate) fn form(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

/// The client of a Basic header, each part decoded as a form's (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let pair = data_encoding::BASE64
        .decode(header.strip_prefix("Basic ")?.as_bytes())
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decoded = |text: &str| form(&format!("v={text}"))["v"].clone();
    Some((decoded(id), decoded(secret)))
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().to_vec()
}
