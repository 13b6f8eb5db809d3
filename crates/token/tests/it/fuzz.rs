//! The parsers of foreign bytes, tried with mutations.

use std::str::from_utf8;

use token::{
    Certificate, Challenge, Jwk, JwkSet, PrivateKey, PublicKey, Scope, UnverifiedToken,
    verify_chain,
};

const CERTIFICATE: &str = include_str!("../../vectors/p256-certificate.pem");
const KEY: &str = include_str!("../../vectors/p256-leading-zero.pem");
const KEY_IDS: &str = include_str!("../../vectors/key-ids.json");

#[test]
fn fuzz_challenge() {
    let seeds = [
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
        r#"Basic realm="a \"b\" \\ c""#,
        "Negotiate, Digest dG9rZW4=, Basic realm=r",
        r#"bearer   Realm = "https://a/b" , error=invalid_token ,"#,
    ];
    fuzz::target("challenge", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let Ok(challenges) = Challenge::parse_all([text]) else {
            return false;
        };
        for challenge in challenges.iter().filter(|c| !c.parameters.is_empty()) {
            let printed = challenge.to_string();
            let again = Challenge::parse_all([printed.as_str()]);
            assert_eq!(again.as_deref(), Ok(std::slice::from_ref(challenge)));
        }
        true
    });
}

#[test]
fn fuzz_scope() {
    let seeds = [
        "repository:library/app:pull,push",
        "repository(plugin):app:pull",
        "registry:catalog:*",
        "repository:host.example:5000/foo:pull",
    ];
    fuzz::target("scope", &seeds, |bytes| {
        let scope = from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<Scope>().ok());
        if let Some(scope) = &scope {
            assert!(scope.actions.is_sorted_by(|one, next| one < next));
            assert_eq!(scope.to_string().parse().as_ref(), Ok(scope));
        }
        scope.is_some()
    });
}

#[test]
fn fuzz_token() {
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = r#"{"iss":"a","sub":"b","aud":["c"],"exp":1.5,"access":[{"type":"repository","name":"a","actions":["pull"]}]}"#;
    let seeds = [
        r#"{"alg":"ES256","kid":"A"}"#,
        r#"{"alg":"RS256","x5c":["AAAA"],"crit":["b64"]}"#,
    ]
    .map(|header| format!("{}.{}.c2ln", encode(header), encode(claims)));
    fuzz::target("token", &seeds, read_token);
    // The parts themselves, which mutated base64 seldom reaches.
    fuzz::target("claims", &[claims], |bytes| {
        let claims = data_encoding::BASE64URL_NOPAD.encode(bytes);
        read_token(format!("{}.{claims}.c2ln", encode(r#"{"alg":"ES256"}"#)).as_bytes())
    });
}

fn read_token(bytes: &[u8]) -> bool {
    let Some(token) = from_utf8(bytes)
        .ok()
        .and_then(|text| UnverifiedToken::parse(text).ok())
    else {
        return false;
    };
    let _ = (token.header().chain(), token.header().jwk());
    token.claims().is_ok()
}

#[test]
fn fuzz_pem_and_certificates() {
    fuzz::target("pem", &[CERTIFICATE, KEY], |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let _ = (
            PrivateKey::from_pem(text).is_ok(),
            PublicKey::from_pem(text).is_ok(),
        );
        Certificate::bundle_from_pem(text).is_ok()
    });
    let certificate = Certificate::bundle_from_pem(CERTIFICATE).unwrap().remove(0);
    fuzz::target("certificate", &[certificate.der()], |bytes| {
        let Ok(read) = Certificate::from_der(bytes) else {
            return false;
        };
        let now = read.not_before();
        let _ = verify_chain(
            &[read.clone(), certificate.clone()],
            std::slice::from_ref(&certificate),
            now,
        );
        true
    });
}

#[test]
fn fuzz_jwk() {
    let ids: serde_json::Value = serde_json::from_str(KEY_IDS).unwrap();
    let keys = ids["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["jwk"].to_string());
    let seeds: Vec<String> = keys
        .flat_map(|key| [format!(r#"{{"keys":[{key}]}}"#), key])
        .collect();
    fuzz::target("jwk", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        Jwk::from_json(text).is_ok() || JwkSet::from_json(text).is_ok()
    });
}
