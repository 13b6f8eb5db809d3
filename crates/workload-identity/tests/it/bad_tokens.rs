//! Tokens that are wrong in one point each. Nothing else of them is, so each shows one check.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use token::{JwkSet, KeyKind, PrivateKey};
use workload_identity::{IssuerKeySource, Preset};

use crate::platform::{Platform, documented, key, sign, sign_text};
use crate::support::{Bench, START, rule, settings};

/// A change of a good token's header or claims, and a part of the reason for refusing it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TamperedToken {
    what: String,
    /// Members to set.
    #[serde(default)]
    header: Map<String, Value>,
    /// Claims to set.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Members and claims to remove, as `header.alg` or `claims.aud`.
    #[serde(default)]
    without: Vec<String>,
    reason: String,
}

impl TamperedToken {
    /// All of them. They only need other members, and are signed with the platform's own key.
    fn all(platform: &Platform) -> Vec<Self> {
        let text = include_str!("bad_tokens.jsonl")
            .replace("@iss@", &platform.issuer())
            .replace("@ISS@", &platform.issuer().to_uppercase());
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The token: a good one with these changes.
    fn token(&self, platform: &Platform) -> String {
        let (header, claims) = good(platform);
        let mut parts = json!({"header": header, "claims": claims});
        for (part, changes) in [("header", &self.header), ("claims", &self.claims)] {
            for (name, value) in changes {
                parts[part][name] = value.clone();
            }
        }
        for path in &self.without {
            let (part, name) = path.split_once('.').unwrap();
            let removed = parts[part].as_object_mut().unwrap().remove(name);
            assert!(removed.is_some(), "{path}");
        }
        platform.sign(&parts["header"], &parts["claims"])
    }
}

/// Trusts `platform`'s job in production, on the main branch.
fn bench(platform: &Platform) -> Bench {
    let mut settings = settings("github", Preset::Github, platform.issuer());
    let conditions = [
        ("repository_id", "74"),
        ("environment", "prod"),
        ("ref", "refs/heads/main"),
    ];
    settings.rules = vec![rule("github", Preset::Github, &conditions)];
    Bench::new(vec![settings])
}

/// The header and the claims of a good token.
fn good(platform: &Platform) -> (Value, Value) {
    let mut claims = documented::github(START);
    claims["iss"] = platform.issuer().into();
    (json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), claims)
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_point_logs_no_workload_in() {
    let platform = Platform::start();
    let bench = bench(&platform);
    let (header, claims) = good(&platform);
    let identity = bench.accepted(&platform.sign(&header, &claims)).await;
    assert_eq!(identity.subject.account, "github:74");
    let tampered = TamperedToken::all(&platform);
    assert!(tampered.len() >= 60, "{}", tampered.len());
    for case in tampered {
        let found = bench.refused(&case.token(&platform)).await;
        assert!(found.contains(&case.reason), "{}: {found}", case.what);
    }
}

/// Texts that are no tokens, or tokens that two programs could read as two.
#[tokio::test]
async fn a_text_that_is_malformed_or_ambiguous_logs_no_workload_in() {
    let platform = Platform::start();
    let bench = bench(&platform);
    let (header, claims) = good(&platform);
    let by_key = |header: &str, claims: &str| {
        let sign = |input: &[u8]| platform.state().keys[0].1.sign(input).unwrap();
        sign_text(header, claims, sign)
    };
    let (header, claims) = (header.to_string(), claims.to_string());
    let (first, behind) = claims.split_at(1);
    let token = by_key(&header, &claims);
    let parts: Vec<&str> = token.split('.').collect();
    let with_iss = |iss: &str| by_key(&header, &format!("{first}\"iss\":\"{iss}\",{behind}"));
    let long = "x".repeat(1024 * 1024);
    let cases = [
        (
            "iss twice",
            with_iss("https://evil.example"),
            "\"iss\" comes twice",
        ),
        (
            "the same iss twice",
            with_iss(&platform.issuer()),
            "\"iss\" comes twice",
        ),
        (
            "aud twice, once escaped",
            by_key(&header, &format!("{first}\"\\u0061ud\":\"other\",{behind}")),
            "\"aud\" comes twice",
        ),
        (
            "a member of a member twice",
            by_key(
                &header,
                &format!("{first}\"x\":{{\"y\":1,\"y\":2}},{behind}"),
            ),
            "\"y\" comes twice",
        ),
        (
            "alg twice",
            by_key(r#"{"alg":"none","alg":"ES256","kid":"k1"}"#, &claims),
            "its header cannot be read",
        ),
        (
            "x5t twice",
            by_key(r#"{"alg":"ES256","kid":"k1","x5t":"a","x5t":"b"}"#, &claims),
            "\"x5t\" comes twice",
        ),
        (
            "claims that are a list",
            by_key(&header, "[]"),
            "not a JSON object",
        ),
        (
            "claims that end early",
            by_key(&header, "{\"iss\":"),
            "its claims cannot be read",
        ),
        (
            "claims with more behind them",
            by_key(&header, &format!("{claims}{{}}")),
            "its claims cannot be read",
        ),
        (
            "1 MiB of claims",
            by_key(&header, &format!("{first}\"x\":\"{long}\",{behind}")),
            "more than the 16384",
        ),
        ("an empty text", String::new(), "three parts"),
        (
            "two parts",
            format!("{}.{}", parts[0], parts[1]),
            "three parts",
        ),
        (
            "five parts, as if encrypted",
            format!("{token}.a.b"),
            "three parts",
        ),
        (
            "no signature",
            format!("{}.{}.", parts[0], parts[1]),
            "does not verify",
        ),
        (
            "a signature that is cut",
            token[..token.len() - 2].to_owned(),
            "does not verify",
        ),
        (
            "a signature of another token",
            {
                let other = by_key(&header, &claims.replace("octocat", "octodog"));
                let signature = other.rsplit_once('.').unwrap().1;
                format!("{}.{}.{signature}", parts[0], parts[1])
            },
            "does not verify",
        ),
        ("base64 with padding", format!("{token}="), "not base64url"),
        (
            "a line end behind it",
            format!("{token}\n"),
            "not base64url",
        ),
        ("a space before it", format!(" {token}"), "not base64url"),
        (
            "changed claims",
            {
                let claims = BASE64URL_NOPAD.encode(claims.replace("\"74\"", "\"75\"").as_bytes());
                format!("{}.{claims}.{}", parts[0], parts[2])
            },
            "does not verify",
        ),
    ];
    for (what, text, reason) in cases {
        let found = bench.refused(&text).await;
        assert!(found.contains(reason), "{what}: {found}");
    }
}

/// Signatures that are right, by a key that is not the platform's.
#[tokio::test]
async fn a_signature_by_another_key_logs_no_workload_in() {
    let platform = Platform::start();
    let (other, other_key) = (Platform::start(), key());
    let mut trusted = settings("github", Preset::Github, platform.issuer());
    trusted.rules = vec![rule("github", Preset::Github, &[("repository_id", "74")])];
    let bench = Bench::new(vec![
        trusted,
        settings("forgejo", Preset::Forgejo, other.issuer()),
    ]);
    let (header, claims) = good(&platform);
    let attacker = key();
    let found = bench.refused(&sign(&header, &claims, &attacker)).await;
    assert!(found.contains("does not verify"), "{found}");
    // Another trusted platform signs for this one, under its own key's id and under this one's.
    other.state().keys.push(("k9".to_owned(), other_key));
    for kid in ["k9", "k1"] {
        let header = json!({"alg": "ES256", "kid": kid});
        let token = sign(&header, &claims, &other.state().keys[1].1);
        let found = bench.refused(&token).await;
        assert!(
            found.contains("not one of the provider's") || found.contains("does not verify"),
            "{kid}: {found}"
        );
    }
    // Without a kid, any key of the platform counts, and no other.
    let without = json!({"alg": "ES256"});
    bench.accepted(&platform.sign(&without, &claims)).await;
    let found = bench.refused(&sign(&without, &claims, &attacker)).await;
    assert!(found.contains("does not verify"), "{found}");
}

/// HMAC with what everyone knows: the public key in each of its forms (RFC 8725 §2.1).
#[tokio::test]
async fn a_public_key_is_no_secret_of_an_hmac() {
    let platform = Platform::start();
    platform.state().algorithms = json!(["HS256", "ES256"]);
    let bench = bench(&platform);
    let (_, claims) = good(&platform);
    let jwk = platform.state().key_set()["keys"][0].clone();
    let spki = platform.state().keys[0].1.public().spki().to_vec();
    let secrets = [
        spki,
        jwk.to_string().into_bytes(),
        Vec::new(),
        b"k1".to_vec(),
    ];
    for secret in secrets {
        let header = json!({"alg": "HS256", "kid": "k1"}).to_string();
        let token = sign_text(&header, &claims.to_string(), |input| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            hmac::sign(&key, input).as_ref().to_vec()
        });
        let found = bench.refused(&token).await;
        assert!(found.contains("\"HS256\""), "{found}");
    }
}

/// A key counts for the algorithms that the platform names and the key says, and for no other.
#[tokio::test]
async fn an_rsa_key_counts_for_its_own_algorithm_only() {
    let platform = Platform::start();
    let rsa = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
    let pem = rsa.to_pkcs8_pem().unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = data_encoding::BASE64.decode(der.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
    assert!(!pair.public_key().as_ref().is_empty());
    platform.state().keys = vec![("r1".to_owned(), rsa)];
    let (_, claims) = good(&platform);
    let signed = |algorithm: &str| {
        let padding = match algorithm {
            "PS256" => &RSA_PSS_SHA256 as &dyn aws_lc_rs::signature::RsaEncoding,
            _ => &RSA_PKCS1_SHA256,
        };
        let header = json!({"alg": algorithm, "kid": "r1"}).to_string();
        sign_text(&header, &claims.to_string(), |input| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), input, &mut signature)
                .unwrap();
            signature
        })
    };
    for (named, algorithm, is_accepted) in [
        (json!(["RS256", "PS256"]), "RS256", true),
        // The key itself says RS256 in the platform's set.
        (json!(["RS256", "PS256"]), "PS256", false),
        (json!(["PS256"]), "RS256", false),
        // OpenID Connect's default.
        (json!([]), "RS256", true),
        (json!(["none", "HS256"]), "RS256", true),
        (json!(["ES256"]), "RS256", false),
    ] {
        platform.state().algorithms = named.clone();
        let bench = bench(&platform);
        let token = signed(algorithm);
        match is_accepted {
            true => drop(bench.accepted(&token).await),
            false => drop(bench.refused(&token).await),
        }
    }
}

/// The same checks count for keys from a file.
#[tokio::test]
async fn keys_from_a_file_are_as_strict() {
    let platform = Platform::start();
    let keys = platform.state().key_set().to_string();
    let mut settings = settings("github", Preset::Github, platform.issuer());
    settings.keys = IssuerKeySource::File(JwkSet::from_json(&keys).unwrap());
    let bench = Bench::new(vec![settings]);
    let (header, claims) = good(&platform);
    bench.accepted(&platform.sign(&header, &claims)).await;
    bench.refused(&sign(&header, &claims, &key())).await;
    for algorithm in ["none", "HS256", "RS256"] {
        let header = json!({"alg": algorithm, "kid": "k1"});
        bench.refused(&platform.sign(&header, &claims)).await;
    }
    assert_eq!(platform.requests(), Vec::<String>::new());
}
