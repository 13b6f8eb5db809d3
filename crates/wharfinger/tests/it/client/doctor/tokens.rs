//! The claims of tokens: audience, issuer, times, and access.

use std::fs;

use common::{Clock, SystemClock, unix_seconds};
use data_encoding::BASE64URL_NOPAD;
use peers::{Nginx, TestCertificate, TestKeyKind, Trust};
use token::PrivateKey;

use super::{ALL, Made, ProbeReport, Realm, Stage, X5C, key_ids, run_probes};
use crate::e2e::world::{ADMIN, READER};

const REFUSED: [&str; 2] = ["token-claims", "token-accepted"];

#[test]
fn tokens_for_another_audience() {
    for made in ALL {
        let audience = Stage::set(
            TestKeyKind::Rsa,
            made,
            &["--header", "jwk", "--service", "other"],
        );
        let evidence = "intended for another audience: its aud is [\"other\"], but the registry's service is \"r\"";
        audience
            .run_probes(&[])
            .fails(&REFUSED, evidence, "auth.token.service");
        let issuer = Stage::set(
            TestKeyKind::Rsa,
            made,
            &[&X5C[..], &["--issuer", "Other"]].concat(),
        );
        // The registry does not tell which issuer it requires; its file does.
        issuer
            .run_probes(&[])
            .fails(&["token-accepted"], "401", "untrusted issuer");
        for (name, text) in DIALECTS {
            let file = issuer.directory.path().join(name);
            fs::write(&file, text).unwrap();
            let report = issuer.run_probes(&["--config", &file.display().to_string()]);
            let evidence =
                "untrusted issuer: its iss is \"Other\", but the registry requires \"Acme\"";
            report.fails(&REFUSED, evidence, "auth.token.issuer");
            report.says("token-accepted", "401", "see token-claims");
        }
    }
}

/// The same issuer in the files of a registry, of ours, and of a token server of docker_auth's.
const DIALECTS: [(&str, &str); 3] = [
    (
        "registry.yml",
        "version: 0.1\nauth: {token: {realm: x, issuer: Acme, service: r, rootcertbundle: /certs/x.pem}}\n",
    ),
    (
        "ours.yml",
        "registry: {auth: {token: {realm: x, issuer: Acme, service: r, jwks: keys.json}}}\n",
    ),
    (
        "docker_auth.yml",
        "server: {addr: ':5001'}\ntoken: {issuer: Acme, expiration: 900}\nusers: {}\n",
    ),
];

#[test]
fn a_file_s_bundle_is_compared() {
    for made in ALL {
        let directory = tempfile::tempdir().unwrap();
        let other = TestCertificate::new(TestKeyKind::P256, directory.path(), "other").certificate;
        let stage = Stage::with_bundle(TestKeyKind::P256, made, &X5C, Some(&other));
        // A path as seen from the file.
        let file = directory.path().join("registry.yml");
        fs::write(
            &file,
            "version: 0.1\nauth: {token: {issuer: Acme, service: r, rootcertbundle: other.pem}}\n",
        )
        .unwrap();
        let report = stage.run_probes(&["--config", &file.display().to_string()]);
        report.fails(
            &["token-key", "token-accepted"],
            &key_ids(&other).0,
            "rootcertbundle",
        );
    }
}

