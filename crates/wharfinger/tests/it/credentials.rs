//! The program as docker's credential helper, and the action of `deploy/` that logs jobs in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Clock, SystemClock, unix_seconds};
use peers::http;
use peers::{
    Docker, HttpStub, Image, Output, Server, StubAnswer, TestCertificate, TestKeyKind, run,
    run_with_input,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deploy::deploy;
use crate::platform::{AUDIENCE, Platform, documented};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Jobs of one repository log in, and only those of the environment `prod` get a refresh token.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
trust:
  - preset: github
    issuer: @issuer@
    audiences: [@audience@, "@addr@"]
    rules:
      - {claims: {repository_id: "74", environment: prod}, refresh_token: 1h}
      - {claims: {repository_id: "74"}}
acl: [{match: {account: "github:74"}, actions: ["*"]}]
registry: {storage: {filesystem: {root: "@folder@/data"}}}
"#;

/// A registry, a platform, and the platform's service that gives tokens to jobs.
struct Setup {
    platform: std::sync::Arc<Platform>,
    server: Server,
    service: HttpStub,
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let platform = std::sync::Arc::new(Platform::start());
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@audience@", AUDIENCE)
            .replace("@issuer@", &platform.issuer());
        let signer = std::sync::Arc::clone(&platform);
        // As GitHub's: the audience is in the query, and the job has a bearer token.
        let service = HttpStub::start(move |request| {
            if request.header("authorization") != Some("Bearer job-secret") {
                return StubAnswer::Status(401, String::new());
            }
            let (_, audience) = request.path.split_once("audience=").unwrap();
            let audience = audience.replace("%3A", ":");
            let token = job_token(&signer, &json!({"aud": audience}));
            StubAnswer::Status(200, json!({"count": 1, "value": token}).to_string())
        });
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            platform,
            service,
            folder,
        }
    }

    fn host(&self) -> String {
        self.server.host_port()
    }

    /// The helper under docker's name for it.
    fn helper(&self) -> PathBuf {
        let link = self.folder.path().join("docker-credential-wharfinger");
        if !link.exists() {
            symlink(PROGRAM, &link).unwrap();
        }
        link
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("state/credentials.json")
    }

    fn ask(&self, verb: &str, input: &str, variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(self.helper());
        command.arg(verb).env_clear();
        command.env("HOME", self.folder.path());
        command.env("WHARFINGER_CREDENTIALS", self.file());
        run_with_input(command.envs(variables.iter().copied()), input)
    }

    /// What `wharfinger sessions list` prints.
    fn sessions(&self) -> Value {
        let mut list = Command::new(PROGRAM);
        list.args(["sessions", "list", "--json"]);
        serde_json::from_str(run(list.arg(self.server.config())).succeeded()).unwrap()
    }

    /// What the platform tells each job.
    fn job(&self) -> [(&'static str, String); 2] {
        [
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                self.service.url("/token?api-version=2"),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-secret".to_owned()),
        ]
    }
}

/// A registry at which nothing listens.
const AWAY: &str = "127.0.0.1:1";

/// A login, as docker gives it to a helper.
fn entry(host: &str, user: &str) -> String {
    json!({"ServerURL": format!("https://{host}/v2/"), "Username": user, "Secret": "whr_x"})
        .to_string()
}

fn job_token(platform: &Platform, changes: &Value) -> String {
    let mut claims = documented::github(unix_seconds(SystemClock.now()));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    platform.token(&claims)
}

