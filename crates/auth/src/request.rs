//! What a client asks of the token endpoint, parsed once at the edge.

use common::{BasicCredentials, BasicError, Secret};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use identity::{Credentials, Proof, TOKEN_USER, is_unambiguous_name};
use token::{Scope, ScopeError};

use crate::parameters::{MalformedEscape, NotUtf8, Parameters, ParametersError};
use crate::sessions::is_refresh_token;

/// How many scopes one request may name. Clients name three at most (a push with a mount).
pub const MAX_SCOPES: usize = 100;

/// The grant of RFC 8693 §2.1.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What a subject token may be called (RFC 8693 §3): a token of another issuer is one or both.
const SUBJECT_TOKEN_TYPES: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];

/// What an access token of this server is called (RFC 8693 §3).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A request for a token, in whichever form: GET with Basic, a form, or an OAuth 2.0 grant.
#[derive(Debug)]
pub(crate) struct TokenRequest {
    /// How the client gets its account.
    pub(crate) grant: Grant,
    /// The registry that the token is for; may be empty.
    pub(crate) service: String,
    /// What the client wants to do there; empty for a login.
    pub(crate) scopes: Vec<Scope>,
    /// Whether the client asks for a refresh token.
    pub(crate) offline: bool,
    /// What the client calls itself, for the log.
    pub(crate) client_id: String,
}

/// What a client offers for a token (RFC 6749 §1.3, authorization grant).
#[derive(Debug)]
pub(crate) enum Grant {
    /// A proof of its account, which a backend verifies; or nothing, for an anonymous token.
    Login(Proof),
    /// A token of another issuer, in exchange for one of this server (RFC 8693).
    TokenExchange(Secret),
    /// A refresh token of this server.
    RefreshToken {
        token: Secret,
        /// The account that the request names; empty if it names no account. The session must belong
        /// to it.
        account: String,
    },
}

/// Why a request cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("a parameter has a '%' that two hexadecimal digits do not follow")]
    Escape,
    #[error("the body's Content-Type is {0:?}: send application/x-www-form-urlencoded")]
    ContentType(String),
    #[error("the Authorization header does not have valid Basic credentials (RFC 7617)")]
    Authorization,
    #[error("the password is not in UTF-8")]
    Encoding,
    #[error("user and account are not the same ({user:?} and {account:?})")]
    AccountMismatch { user: String, account: String },
    #[error(
        "the grant type {0:?} is not supported: send password, refresh_token or {TOKEN_EXCHANGE}"
    )]
    GrantType(String),
    #[error("grant_type=refresh_token comes without a refresh_token")]
    NoRefreshToken,
    #[error("a token exchange needs a subject_token")]
    NoSubjectToken,
    #[error("the subject_token_type {:?} is not supported: send {}", .0, SUBJECT_TOKEN_TYPES.join(" or "))]
    SubjectTokenType(String),
    #[error("the requested_token_type {0:?} is not supported: send {ACCESS_TOKEN_TYPE} or none")]
    RequestedTokenType(String),
    #[error("an actor_token is not supported: no account acts for another")]
    ActorToken,
    #[error("a token is for one service: send one audience")]
    SeveralAudiences,
    #[error("the parameter token is missing")]
    NoToken,
    #[error("the account name holds a control character")]
    ControlCharacter,
    #[error("{0} scopes were asked for at once: at most {MAX_SCOPES} can be")]
    TooManyScopes(usize),
    #[error(transparent)]
    Scope(#[from] ScopeError),
}

impl From<ParametersError> for RequestError {
    fn from(error: ParametersError) -> Self {
        match error {
            ParametersError::Escape(MalformedEscape) => Self::Escape,
            ParametersError::ContentType(content_type) => Self::ContentType(content_type),
        }
    }
}

impl From<NotUtf8> for RequestError {
    fn from(NotUtf8: NotUtf8) -> Self {
        Self::Encoding
    }
}

impl From<BasicError> for RequestError {
    fn from(error: BasicError) -> Self {
        match error {
            BasicError::Malformed => Self::Authorization,
            BasicError::Encoding => Self::Encoding,
        }
    }
}