#[test]
fn tokens_before_and_after_their_time() {
    for made in ALL {
        let early = Stage::set(
            TestKeyKind::Rsa,
            made,
            &[&X5C[..], &["--not-before", "now+10m"]].concat(),
        );
        early
            .run_probes(&[])
            .fails(&REFUSED, "token not valid before", "NTP");
        early.examine_with(&early.pair.certificate).fails(
            &REFUSED,
            "token not valid before",
            "NTP",
        );
        let late = handing_out(made, |now| claims(now - 1000, now - 100, r#","access":[]"#));
        late.run_probes(&[])
            .fails(&REFUSED, "token expired at", "NTP");
        late.examine_with(&late.pair.certificate)
            .fails(&REFUSED, "token expired at", "NTP");
    }
}

#[test]
fn tokens_that_end_soon_or_say_nothing_of_access() {
    for made in ALL {
        let short = handing_out(made, |now| claims(now, now + 30, r#","access":[]"#));
        short
            .run_probes(&[])
            .warns("token-claims", "valid for 30 s", "token.expiration: 900");
        let mute = handing_out(made, |now| claims(now, now + 900, ""));
        mute.run_probes(&[]).fails(
            &["token-claims"],
            "has no access claim",
            "correct the token server",
        );
    }
}

/// A token whose claims are written for the time.
fn handing_out(made: Made, claims: impl FnOnce(u64) -> String) -> Stage {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "token");
    let key = PrivateKey::from_pem(&fs::read_to_string(&pair.key).unwrap()).unwrap();
    let (libtrust, thumbprint) = key_ids(&pair.certificate);
    let kid = if made == Made::Registry3 {
        thumbprint
    } else {
        libtrust
    };
    let header = format!(r#"{{"typ":"JWT","alg":"RS256","kid":"{kid}"}}"#);
    let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let signed = format!(
        "{}.{}",
        encoded(&header),
        encoded(&claims(unix_seconds(SystemClock.now())))
    );
    let token = format!(
        "{signed}.{}",
        BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).unwrap())
    );
    let trust = Trust::Bundle(pair.certificate.clone());
    Stage::handing_out(&token, directory, pair, made, trust)
}

fn claims(begin: u64, end: u64, access: &str) -> String {
    format!(
        r#"{{"iss":"Acme","sub":"","aud":"r","exp":{end},"nbf":{begin},"iat":{begin},"jti":"j"{access}}}"#
    )
}

/// Runs the doctor with a login and a push.
fn pushing(who: (&str, &str), name: &str) -> ProbeReport {
    run_probes(
        &["--user", who.0, "--password-stdin", "--push", name],
        who.1,
    )
}

#[test]
fn rights_that_are_missing() {
    let nothing = |rules: &str| {
        rules.replace(
            "\"/.+/\"}\n    actions: [\"pull\"]",
            "\"/.+/\"}\n    actions: []",
        )
    };
    let push_alone = |rules: &str| {
        rules.replace(
            "\"/.+/\"}\n    actions: [\"pull\"]",
            "\"/.+/\"}\n    actions: [push]",
        )
    };
    let entry = "acl (a push needs pull, too): `- {match: {account: \"reader\", name: \"team/app\"}, actions: [pull, push]}";
    let (looking, empty, blind) = (
        Realm::start(),
        Realm::with_rules(nothing),
        Realm::with_rules(push_alone),
    );
    for made in ALL {
        let name = |registry: &peers::RunningRegistry| format!("{}/team/app", registry.host_port());
        let registry = looking.registry(made);
        let lacking = "granted repository:team/app:pull; missing repository:team/app:push";
        pushing(READER, &name(&registry)).fails(&["token-access"], lacking, entry);
        pushing(ADMIN, &name(&registry)).is_healthy();
        let anonymous = run_probes(&[&name(&registry)], "");
        let login = format!("wharfinger login {}", registry.host_port());
        anonymous.fails(
            &["token-access", "pull"],
            "granted nothing; missing",
            &login,
        );
        // The login is good, and no pull is.
        let evidence = "granted nothing; missing repository:team/app:pull,push";
        pushing(READER, &name(&empty.registry(made))).fails(
            &["token-access", "pull"],
            evidence,
            entry,
        );
        let lacking = "granted repository:team/app:push; missing repository:team/app:pull";
        pushing(READER, &name(&blind.registry(made))).fails(
            &["token-access", "pull"],
            lacking,
            entry,
        );
    }
}

#[test]
fn a_scope_that_is_not_what_the_registry_needs() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let proxy = Nginx::start(&format!(
            "listen @listen@; client_max_body_size 0; rewrite ^/v2/mirror/(.*)$ /v2/$1 break;\n\
             location / {{ rewrite ^/v2/mirror/(.*)$ /v2/$1 break; proxy_pass http://{}; proxy_set_header Host $http_host; }}",
            registry.host_port()
        ));
        let name = format!("{}/mirror/app", proxy.host_port());
        let report = run_probes(&["--user", ADMIN.0, "--password-stdin", &name], ADMIN.1);
        let evidence =
            "granted repository:mirror/app:pull; the registry requires repository:app:pull";
        report.fails(&["token-access"], evidence, "without changing the path");
    }
}
