//! Workloads in the running program: a platform's token as the password of every client, in a token
//! exchange, and under `wharfinger trust check`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use common::{Clock, SystemClock, unix_seconds};
use data_encoding::BASE64URL_NOPAD;
use peers::http::{self, Answer};
use peers::{
    Client, Docker, Image, OidcProviderServer, Output, Server, StubAnswer, TestCertificate,
    TestKeyKind, crane, helm, run, run_with_input, skopeo,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::e2e::world::login;
use crate::personal_tokens::builders::{helm_login, pull_chart, push_chart};
use crate::platform::{AUDIENCE, Platform, documented};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Each job may do everything in repositories below its own name, and those of the environment `prod`
/// may push.
const CONFIG: &str = r#"
server: {addr: "@addr@", log: {level: debug}}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users: {"": {}}
trust:
  - preset: github
    issuer: @issuer@
    audiences: [@audience@]
    rules:
      - claims: {repository_id: "74", environment: prod}
        max_ttl: 10m
        refresh_token: 1h
      - claims: {repository_owner_id: "65"}
        ceiling: [{name: "/./", actions: [pull]}]
acl:
  - match: {account: "github:*", name: "${labels:repository}/*"}
    actions: ["*"]
acl_quote_labels: true
registry: {storage: {filesystem: {root: "@folder@/data"}}}
"#;

struct Setup {
    platform: Platform,
    server: Server,
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let platform = Platform::start();
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@audience@", AUDIENCE)
            .replace("@issuer@", &platform.issuer());
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            platform,
            folder,
        }
    }

    /// A job's token, with these claims changed.
    fn token(&self, changes: &Value) -> String {
        let mut claims = documented::github(unix_seconds(SystemClock.now()));
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.platform.token(&claims)
    }

    fn exchange(&self, token: &str, more: &str) -> Answer {
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
             &subject_token_type=urn:ietf:params:oauth:token-type:jwt\
             &subject_token={token}&audience=wharfinger&{more}"
        );
        http::request(&["-d", &form, &self.server.url("/auth/token")])
    }

    fn refresh(&self, token: &str) -> Answer {
        let form = format!(
            "grant_type=refresh_token&service=wharfinger&refresh_token={token}\
             &scope=repository:octo-org/octo-repo/app:pull,push"
        );
        http::request(&["-d", &form, &self.server.url("/auth/token")])
    }

    fn check(&self, token: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(["trust", "check"]).arg(self.server.config());
        run_with_input(command.args(arguments), token)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let log = self.server.log();
        if thread::panicking() {
            eprintln!("the server's log:\n{log}");
        } else {
            assert!(!log.contains("eyJ"), "a token is in the log:\n{log}");
        }
    }
}

/// Pushes to the job's own repository and pulls again; anything else is denied.
fn pushes_and_pulls(client: &Client, push: &[&str], pull: &[&str], elsewhere: &[&str]) {
    client.run(push).succeeded();
    client.run(pull).succeeded();
    let refused = client.run(elsewhere).refused().to_lowercase();
    // Each client in its own words.
    let words = ["denied", "forbidden"];
    assert!(words.iter().any(|word| refused.contains(word)), "{refused}");
}