impl TokenRequest {
    /// Reads a request; `query` and `body` are as they came over the wire. `is_issued` tells personal
    /// tokens and robots' tokens from other secrets.
    pub(crate) fn parse(
        method: &Method,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
        is_issued: IsOpaqueToken<'_>,
    ) -> Result<Self, RequestError> {
        let parameters = Parameters::of_form(headers, query, body)?;
        let scopes = scopes(&parameters)?;
        let is_post = method == Method::POST;
        let grant = match parameters.text("grant_type").as_ref() {
            "refresh_token" if is_post => refresh_token(&parameters, is_issued)?,
            TOKEN_EXCHANGE if is_post => token_exchange(&parameters)?,
            "" | "password" => name_and_secret(headers, &parameters, is_post, is_issued)?,
            _ if !is_post => name_and_secret(headers, &parameters, is_post, is_issued)?,
            other => return Err(RequestError::GrantType(other.to_owned())),
        };
        let service = match &grant {
            Grant::TokenExchange(_) => target_service(&parameters)?,
            Grant::Login(_) | Grant::RefreshToken { .. } => parameters.text("service").into_owned(),
        };
        Ok(Self {
            grant,
            service,
            scopes,
            offline: parameters.bytes("offline_token") == b"true"
                || parameters.bytes("access_type") == b"offline",
            client_id: parameters.text("client_id").into_owned(),
        })
    }
}

/// Whether a secret has the form of a personal token or a robot's token.
pub(crate) type IsOpaqueToken<'a> = &'a dyn Fn(&Secret) -> bool;

/// The refresh token of a form. containerd sends any password without a user name as one.
fn refresh_token(
    parameters: &Parameters<'_>,
    is_issued: IsOpaqueToken<'_>,
) -> Result<Grant, RequestError> {
    let token = parameters.secret("refresh_token")?;
    if token.is_empty() {
        return Err(RequestError::NoRefreshToken);
    }
    if is_issued(&token) {
        return Ok(Grant::Login(Proof::BearerToken(token)));
    }
    Ok(Grant::RefreshToken {
        token,
        account: String::new(),
    })
}

/// A token exchange (RFC 8693 §2.1). Who sends it needs no login of its own: the subject token is the
/// proof.
fn token_exchange(parameters: &Parameters<'_>) -> Result<Grant, RequestError> {
    let token = parameters.secret("subject_token")?;
    if token.is_empty() {
        return Err(RequestError::NoSubjectToken);
    }
    let kind = parameters.text("subject_token_type");
    if !SUBJECT_TOKEN_TYPES.contains(&kind.as_ref()) {
        return Err(RequestError::SubjectTokenType(kind.into_owned()));
    }
    let requested = parameters.text("requested_token_type");
    if !matches!(requested.as_ref(), "" | ACCESS_TOKEN_TYPE) {
        return Err(RequestError::RequestedTokenType(requested.into_owned()));
    }
    if !parameters.bytes("actor_token").is_empty() {
        return Err(RequestError::ActorToken);
    }
    Ok(Grant::TokenExchange(token))
}

/// The service of a token exchange: `service`, as for every other grant, or RFC 8693's `audience`.
fn target_service(parameters: &Parameters<'_>) -> Result<String, RequestError> {
    let service = parameters.text("service");
    let mut audiences = parameters.values("audience");
    let audience = audiences.next().unwrap_or_default();
    if service.is_empty() && audiences.any(|other| other != audience) {
        return Err(RequestError::SeveralAudiences);
    }
    Ok(match service.is_empty() {
        true => String::from_utf8_lossy(audience).into_owned(),
        false => service.into_owned(),
    })
}

