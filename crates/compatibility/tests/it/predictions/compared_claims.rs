//! Which claims are compared, and when.

use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use serde_json::{Value, json};
use token::{HeaderMember, KeyIdKind, KeyKind};

use super::{Server, accepts, refusal};
use crate::{NOW, at};

#[test]
fn claims_come_before_the_key_in_2_8_and_after_it_in_3() {
    let server = Server::new(KeyKind::P256);
    let other = Server::new(KeyKind::P256);
    let token = other.kid(KeyIdKind::Libtrust);
    let settings = TokenAuthSettings {
        issuer: Some("other"),
        ..server.settings()
    };
    assert_eq!(
        refusal(RegistryVersion::V2_8, &token, settings).0,
        "token from untrusted issuer: \"auth\""
    );
    assert!(
        refusal(RegistryVersion::V3_1, &token, settings)
            .0
            .contains("token signed by untrusted key")
    );
    // What is not known is not compared.
    let unknown = TokenAuthSettings {
        issuer: None,
        service: None,
        ..server.settings()
    };
    assert!(accepts(
        RegistryVersion::V2_8,
        &server.kid(KeyIdKind::Libtrust),
        unknown
    ));
}

#[test]
fn audience_and_times_are_compared() {
    let server = Server::new(KeyKind::P256);
    let token = server.token(HeaderMember::X5c, KeyIdKind::Libtrust);
    let settings = TokenAuthSettings {
        service: Some("other"),
        ..server.settings()
    };
    assert_eq!(
        refusal(RegistryVersion::V2_8, &token, settings).0,
        "token intended for another audience: \"registry\""
    );
    assert_eq!(
        refusal(RegistryVersion::V3_1, &token, settings).0,
        "token intended for another audience: [registry]"
    );
    let at_time = |time| match predict(RegistryVersion::V2_8, &token, server.settings(), at(time)) {
        Prediction::Rejected(refusal) => refusal.logged,
        other => format!("{other:?}"),
    };
    assert_eq!(at_time(NOW + 360), "Accepted");
    assert_eq!(
        at_time(NOW + 361),
        "token not to be used after 2033-05-18 03:39:20 +0000 UTC - currently …"
    );
    assert_eq!(at_time(NOW - 60), "Accepted");
    assert_eq!(
        at_time(NOW - 61),
        "token not to be used before 2033-05-18 03:32:20 +0000 UTC - currently …"
    );
}

#[test]
fn a_list_of_audiences_is_too_new_for_2_8() {
    let server = Server::new(KeyKind::P256);
    let ids = server.key.public().ids();
    let claims = |aud: &Value| json!({"iss": "auth", "aud": aud, "exp": NOW + 300, "nbf": NOW});
    let header = |kid: &str| json!({"alg": "ES256", "kid": kid});
    let list = server.odd(&header(&ids.libtrust), &claims(&json!(["registry"])));
    let message = "error while unmarshalling raw token: json: cannot unmarshal array into Go struct field ClaimSet.aud of type string";
    assert_eq!(
        refusal(RegistryVersion::V2_8, &list, server.settings()).0,
        message
    );
    let list = server.odd(
        &header(&ids.registry_3_1),
        &claims(&json!(["x", "registry"])),
    );
    assert!(accepts(RegistryVersion::V3_1, &list, server.settings()));
    let odd = server.odd(&header(&ids.registry_3_1), &json!({"exp": 1.5}));
    let message =
        "error authorizing context: json: cannot unmarshal number 1.5 into Go value of type int64";
    assert_eq!(
        refusal(RegistryVersion::V3_1, &odd, server.settings()).0,
        message
    );
}