#[test]
fn docker_crane_and_skopeo_log_in_with_the_token_of_a_job() {
    let (setup, image) = (Setup::new(), Image::saying("a job's"));
    let host = setup.server.host_port();
    let token = setup.token(&json!({}));
    let own = format!("{host}/octo-org/octo-repo/app:1");
    let other = format!("{host}/octo-org/other/app:1");
    let layout = image.layout().display().to_string();

    let crane = crane();
    crane
        .run(&[
            "auth",
            "login",
            &host,
            "--username",
            "job",
            "--password",
            &token,
        ])
        .succeeded();
    let pulled = crane.home().join("pulled.tar").display().to_string();
    pushes_and_pulls(
        &crane,
        &["push", &layout, &own],
        &["pull", &own, &pulled],
        &["push", &layout, &other],
    );

    let skopeo = skopeo();
    let plain = "--tls-verify=false";
    login(&skopeo, &[plain], ("anything", &token), &host).succeeded();
    let (from, to) = (format!("oci:{layout}"), format!("docker://{own}-skopeo"));
    let no_tls = ["--dest-tls-verify=false", "--src-tls-verify=false"];
    pushes_and_pulls(
        &skopeo,
        &["copy", no_tls[0], &from, &to],
        &[
            "copy",
            no_tls[1],
            &to,
            &format!("dir:{}", skopeo.home().join("pulled").display()),
        ],
        &["copy", no_tls[0], &from, &format!("docker://{other}")],
    );

    let docker = Docker::start();
    docker.import(&image, &own).succeeded();
    docker.import(&image, &other).succeeded();
    let client = docker.client();
    login(&client, &[], ("oauth2accesstoken", &token), &host).succeeded();
    let stored = client.file(".docker/config.json");
    assert!(stored.contains("identitytoken"), "{stored}");
    pushes_and_pulls(&client, &["push", &own], &["pull", &own], &["push", &other]);
    assert_eq!(
        setup.platform.requests().len(),
        2,
        "the platform was asked once for its document and once for its keys"
    );
}

#[test]
fn helm_logs_in_with_the_token_of_a_job() {
    let setup = Setup::new();
    let (helm, host) = (helm(), setup.server.host_port());
    helm_login(&helm, ("job", &setup.token(&json!({}))), &host).succeeded();
    let own = format!("oci://{host}/octo-org/octo-repo");
    push_chart(&helm, "app", &own).succeeded();
    pull_chart(&helm, &format!("{own}/app")).succeeded();
    let other = push_chart(&helm, "app", &format!("oci://{host}/octo-org/other"));
    assert!(other.refused().contains("403"), "{other}");
    let expired = setup.token(&json!({"exp": 1}));
    let refused = helm_login(&helm, ("job", &expired), &host);
    assert!(refused.refused().contains("401"), "{refused}");
}

