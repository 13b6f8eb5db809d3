//! The tokens of the matrix: every header, and what else may be wrong with one.

use std::sync::Arc;

use common::unix_seconds;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use token::{Access, Claims, HeaderMember, HeaderOptions, Jwk, KeyIdKind, KeyKind, Signer};

use super::subject::{Subject, now};
use super::{ISSUER, SERVICE};

pub(super) struct Token {
    pub(super) name: String,
    pub(super) text: String,
}

/// Every subject's token with each header member and each key id.
pub(super) fn with_every_header(subjects: &[Subject]) -> Vec<Token> {
    let headers = [
        ("kid, libtrust", HeaderMember::Kid, KeyIdKind::Libtrust),
        ("kid, thumbprint", HeaderMember::Kid, KeyIdKind::Thumbprint),
        ("jwk, libtrust", HeaderMember::Jwk, KeyIdKind::Libtrust),
        ("jwk, thumbprint", HeaderMember::Jwk, KeyIdKind::Thumbprint),
        ("x5c", HeaderMember::X5c, KeyIdKind::Libtrust),
    ];
    let tokens = subjects.iter().flat_map(|subject| {
        headers.into_iter().map(move |(name, member, key_id)| {
            let options = HeaderOptions {
                members: &[member],
                key_id,
                chain: &subject.presented,
            };
            let signer = Signer::new(Arc::clone(&subject.key), options).unwrap();
            Token {
                name: format!("{} by {name}", subject.name),
                text: signer.sign(&claims()).unwrap(),
            }
        })
    });
    tokens.collect()
}

/// Tokens with something wrong, or unusual, each named as each registry looks keys up.
pub(super) fn odd(subjects: &[Subject]) -> Vec<Token> {
    let (rsa, ec) = (&subjects[0], &subjects[1]);
    let stranger = Subject::new("a stranger", KeyKind::P256);
    let mut tokens = Vec::new();
    for subject in [rsa, ec] {
        for id in [KeyIdKind::Libtrust, KeyIdKind::Thumbprint] {
            let name = |what: &str| format!("{} by {id:?}, {what}", subject.name);
            let kid = subject.key.public().id(id);
            let header = json!({"typ": "JWT", "alg": subject.key.algorithm().name(), "kid": kid});
            tokens.extend(
                wrong_claims()
                    .into_iter()
                    .map(|(what, claims)| signed(subject, name(what), &header, &claims)),
            );
            tokens.extend(
                odd_headers(subject, &stranger, &header)
                    .into_iter()
                    .map(|(what, header)| signed(subject, name(what), &header, &claims_json())),
            );
            let good = signed(subject, String::new(), &header, &claims_json()).text;
            let (head, signature) = good.rsplit_once('.').unwrap();
            let reversed: String = signature.chars().rev().skip(2).collect();
            tokens.push(Token {
                name: name("no signature"),
                text: format!("{head}."),
            });
            tokens.push(Token {
                name: name("another signature"),
                text: format!("{head}.{reversed}Aw"),
            });
            tokens.push(Token {
                name: name("a short signature"),
                text: format!("{head}.AAAA"),
            });
            let forged = signed(
                &stranger,
                name("a stranger's signature"),
                &header,
                &claims_json(),
            );
            tokens.push(forged);
        }
    }
    tokens.extend(with_every_header(&[stranger]));
    tokens
}

fn wrong_claims() -> Vec<(&'static str, Value)> {
    let with = |name: &str, value: Value| {
        let mut claims = claims_json();
        claims[name] = value;
        claims
    };
    let now = unix_seconds(now());
    vec![
        ("another issuer", with("iss", json!("Other \"one\""))),
        ("another audience", with("aud", json!("other"))),
        ("several audiences", with("aud", json!(["other", SERVICE]))),
        ("other audiences", with("aud", json!(["one", "two"]))),
        ("no audience", with("aud", Value::Null)),
        ("expired", with("exp", json!(now - 100))),
        ("expired within the leeway", with("exp", json!(now - 30))),
        ("not yet valid", with("nbf", json!(now + 100))),
        ("soon valid", with("nbf", json!(now + 30))),
        ("a broken time", with("exp", json!(now as f64 + 300.5))),
        ("a time as text", with("exp", json!("tomorrow"))),
        ("no access", with("access", Value::Null)),
        ("no claims", json!({})),
    ]
}

fn odd_headers(
    subject: &Subject,
    stranger: &Subject,
    header: &Value,
) -> Vec<(&'static str, Value)> {
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let chain = |subject: &Subject| {
        subject
            .presented
            .iter()
            .map(|c| BASE64.encode(c.der()))
            .collect::<Value>()
    };
    let jwk = subject.key.public().jwk();
    let certified = Jwk {
        chain: subject.presented.clone(),
        ..jwk.clone()
    };
    let miscertified = Jwk {
        chain: stranger.presented.clone(),
        ..jwk.clone()
    };
    let named = Jwk {
        key_id: Some("of my own".to_owned()),
        ..jwk.clone()
    };
    let mut private = serde_json::to_value(&jwk).unwrap();
    private["d"] = json!("AAAA");
    vec![
        ("no algorithm known", with("alg", json!("none"))),
        ("HMAC", with("alg", json!("HS256"))),
        ("PSS", with("alg", json!("PS256"))),
        ("another curve's algorithm", with("alg", json!("ES384"))),
        ("another hash", with("alg", json!("RS512"))),
        ("no kid", with("kid", json!(""))),
        ("a stranger's x5c", with("x5c", chain(stranger))),
        ("an empty x5c", with("x5c", json!([]))),
        ("x5c besides", with("x5c", chain(subject))),
        (
            "a stranger's jwk",
            with(
                "jwk",
                serde_json::to_value(stranger.key.public().jwk()).unwrap(),
            ),
        ),
        (
            "jwk besides, without kid",
            with("jwk", serde_json::to_value(&jwk).unwrap()),
        ),
        (
            "jwk with a certificate",
            with("jwk", serde_json::to_value(certified).unwrap()),
        ),
        (
            "jwk with a stranger's certificate",
            with("jwk", serde_json::to_value(miscertified).unwrap()),
        ),
        (
            "jwk with another kid",
            with("jwk", serde_json::to_value(named).unwrap()),
        ),
        ("jwk with a private number", with("jwk", private)),
        (
            "jwk of another kind",
            with("jwk", json!({"kty": "oct", "k": "AA"})),
        ),
        ("no jwk", with("jwk", Value::Null)),
    ]
}

fn signed(subject: &Subject, name: String, header: &Value, claims: &Value) -> Token {
    let encoded = |json: &Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let head = format!("{}.{}", encoded(header), encoded(claims));
    let signature = BASE64URL_NOPAD.encode(&subject.key.sign(head.as_bytes()).unwrap());
    Token {
        name,
        text: format!("{head}.{signature}"),
    }
}

fn claims_json() -> Value {
    serde_json::to_value(claims()).unwrap()
}

fn claims() -> Claims {
    let now = unix_seconds(now());
    Claims {
        issuer: ISSUER.to_owned(),
        subject: "alice".to_owned(),
        audience: SERVICE.to_owned(),
        expires_at: now + 3600,
        not_before: now,
        issued_at: now,
        id: "id".to_owned(),
        access: vec![Access {
            resource_type: "repository".to_owned(),
            name: "app".to_owned(),
            actions: Vec::new(),
        }],
        personal_token: String::new(),
    }
}
