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
    assert!(matches!(&request.grant, Grant::RefreshToken { token, .. } if token.expose() == "t"));
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
    const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
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