/// The account and password of a request, as `docker_auth` finds them: Basic first, else a form's
/// `username` and `password` if neither is empty. `account` names the account to authenticate and
/// must agree with Basic.
///
/// A token may come as the password, too: a refresh token, a personal token or a robot's. BuildKit
/// sends it without a user name, and other clients send the name `<token>` or the account's own. The
/// tokens that need no session may also come in a Bearer header.
fn name_and_secret(
    headers: &HeaderMap,
    parameters: &Parameters<'_>,
    is_post: bool,
    is_issued: IsOpaqueToken<'_>,
) -> Result<Grant, RequestError> {
    let basic = basic(headers)?;
    let has_basic = basic.is_some();
    let (user, password) = match (basic, bearer(headers).filter(is_issued)) {
        (Some(BasicCredentials { user, password }), _) => (user, password),
        (None, Some(token)) => (String::new(), token),
        (None, None) if is_post => form(parameters, is_issued)?,
        (None, None) => (String::new(), Secret::from("")),
    };
    let (is_refresh, is_issued) = (is_refresh_token(&password), is_issued(&password));
    let is_token = is_refresh || is_issued;
    let without_token_user = |name: String| match is_token && name == TOKEN_USER {
        true => String::new(),
        false => name,
    };
    let user = without_token_user(user);
    let account = without_token_user(parameters.text("account").into_owned());
    let names_differ = user != account && !account.is_empty();
    if names_differ && has_basic && !(is_token && user.is_empty()) {
        return Err(RequestError::AccountMismatch { user, account });
    }
    let account = if account.is_empty() { user } else { account };
    // RFC 7617 §2: no control characters. A program or a log might read another name.
    if !is_unambiguous_name(&account) {
        return Err(RequestError::ControlCharacter);
    }
    if is_refresh {
        return Ok(Grant::RefreshToken {
            token: password,
            account,
        });
    }
    if is_issued && account.is_empty() {
        return Ok(Grant::Login(Proof::BearerToken(password)));
    }
    Ok(Grant::Login(Proof::Password(Credentials {
        account,
        password,
    })))
}

/// A form's `username` and `password`; neither if either is empty, unless the password is a token.
fn form(
    parameters: &Parameters<'_>,
    is_issued: IsOpaqueToken<'_>,
) -> Result<(String, Secret), RequestError> {
    let (user, password) = (parameters.text("username"), parameters.secret("password")?);
    let is_incomplete = user.is_empty() || password.is_empty();
    if is_incomplete && !is_issued(&password) {
        return Ok((String::new(), Secret::from("")));
    }
    Ok((user.into_owned(), password))
}

/// The credentials of a Basic header, of which the first line counts. A client that sends some
/// which cannot be read must not go on as anonymous.
fn basic(headers: &HeaderMap) -> Result<Option<BasicCredentials>, RequestError> {
    match headers.get(AUTHORIZATION) {
        Some(value) => Ok(BasicCredentials::parse(value.as_bytes())?),
        None => Ok(None),
    }
}

/// The token of a Bearer header, of which the first line counts (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Secret::from(token.trim_ascii()))
}