#[test]
fn curl_exchanges_a_token_and_refreshes_what_it_got() {
    let mut setup = Setup::new();
    let token = setup.token(&json!({}));
    let scope = "scope=repository:octo-org/octo-repo/app:pull,push";
    let answer = setup.exchange(&token, &format!("{scope}&access_type=offline"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        answer.json_string("issued_token_type"),
        Some("urn:ietf:params:oauth:token-type:access_token")
    );
    assert!(
        answer.body.contains("\"expires_in\":600"),
        "{}",
        answer.body
    );
    let bearer = format!(
        "Authorization: Bearer {}",
        answer.json_string("access_token").unwrap()
    );
    let upload = setup
        .server
        .url("/v2/octo-org/octo-repo/app/blobs/uploads/");
    let begun = http::request(&["-X", "POST", "-H", &bearer, &upload]);
    assert_eq!(begun.status, 202, "{}", begun.body);
    let refresh_token = answer.json_string("refresh_token").unwrap().to_owned();
    let refreshed = setup.refresh(&refresh_token);
    assert_eq!(
        refreshed.json_string("scope"),
        Some("repository:octo-org/octo-repo/app:pull,push"),
        "{}",
        refreshed.body
    );
    setup.server.wait_for_log("run_id=");
    let log = setup.server.log();
    let line = log.lines().find(|line| line.contains("run_id=")).unwrap();
    for part in [
        "account=\"github:74\"",
        "backend=\"trust\"",
        "grant=\"federated_token\"",
        "octo-org/octo-repo",
        "9001",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    // A job without the environment may pull, by the second rule, and gets no refresh token.
    let test = setup.token(&json!({"environment": "test"}));
    let answer = setup.exchange(&test, &format!("{scope}&access_type=offline"));
    assert_eq!(
        answer.json_string("scope"),
        Some("repository:octo-org/octo-repo/app:pull"),
        "{}",
        answer.body
    );
    assert_eq!(answer.json_string("refresh_token"), None);
    for changes in [
        json!({"repository_owner_id": "66", "repository_id": "75"}),
        json!({"exp": 1}),
        json!({"aud": "other"}),
    ] {
        let refused = setup.exchange(&setup.token(&changes), scope);
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert_eq!(refused.json_string("error"), Some("invalid_request"));
    }
    // The rule is gone, and so is what it allowed. The platform is away meanwhile.
    setup.platform.state().answer = Some(StubAnswer::Close);
    let config = fs::read_to_string(setup.server.config()).unwrap();
    fs::write(setup.server.config(), config.replace("\"74\"", "\"75\"")).unwrap();
    setup.server.wait_for_log("configuration reloaded");
    assert_eq!(setup.refresh(&refresh_token).status, 401);
    let pull = setup.exchange(&token, scope);
    assert_eq!(
        pull.json_string("scope"),
        Some("repository:octo-org/octo-repo/app:pull"),
        "{}",
        pull.body
    );
}

#[test]
fn a_command_says_what_becomes_of_a_token() {
    let setup = Setup::new();
    let place = |line: u32| {
        let config = setup.server.config();
        format!("{}:{line}", config.file_name().unwrap().display())
    };
    let good = setup.check(&setup.token(&json!({})), &[]);
    let said = good.succeeded();
    for line in [
        "issuer: github".to_owned(),
        "token: signature, audience and times are right".to_owned(),
        format!("{}: matches", place(10)),
        "account: github:74".to_owned(),
        "  environment: prod".to_owned(),
        "access tokens: at most 10m".to_owned(),
        "refresh token: for 1h".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    let foreign = setup.token(&json!({"repository_owner_id": "66", "repository_id": "75"}));
    let file = setup.folder.path().join("token");
    fs::write(&file, format!("{foreign}\n")).unwrap();
    let refused = setup.check("", &[&format!("@{}", file.display())]);
    assert!(!refused.status.success());
    for line in [
        format!(
            "{}: repository_id is \"75\", which does not match \"74\"",
            place(10)
        ),
        format!(
            "{}: repository_owner_id is \"66\", which does not match \"65\"",
            place(13)
        ),
    ] {
        assert!(refused.stdout.contains(&line), "{line}\n{refused}");
    }
    let expired = setup.check(&setup.token(&json!({"exp": 1})), &["--json", "-"]);
    let report: Value = serde_json::from_str(&expired.stdout).unwrap();
    assert_eq!(report["verified"], false);
    assert!(
        report["problem"]
            .as_str()
            .unwrap()
            .contains("it expired at")
    );
    assert_eq!(report["rules"][0]["matches"], true);
    assert_eq!(report["account"], Value::Null);
    let nothing = setup.check("", &[]);
    assert!(nothing.stderr.contains("there is no token"), "{nothing}");
    for text in ["secret", &"x".repeat(20_000)] {
        let refused = setup.check(text, &[]);
        assert!(refused.stdout.contains("issuer: not trusted"), "{refused}");
    }

    let mut explain = Command::new(PROGRAM);
    explain.arg("explain").arg(setup.server.config());
    explain.args(["--account", "job", "--password-stdin"]);
    let scope = "repository:octo-org/octo-repo/app:pull,push";
    let explained = run_with_input(explain.arg(scope), &setup.token(&json!({})));
    let said = explained.succeeded();
    assert!(said.contains("github:74 is accepted by trust"), "{said}");
    assert!(said.contains("run_id=\"9001\""), "{said}");
    assert!(said.contains("granted: pull, push"), "{said}");

    let connected = run(Command::new(PROGRAM)
        .args(["check", "--connect"])
        .arg(setup.server.config()));
    assert!(
        connected.succeeded().contains("github: 1 key"),
        "{connected}"
    );
}

/// A certified provider's own tokens, whose header, claims and keys are not made by these tests.
#[test]
fn a_token_of_a_certified_provider_logs_in() {
    const CALLBACK: &str = "http://localhost/oidc_auth";
    const VERIFIER: &str = "a-verifier-has-at-least-forty-three-characters";
    let provider = OidcProviderServer::start(CALLBACK);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    let challenge = BASE64URL_NOPAD.encode(digest.as_ref());
    let authorize = format!(
        "{}/auth?response_type=code&client_id=wharfinger&scope=openid+groups&state=s\
         &redirect_uri={CALLBACK}&code_challenge={challenge}&code_challenge_method=S256",
        provider.issuer()
    );
    let back = provider.sign_in(&authorize, "ann");
    let (_, code) = back.split_once("code=").unwrap();
    let code = code.split('&').next().unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}"
    );
    let secret = format!("wharfinger:{}", OidcProviderServer::CLIENT_SECRET);
    let tokens = http::request(&[
        "-u",
        &secret,
        "-d",
        &form,
        &format!("{}/token", provider.issuer()),
    ]);
    let token = tokens
        .json_string("id_token")
        .unwrap_or_else(|| panic!("{}", tokens.body));

    let folder = tempfile::tempdir().unwrap();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let sections = "trust: [{name: idp, issuer: \"@issuer@\", audiences: [wharfinger], \
                    rules: [{claims: {groups: red}, labels: {groups: groups}}]}]\n\
                    acl: [{match: {account: \"idp:ann\", labels: {groups: blue}}, actions: [pull]}]\n";
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         token: {{issuer: i, expiration: 900, certificate: \"@folder@/token.pem\", key: \"@folder@/token.key\"}}\n\
         {sections}"
    );
    let config = config
        .replace("@folder@", folder.path().to_str().unwrap())
        .replace("@issuer@", &provider.issuer());
    let server = Server::start(Path::new(PROGRAM), &config);
    let url = server.url("/auth?service=s&scope=repository:a:pull,push");
    let login = http::request(&["-u", &format!("any:{token}"), &url]);
    assert_eq!(
        login.json_string("scope"),
        Some("repository:a:pull"),
        "{}",
        login.body
    );
    let (signed, _) = token.rsplit_once('.').unwrap();
    let changed = format!("{signed}.AAAA");
    assert_eq!(
        http::request(&["-u", &format!("any:{changed}"), &url]).status,
        401
    );
}

/// The keys of a platform whose certificate no public authority signed: those of another token server.
#[test]
fn keys_are_fetched_from_a_server_with_an_authority_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["token", "tls"] {
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), name);
    }
    let start = |config: &str| {
        let config = config.replace("@folder@", folder.path().to_str().unwrap());
        Server::start(Path::new(PROGRAM), &config)
    };
    let token_section = |issuer: &str| {
        format!(
            "token: {{issuer: \"{issuer}\", expiration: 900, certificate: \"@folder@/token.pem\", \
             key: \"@folder@/token.key\"}}\n"
        )
    };
    let other = start(&format!(
        "server: {{addr: \"@addr@\", certificate: \"@folder@/tls.pem\", key: \"@folder@/tls.key\"}}\n\
         {}users: {{ann: {{}}}}\nacl: [{{match: {{}}, actions: []}}]\n",
        token_section("https://issuer.example")
    ));
    let url = format!("https://{}", other.host_port());
    let login = http::request(&["-u", "ann:x", &format!("{url}/auth?service={AUDIENCE}")]);
    let token = login
        .json_string("token")
        .unwrap_or_else(|| panic!("{}", login.body));
    for (authority, status) in [("ca_certificate: \"@folder@/tls.pem\", ", 200), ("", 503)] {
        let server = start(&format!(
            "server: {{addr: \"@addr@\"}}\n{}\
             trust: [{{name: other, issuer: \"https://issuer.example\", {authority}\
             jwks_url: \"{url}/.well-known/jwks.json\", audiences: [{AUDIENCE}], \
             rules: [{{claims: {{sub: ann}}}}]}}]\n\
             acl: [{{match: {{account: \"other:ann\"}}, actions: [pull]}}]\n",
            token_section("Acme")
        ));
        let url = server.url("/auth?service=s&scope=repository:a:pull");
        let answer = http::request(&["-u", &format!("any:{token}"), &url]);
        assert_eq!(answer.status, status, "{}\n{}", answer.body, server.log());
    }
}
