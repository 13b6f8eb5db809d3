//! Google's settings of OpenID Connect. That the issuer is Google's is tested with the program.

use serde_json::json;
use sign_in::{AuthorizationParameters, ProviderError, SignInRefusal};

use crate::oidc::sign_in;
use crate::oidc_stub::{OidcStub, form};
use crate::support::{Bench, PAGE, START};

/// Google gives a refresh token only to a client that asks for offline access, with consent.
#[tokio::test]
async fn the_request_asks_for_a_refresh_token_and_comes_back_to_the_page() {
    let stub = OidcStub::start(START);
    let bench = Bench::google(&stub, None);
    let parameters = AuthorizationParameters {
        state: "s".to_owned(),
        nonce: "n".to_owned(),
        code_challenge: "c".to_owned(),
        page: PAGE.to_owned(),
    };
    let url = bench.provider.authorization_url(&parameters).await.unwrap();
    let query = form(url.split_once('?').unwrap().1);
    for (name, value) in [
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("scope", "openid email"),
        ("redirect_uri", PAGE),
        ("client_id", "wharfinger"),
    ] {
        assert_eq!(query[name], value, "{url}");
    }
}

#[tokio::test]
async fn an_address_must_be_verified_and_in_the_domain() {
    let domain = Some("Example.com");
    for (claims, domain, expected) in [
        (
            json!({"email": "ann@example.com", "email_verified": true, "hd": "example.com"}),
            domain,
            Ok(()),
        ),
        (
            json!({"email": "ann@example.com", "email_verified": true}),
            domain,
            Ok(()),
        ),
        (
            json!({"email": "ann@gmail.com", "email_verified": true}),
            None,
            Ok(()),
        ),
        (
            json!({"email": "ann@example.com", "email_verified": false, "hd": "example.com"}),
            domain,
            Err("verified"),
        ),
        (
            json!({"email": "ann@gmail.com", "email_verified": false}),
            None,
            Err("verified"),
        ),
        (
            json!({"email": "ann@gmail.com", "email_verified": true}),
            domain,
            Err("domain"),
        ),
        // A mailbox of that name in another organization.
        (
            json!({"email": "ann@example.com", "email_verified": true, "hd": "other.com"}),
            domain,
            Err("domain"),
        ),
        (
            json!({"email_verified": true, "hd": "example.com"}),
            domain,
            Err("name"),
        ),
    ] {
        let stub = OidcStub::start(START);
        let bench = Bench::google(&stub, domain);
        let mut all = claims.clone();
        all["sub"] = "7".into();
        stub.state().claims = all;
        let outcome = match sign_in(&stub, &bench).await {
            Ok(_) => Ok(()),
            Err(ProviderError::Refused(SignInRefusal::EmailNotVerified(_))) => Err("verified"),
            Err(ProviderError::Refused(SignInRefusal::OtherDomain { .. })) => Err("domain"),
            Err(ProviderError::Refused(SignInRefusal::NoName(_))) => Err("name"),
            Err(other) => panic!("{claims}: {other}"),
        };
        assert_eq!(outcome, expected, "{claims} {domain:?}");
    }
}