fn login(output: &Output) -> (String, String) {
    let json: Value = serde_json::from_str(output.succeeded()).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (text("Username"), text("Secret"))
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

#[test]
fn the_helper_keeps_refresh_tokens_and_nothing_else() {
    let setup = Setup::new();
    let none = setup.ask("get", AWAY, &[]);
    assert_eq!(none.stdout, "credentials not found in native keychain\n");
    assert!(!none.status.success());
    let refused = setup.ask("store", &entry(AWAY, "ann"), &[]);
    assert!(!refused.status.success());
    assert!(refused.stdout.contains("this is a password"), "{refused}");
    assert!(!setup.file().exists());
    setup.ask("store", &entry(AWAY, "<token>"), &[]).succeeded();
    let mode = fs::metadata(setup.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let got = login(&setup.ask("get", AWAY, &[]));
    assert_eq!(got, ("<token>".to_owned(), "whr_x".to_owned()));
    let listed: Value = serde_json::from_str(setup.ask("list", "", &[]).succeeded()).unwrap();
    assert_eq!(listed, json!({AWAY: "<token>"}));
    setup.ask("erase", AWAY, &[]).succeeded();
    assert_eq!(setup.ask("list", "", &[]).succeeded(), "{}");
    fs::write(setup.file(), "{").unwrap();
    let broken = setup.ask("get", AWAY, &[]);
    assert!(
        broken.stdout.contains("not a file of refresh tokens"),
        "{broken}"
    );
}

/// The server revokes the token, so a copy of it is useless.
#[test]
fn the_helper_revokes_what_it_forgets() {
    let setup = Setup::new();
    let job = setup.job();
    let (_, token) = login(&setup.ask("get", &setup.host(), &borrowed(&job)));
    assert_eq!(setup.sessions().as_array().unwrap().len(), 1);
    let erased = setup.ask("erase", &setup.host(), &[]);
    assert_eq!((erased.succeeded(), erased.stderr.as_str()), ("", ""));
    assert_eq!(setup.sessions(), json!([]));
    assert_eq!(setup.ask("list", "", &[]).succeeded(), "{}");
    let copy = http::request(&[
        "-d",
        &format!("grant_type=refresh_token&service=s&refresh_token={token}"),
        &setup.server.url("/auth/token"),
    ]);
    assert_eq!(copy.status, 401, "{}", copy.body);
    // Nothing is left to revoke.
    let again = setup.ask("erase", &setup.host(), &[]);
    assert_eq!((again.succeeded(), again.stderr.as_str()), ("", ""));
}

/// A logout ends and forgets, whatever the server does; standard error says that the token is still valid.
#[test]
fn the_helper_forgets_a_token_that_cannot_be_revoked() {
    let setup = Setup::new();
    let silent = HttpStub::start(|_| StubAnswer::Silence);
    let without_tokens = HttpStub::start(|_| StubAnswer::Status(200, "{}".to_owned()));
    for (host, words) in [
        (AWAY.to_owned(), "warning: the refresh token for"),
        (silent.address().to_string(), "did not respond within 10 s"),
        (
            without_tokens.address().to_string(),
            "cannot revoke tokens: the refresh token is only removed here",
        ),
    ] {
        setup
            .ask("store", &entry(&host, "<token>"), &[])
            .succeeded();
        let erased = setup.ask("erase", &host, &[]);
        assert_eq!(erased.succeeded(), "");
        assert!(erased.stderr.contains(words), "{erased}");
        assert!(!erased.stderr.contains("whr_x"), "{erased}");
        assert_eq!(setup.ask("list", "", &[]).succeeded(), "{}");
    }
}

#[test]
fn the_helper_logs_a_job_in_with_its_platforms_token() {
    let setup = Setup::new();
    let job = setup.job();
    let job = borrowed(&job);
    let (user, first) = login(&setup.ask("get", &setup.host(), &job));
    assert_eq!(user, "<token>");
    assert!(first.starts_with("whr_"), "{first}");
    // The same one again, because it is still good.
    assert_eq!(login(&setup.ask("get", &setup.host(), &job)).1, first);
    let mut revoke = Command::new(PROGRAM);
    revoke.args(["sessions", "revoke", "--all"]);
    run(revoke.arg(setup.server.config())).succeeded();
    let (_, second) = login(&setup.ask("get", &setup.host(), &job));
    assert!(second.starts_with("whr_") && second != first);

    // A rule that gives no refresh token: the platform's own token is the login.
    let own = job_token(&setup.platform, &json!({"environment": "test"}));
    fs::remove_file(setup.file()).unwrap();
    let host = setup.host();
    let given = [
        ("WHARFINGER_ID_TOKEN", own.as_str()),
        ("WHARFINGER_REGISTRY", host.as_str()),
    ];
    let got = login(&setup.ask("get", &host, &given));
    assert_eq!(got, ("workload".to_owned(), own.clone()));
    let file = setup.folder.path().join("id-token");
    fs::write(&file, format!("{own}\n")).unwrap();
    let given = [
        ("WHARFINGER_ID_TOKEN_FILE", file.to_str().unwrap()),
        ("WHARFINGER_REGISTRY", host.as_str()),
    ];
    assert_eq!(login(&setup.ask("get", &host, &given)).1, own);
}

/// A token for this registry must not reach another one.
#[test]
fn a_token_is_sent_to_the_registry_that_it_is_for() {
    let setup = Setup::new();
    let other = HttpStub::start(|_| StubAnswer::Status(401, String::new()));
    let other_host = other.address().to_string();
    let token = job_token(&setup.platform, &json!({}));
    let host = setup.host();
    let job = setup.job();
    let mut elsewhere = borrowed(&job);
    elsewhere.push(("WHARFINGER_REGISTRY", host.as_str()));
    for variables in [vec![("WHARFINGER_ID_TOKEN", token.as_str())], elsewhere] {
        let none = setup.ask("get", &other_host, &variables);
        assert!(none.stdout.contains("credentials not found"), "{none}");
    }
    assert_eq!(other.connections(), 0);
    let mut audience = borrowed(&job);
    audience.push(("WHARFINGER_AUDIENCE", AUDIENCE));
    let refused = setup.ask("get", &host, &audience);
    assert!(
        refused.stdout.contains("without WHARFINGER_REGISTRY"),
        "{refused}"
    );
    audience.push(("WHARFINGER_REGISTRY", host.as_str()));
    let (user, _) = login(&setup.ask("get", &host, &audience));
    assert_eq!(user, "<token>");
}

#[test]
fn a_logout_ends_although_the_server_is_silent() {
    let (home, silent) = (
        tempfile::tempdir().unwrap(),
        HttpStub::start(|_| StubAnswer::Silence),
    );
    let (host, config) = (
        silent.address().to_string(),
        home.path().join("config.json"),
    );
    let login = json!({"auths": {&host: {"auth": "PHRva2VuPjo=", "identitytoken": "whr_x"}}});
    fs::write(&config, login.to_string()).unwrap();
    let mut logout = Command::new(PROGRAM);
    logout.args(["logout", &host]).env_clear();
    let output = run(logout
        .env("DOCKER_CONFIG", home.path())
        .env("HOME", home.path()));
    let removed = format!("removed the login for {host} from ");
    assert!(output.succeeded().contains(&removed), "{output}");
    let words = "was not revoked and stays valid until it expires";
    assert!(output.stderr.contains(words), "{output}");
    assert!(!fs::read_to_string(&config).unwrap().contains("whr_x"));
}

#[test]
fn docker_pushes_with_the_helper_and_no_login() {
    let (setup, docker, image) = (Setup::new(), Docker::start(), Image::saying("no login"));
    let reference = format!("{}/octo-org/octo-repo:1", setup.host());
    docker.import(&image, &reference).succeeded();
    let client = docker.client();
    let config = json!({"credHelpers": {setup.host(): "wharfinger"}}).to_string();
    let folder = client.home().join(".docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    let path = format!(
        "{}:{}",
        setup.helper().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let job = setup.job();
    let mut variables = borrowed(&job);
    let file = setup.file();
    variables.extend([
        ("PATH", path.as_str()),
        ("WHARFINGER_CREDENTIALS", file.to_str().unwrap()),
    ]);
    client
        .run_with_variables(&["push", &reference], &variables)
        .succeeded();
    assert_eq!(setup.sessions().as_array().unwrap().len(), 1);
    client
        .run_with_variables(&["logout", &setup.host()], &variables)
        .succeeded();
    assert_eq!(setup.sessions(), json!([]), "docker logout revokes, too");
}

/// The composite action's script, with docker in place of which a script keeps what it was given.
#[test]
fn the_action_logs_docker_in_with_the_jobs_token() {
    let setup = Setup::new();
    let folder = setup.folder.path();
    let docker = folder.join("docker");
    fs::write(
        &docker,
        "#!/bin/sh\necho \"$@\" >\"$OUT.arguments\"\ncat >\"$OUT\"\n",
    )
    .unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let out = folder.join("given");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = |variables: &[(&str, String)]| {
        let mut command = Command::new("bash");
        command.arg(deploy("github-action/login.sh"));
        command.env_clear().env("PATH", &path).env("OUT", &out);
        run(command.envs(
            variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        ))
    };
    let mut variables = setup.job().to_vec();
    variables.push(("REGISTRY", "registry.example.com".to_owned()));
    let said = script(&variables);
    let masked = said.succeeded();
    let token = fs::read_to_string(&out).unwrap();
    assert_eq!(masked, format!("::add-mask::{token}"));
    let arguments = fs::read_to_string(folder.join("given.arguments")).unwrap();
    assert_eq!(
        arguments,
        "login --username workload --password-stdin registry.example.com\n"
    );
    let mut check = Command::new(PROGRAM);
    check.args(["trust", "check"]).arg(setup.server.config());
    run_with_input(&mut check, &token).succeeded();
    let refused = script(&[("REGISTRY", "registry.example.com".to_owned())]);
    assert!(refused.stdout.contains("id-token: write"), "{refused}");
    assert!(!refused.status.success());
    let action = fs::read_to_string(deploy("github-action/action.yml")).unwrap();
    assert!(action.contains("run: bash \"$GITHUB_ACTION_PATH/login.sh\""));
    // Values of inputs are variables, never part of the script.
    assert!(!action.split("run:").nth(1).unwrap().contains("${{"));
}