/// The scopes of every `scope` parameter, repeated or joined by spaces.
///
/// An empty first parameter means no scope. Another empty one, and so a double space, is malformed,
/// as in `docker_auth`.
fn scopes(parameters: &Parameters<'_>) -> Result<Vec<Scope>, RequestError> {
    if parameters.bytes("scope").is_empty() {
        return Ok(Vec::new());
    }
    let texts = || {
        parameters
            .values("scope")
            .flat_map(|value| value.split(|&b| b == b' '))
    };
    let count = texts().count();
    if count > MAX_SCOPES {
        return Err(RequestError::TooManyScopes(count));
    }
    texts()
        .map(|text| Ok(String::from_utf8_lossy(text).parse()?))
        .collect()
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn is_issued(secret: &Secret) -> bool {
        secret.expose().starts_with("whp_")
    }

    fn get(query: &str, authorization: Option<&str>) -> Result<TokenRequest, RequestError> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        TokenRequest::parse(&Method::GET, &headers, query, b"", &is_issued)
    }

    fn post(query: &str, body: &str) -> Result<TokenRequest, RequestError> {
        let headers = HeaderMap::from_iter([(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded".parse().unwrap(),
        )]);
        TokenRequest::parse(&Method::POST, &headers, query, body.as_bytes(), &is_issued)
    }

    fn credentials(request: Result<TokenRequest, RequestError>) -> (String, String) {
        match request.unwrap().grant {
            Grant::Login(Proof::Password(credentials)) => (
                credentials.account,
                credentials.password.expose().to_owned(),
            ),
            other => panic!("{other:?}"),
        }
    }

    fn pair(account: &str, password: &str) -> (String, String) {
        (account.to_owned(), password.to_owned())
    }

    #[test]
    fn accounts_are_found_where_docker_auth_finds_them() {
        assert_eq!(credentials(get("", None)), pair("", ""));
        assert_eq!(credentials(get("", Some("Basic YTpi"))), pair("a", "b"));
        assert_eq!(
            credentials(get("", Some("bAsIc YTpiOmM="))),
            pair("a", "b:c")
        );
        assert_eq!(
            credentials(get("account=a", Some("Basic YTpi"))),
            pair("a", "b")
        );
        assert_eq!(credentials(get("account=a", None)), pair("a", ""));
        assert_eq!(
            credentials(get("account=a", Some("Bearer x"))),
            pair("a", "")
        );
        assert_eq!(
            credentials(get("username=a&password=b", None)),
            pair("", ""),
            "a form's members do not count on GET"
        );
        assert_eq!(
            credentials(post("", "username=a&password=b")),
            pair("a", "b")
        );
        assert_eq!(
            credentials(post("username=a&password=b", "")),
            pair("a", "b")
        );
        assert_eq!(
            credentials(post("", "username=a&password=b&account=c")),
            pair("c", "b")
        );
        assert_eq!(
            credentials(post("", "username=&password=b&account=c")),
            pair("c", "")
        );
        assert_eq!(credentials(post("", "username=a&password=")), pair("", ""));
        assert_eq!(
            credentials(post("", "grant_type=password&username=a&password=%c3%a4")),
            pair("a", "ä")
        );
        assert_eq!(
            post("", "username=a&password=%e4").err(),
            Some(RequestError::Encoding)
        );
        assert_eq!(
            get("", Some("Basic YTrk")).err(),
            Some(RequestError::Encoding)
        );
    }

    #[test]
    fn a_basic_header_that_cannot_be_read_is_an_error() {
        for value in [
            "Basic",
            "Basic ",
            "Basic !!!",
            "Basic YWI=",
            "Basic YTpi=",
            "Basic YTp",
            "Basic 5DphYg==",
        ] {
            assert_eq!(
                get("", Some(value)).err(),
                Some(RequestError::Authorization),
                "{value}"
            );
        }
    }

    #[test]
    fn a_name_with_control_characters_is_refused_wherever_it_stands() {
        let basic = |user: &str| format!("Basic {}", BASE64.encode(format!("{user}:x").as_bytes()));
        for character in ['\0', '\n', '\r', '\u{b}', '\u{1b}', '\u{7f}', '\u{9b}'] {
            let name = format!("al{character}ice");
            let encoded =
                percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
            for request in [
                get("", Some(&basic(&name))),
                get(&format!("account={encoded}"), None),
                get(&format!("account={encoded}"), Some(&basic(&name))),
                post("", &format!("username={encoded}&password=x")),
                post("", &format!("account={encoded}&username=ann&password=x")),
            ] {
                assert_eq!(
                    request.err(),
                    Some(RequestError::ControlCharacter),
                    "{name:?}"
                );
            }
        }
        for name in ["é ü", "tab\tbed"] {
            assert_eq!(credentials(get("", Some(&basic(name)))), pair(name, "x"));
        }
    }

    #[test]
    fn basic_and_account_must_agree() {
        let mismatch = RequestError::AccountMismatch {
            user: "a".to_owned(),
            account: "b".to_owned(),
        };
        assert_eq!(get("account=b", Some("Basic YTpi")).err(), Some(mismatch));
    }

    #[test]
    fn a_refresh_token_may_come_as_the_password() {
        const TOKEN: &str = "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu";
        let basic = |user: &str, secret: &str| {
            format!(
                "Basic {}",
                BASE64.encode(format!("{user}:{secret}").as_bytes())
            )
        };
        let session = |request: Result<TokenRequest, RequestError>| match request.unwrap().grant {
            Grant::RefreshToken { token, account } => (token.expose().to_owned(), account),
            other => panic!("{other:?}"),
        };
        let of = |account: &str| (TOKEN.to_owned(), account.to_owned());
        for (query, user, account) in [
            ("", "", ""),
            ("", "<token>", ""),
            ("", "ann", "ann"),
            ("account=ann", "", "ann"),
            ("account=ann", "<token>", "ann"),
            ("account=ann", "ann", "ann"),
            ("account=%3Ctoken%3E", "<token>", ""),
        ] {
            let request = get(query, Some(&basic(user, TOKEN)));
            assert_eq!(session(request), of(account), "{query} {user}");
        }
        let form = format!("grant_type=password&username=ann&password={TOKEN}");
        assert_eq!(session(post("", &form)), of("ann"));
        // One character off, it is a password like any other.
        let wrong = TOKEN.replace("AQID", "AQIE");
        assert_eq!(
            credentials(get("", Some(&basic("ann", &wrong)))),
            pair("ann", &wrong)
        );
        for secret in [wrong.as_str(), "secret", "dckr_pat_x", " "] {
            assert_eq!(
                credentials(get("", Some(&basic("", secret)))),
                pair("", secret)
            );
        }
        assert_eq!(credentials(get("", Some(&basic("", "")))), pair("", ""));
        assert!(matches!(
            get("account=bob", Some(&basic("ann", TOKEN))),
            Err(RequestError::AccountMismatch { .. })
        ));
    }

    #[test]
    fn a_personal_token_may_come_in_every_way() {
        const TOKEN: &str = "whp_secret";
        let basic = |user: &str| {
            let credentials = format!("{user}:{TOKEN}");
            format!("Basic {}", BASE64.encode(credentials.as_bytes()))
        };
        let bearer = format!("bearer  {TOKEN} ");
        let form = |text: &str| text.replace("TOKEN", TOKEN);
        for (request, account) in [
            (get("", Some(&basic(""))), ""),
            (get("", Some(&basic("<token>"))), ""),
            (get("", Some(&basic("ann"))), "ann"),
            (get("account=ann", Some(&basic(""))), "ann"),
            (get("account=ann", Some(&basic("<token>"))), "ann"),
            (get("account=%3Ctoken%3E", Some(&basic("<token>"))), ""),
            (get("", Some(&bearer)), ""),
            (get("account=ann", Some(&bearer)), "ann"),
            (
                post("", &form("grant_type=password&username=ann&password=TOKEN")),
                "ann",
            ),
            // An empty member of a form is absent, but a token must not count as anonymous.
            (post("", &form("username=&password=TOKEN")), ""),
            // What containerd makes of a password without a user name.
            (
                post("", &form("grant_type=refresh_token&refresh_token=TOKEN")),
                "",
            ),
        ] {
            let Grant::Login(proof) = request.unwrap().grant else {
                panic!("a personal token has no session");
            };
            assert_eq!((proof.account(), proof.secret().expose()), (account, TOKEN));
            assert_eq!(proof.password().is_none(), account.is_empty());
        }
        assert!(matches!(
            get("account=bob", Some(&basic("ann"))),
            Err(RequestError::AccountMismatch { .. })
        ));
        assert_eq!(
            credentials(get("", Some("Bearer eyJhbGciOi"))),
            pair("", ""),
            "an access token is no login, as in docker_auth"
        );
    }

    #[test]
    fn grants_are_told_apart() {
        let request = post(
            "",
            "grant_type=refresh_token&refresh_token=t&service=s&access_type=offline",
        )
        .unwrap();
        assert!(
            matches!(&request.grant, Grant::RefreshToken { token, .. } if token.expose() == "t")
        );
        assert!(request.offline && request.service == "s");
        assert_eq!(
            post("", "grant_type=refresh_token").err(),
            Some(RequestError::NoRefreshToken)
        );
        assert_eq!(
            post("", "grant_type=code").err(),
            Some(RequestError::GrantType("code".to_owned()))
        );
        assert_eq!(
            credentials(get("grant_type=code", None)),
            pair("", ""),
            "GET knows no grants"
        );
    }

    #[test]
    fn a_token_exchange_names_its_token_and_one_service() {
        const EXCHANGE: &str =
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
        const JWT: &str = "subject_token_type=urn:ietf:params:oauth:token-type:jwt";
        let exchange = |rest: &str| {
            let request = post("", &format!("{EXCHANGE}&{rest}"))?;
            match request.grant {
                Grant::TokenExchange(token) => {
                    Ok((token.expose().to_owned(), request.service, request.offline))
                }
                other => panic!("{other:?}"),
            }
        };
        let found = |service: &str, offline| ("t".to_owned(), service.to_owned(), offline);
        for (rest, expected) in [
            (
                format!("subject_token=t&{JWT}&service=s"),
                found("s", false),
            ),
            (
                format!("subject_token=t&{JWT}&audience=a"),
                found("a", false),
            ),
            (
                format!("subject_token=t&{JWT}&audience=a&audience=a"),
                found("a", false),
            ),
            (
                format!("subject_token=t&{JWT}&audience=a&service=s&access_type=offline"),
                found("s", true),
            ),
            (
                "subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:id_token\
                 &requested_token_type=urn:ietf:params:oauth:token-type:access_token"
                    .to_owned(),
                found("", false),
            ),
        ] {
            assert_eq!(exchange(&rest), Ok(expected), "{rest}");
        }
        let other = "urn:ietf:params:oauth:token-type:saml2".to_owned();
        for (rest, error) in [
            (JWT.to_owned(), RequestError::NoSubjectToken),
            (
                "subject_token=t".to_owned(),
                RequestError::SubjectTokenType(String::new()),
            ),
            (
                format!("subject_token=t&subject_token_type={other}"),
                RequestError::SubjectTokenType(other.clone()),
            ),
            (
                format!("subject_token=t&{JWT}&requested_token_type={other}"),
                RequestError::RequestedTokenType(other),
            ),
            (
                format!("subject_token=t&{JWT}&actor_token=u"),
                RequestError::ActorToken,
            ),
            (
                format!("subject_token=t&{JWT}&audience=a&audience=b"),
                RequestError::SeveralAudiences,
            ),
            (format!("subject_token=%e4&{JWT}"), RequestError::Encoding),
        ] {
            assert_eq!(exchange(&rest), Err(error), "{rest}");
        }
        assert_eq!(
            credentials(get(&format!("{EXCHANGE}&subject_token=t&{JWT}"), None)),
            pair("", ""),
            "GET knows no grants"
        );
    }

    #[test]
    fn only_a_form_is_read_as_one() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, "application/json".parse().unwrap())]);
        let request =
            |body| TokenRequest::parse(&Method::POST, &headers, "account=a", body, &is_issued);
        assert_eq!(
            request(b"{}").err(),
            Some(RequestError::ContentType("application/json".to_owned()))
        );
        assert_eq!(credentials(request(b"")), pair("a", ""));
        let headers = HeaderMap::from_iter([(
            CONTENT_TYPE,
            "Application/X-WWW-form-urlencoded; charset=utf-8"
                .parse()
                .unwrap(),
        )]);
        assert!(TokenRequest::parse(&Method::POST, &headers, "", b"service=s", &is_issued).is_ok());
    }

    #[test]
    fn scopes_come_repeated_or_joined() {
        let names = |query: &str| {
            get(query, None).map(|r| r.scopes.into_iter().map(|s| s.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names("scope=repository:a:pull&scope=repository:b:pull").unwrap(),
            ["a", "b"]
        );
        assert_eq!(
            names("scope=repository:a:pull%20repository:b:pull+repository:a:push").unwrap(),
            ["a", "b", "a"]
        );
        assert_eq!(names("scope=&scope=junk").unwrap(), [""; 0]);
        for query in [
            "scope=repository:a:pull&scope=",
            "scope=a:b:c++a:b:c",
            "scope=a:b:c+",
            "scope=+a:b:c",
        ] {
            assert!(
                matches!(names(query), Err(RequestError::Scope(_))),
                "{query}"
            );
        }
        let many = format!("scope={}", vec!["a:b:c"; MAX_SCOPES + 1].join("+"));
        assert_eq!(
            names(&many),
            Err(RequestError::TooManyScopes(MAX_SCOPES + 1))
        );
    }
}
