//! The files of `deploy/` for Kubernetes and GitLab, and the program as the kubelet's credential provider:
//! Kubernetes' own types read them, and what is in them is run against a registry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{Clock, SystemClock, unix_seconds};
use data_encoding::BASE64;
use peers::{
    Client, Containerd, Docker, Image, Output, Server, TestCertificate, TestKeyKind, crane,
    kubernetes_peer, program, run, run_with_input,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deploy::deploy;
use crate::e2e::world::{ADMIN, crane_login};
use crate::platform::{Platform, documented};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// What the files call the registry.
const EXAMPLE: &str = "registry.example.com";
/// The image of the project in GitLab's documented claims.
const PROJECT: &str = "my-group/my-project";

/// A project's jobs push its image, and a service account pulls it.
const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users: {admin: {password: "$2y$05$KvtTTOOpGpQ6DjOUaNqmluOMkZQMFGEfmbG0xbayf0gCMr3uj9QTa"}}
trust:
  - preset: gitlab
    issuer: @gitlab@
    audiences: ["@addr@"]
    rules: [{claims: {project_id: "20"}, refresh_token: 1h}]
  - preset: kubernetes
    issuer: @kubernetes@
    audiences: ["@addr@"]
    rules: [{claims: {namespace: builds, service_account: builder}}]
acl:
  - {match: {account: admin}, actions: ["*"]}
  - {match: {account: "gitlab:20", name: "${labels:project_path}"}, actions: [pull, push]}
  - {match: {account: "kubernetes:builds:builder", name: "my-group/*"}, actions: [pull]}
acl_quote_labels: true
refresh_tokens: {}
registry: {storage: {filesystem: {root: "@folder@/data"}}}
"#;

/// A registry that trusts two platforms.
struct Setup {
    gitlab: Platform,
    kubernetes: Platform,
    server: Server,
    folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let (gitlab, kubernetes) = (Platform::start(), Platform::start());
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = CONFIG
            .replace("@folder@", folder.path().to_str().unwrap())
            .replace("@gitlab@", &gitlab.issuer())
            .replace("@kubernetes@", &kubernetes.issuer());
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            gitlab,
            kubernetes,
            folder,
        }
    }

    fn host(&self) -> String {
        self.server.host_port()
    }

    /// A file of ours with this registry in place of the example's.
    fn filled(&self, text: &str) -> String {
        text.replace(EXAMPLE, &self.host())
    }

    fn pod_token(&self) -> String {
        let mut claims = documented::kubernetes(unix_seconds(SystemClock.now()));
        claims["aud"] = json!([self.host()]);
        self.kubernetes.token(&claims)
    }

    /// Pushes the project's image as the administrator.
    fn push(&self) -> String {
        let (crane, image) = (crane(), Image::saying("platform files"));
        let reference = format!("{}/{PROJECT}:1", self.host());
        let host = self.host();
        crane_login(&crane, ADMIN, &host);
        let layout = image.layout().display().to_string();
        crane.run(&["push", &layout, &reference]).succeeded();
        reference
    }
}

/// YAML as JSON.
fn yaml(text: &str) -> Value {
    let read = kubernetes_peer().run_with_input(&["json"], text);
    serde_json::from_str(read.succeeded()).unwrap()
}

/// The first block of YAML after `heading` in the manual's page on workload identity.
fn manual(heading: &str) -> String {
    let page = fs::read_to_string(deploy("../docs/workload-identity.md")).unwrap();
    let (_, after) = page.split_once(heading).unwrap();
    let (_, block) = after.split_once("```yaml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

/// Runs the lines of a job with docker and the job's variables, as GitLab's runner does.
fn run_job(setup: &Setup, docker: &Docker, lines: &[&str]) -> Output {
    let mut claims = documented::gitlab(unix_seconds(SystemClock.now()));
    claims["aud"] = setup.host().into();
    let home = tempfile::tempdir().unwrap();
    // The docker that fits the daemon is in front.
    let docker_program = program("docker");
    let path = format!(
        "{}:{}",
        docker_program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut shell = Command::new(program("bash"));
    shell
        .args(["-eo", "pipefail", "-c", &lines.join("\n")])
        .current_dir(home.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", home.path())
        .env("DOCKER_HOST", docker.host())
        .env("WHARFINGER_ID_TOKEN", setup.gitlab.token(&claims))
        .env("WHARFINGER_REGISTRY", setup.host())
        .env("CI_PROJECT_PATH", PROJECT)
        .env("CI_COMMIT_SHORT_SHA", "714a629c");
    run(&mut shell)
}

/// A list of the job's lines; one line may stand for a list.
fn lines(job: &Value, member: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match &job[member] {
        Value::Array(lines) => lines.iter().map(text).collect(),
        line => vec![text(line)],
    }
}

#[test]
fn gitlab_s_job_pushes_with_the_template() {
    let (setup, docker, image) = (Setup::new(), Docker::start(), Image::saying("gitlab"));
    let file = fs::read_to_string(deploy("gitlab/wharfinger.yml")).unwrap();
    let template = &yaml(&file)[".wharfinger-login"];
    let audience = &template["id_tokens"]["WHARFINGER_ID_TOKEN"]["aud"];
    assert_eq!(audience, "$WHARFINGER_REGISTRY");
    let example = file.lines().filter_map(|line| line.strip_prefix("#   "));
    let job = &yaml(&example.collect::<Vec<_>>().join("\n"))["push"];
    assert_eq!(job["extends"], ".wharfinger-login");
    assert_eq!(job["variables"]["WHARFINGER_REGISTRY"], EXAMPLE);
    let reference = format!("{}/{PROJECT}:714a629c", setup.host());
    docker.import(&image, &reference).succeeded();
    let lines = [lines(template, "before_script"), lines(job, "script")].concat();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let pushed = run_job(&setup, &docker, &lines);
    assert!(
        pushed.succeeded().contains("714a629c: digest: sha256:"),
        "{pushed}"
    );
}

#[test]
fn gitlab_s_job_pushes_as_the_manual_says() {
    let (setup, docker, image) = (Setup::new(), Docker::start(), Image::saying("manual"));
    let job = &yaml(&setup.filled(&manual("The job, in `.gitlab-ci.yml`")))["push"];
    assert_eq!(job["id_tokens"]["WHARFINGER_ID_TOKEN"]["aud"], setup.host());
    let reference = format!("{}/{PROJECT}:latest", setup.host());
    docker.import(&image, &reference).succeeded();
    let lines = lines(job, "script");
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    run_job(&setup, &docker, &lines).succeeded();
}

/// A kubelet with the file of `deploy/` runs the program, and containerd pulls with the answer.
#[test]
fn a_kubelet_pulls_as_the_files_say() {
    let (setup, containerd) = (Setup::new(), Containerd::start());
    let reference = setup.push();
    let (folder, peer) = (setup.folder.path(), kubernetes_peer());
    let file = fs::read_to_string(deploy("kubernetes/credential-provider.yaml")).unwrap();
    let config = folder.join("credential-provider.yaml");
    fs::write(&config, setup.filled(&file)).unwrap();
    symlink(PROGRAM, folder.join("wharfinger")).unwrap();
    let (config, folder) = (config.display().to_string(), folder.display().to_string());
    let ask = |image: &str, token: &str| {
        let asked = peer.run_with_input(&["pull", &config, &folder, image], token);
        asked.succeeded().to_owned()
    };
    let answer: Value = serde_json::from_str(&ask(&reference, &setup.pod_token())).unwrap();
    assert_eq!(answer["cacheKeyType"], "Registry");
    let seconds = answer["cacheSeconds"].as_f64().unwrap();
    assert!((3400.0..=3547.0).contains(&seconds), "{seconds}");
    let login = &answer["auth"][setup.host()];
    let text = |member: &str| login[member].as_str().unwrap().to_owned();
    let user = format!("{}:{}", text("Username"), text("Password"));
    let pull = ["images", "pull", "--plain-http", "--snapshotter", "native"];
    let ctr = containerd.client();
    ctr.run(&[&pull[..], &["--user", &user, &reference]].concat())
        .succeeded();
    // Neither without a service account nor for another registry is the program asked.
    assert_eq!(ask(&reference, ""), "");
    assert_eq!(ask("docker.io/library/busybox", &setup.pod_token()), "");
}

#[test]
fn kubernetes_own_types_read_the_files() {
    let peer = kubernetes_peer();
    let decode = |text: &str| peer.run_with_input(&["decode"], text);
    let file = |name: &str| fs::read_to_string(deploy(name)).unwrap();
    let role = file("kubernetes/audience-role.yaml");
    assert_eq!(
        decode(&role).succeeded(),
        "rbac.authorization.k8s.io/v1 ClusterRole\n\
         rbac.authorization.k8s.io/v1 ClusterRoleBinding"
    );
    let provider = file("kubernetes/credential-provider.yaml");
    assert_eq!(
        decode(&provider).succeeded(),
        "kubelet.config.k8s.io/v1 CredentialProviderConfig"
    );
    let wrong = provider.replace("cacheType", "cacheTipe");
    assert!(decode(&wrong).refused().contains("unknown field"));
    let shown = manual("### How does a kubelet pull without a pull secret?");
    assert_eq!(yaml(&shown), yaml(&provider), "the manual's copy");
}

/// The secret that `robot add` prints for Kubernetes.
#[test]
fn a_pull_secret_is_one_of_kubernetes() {
    let setup = Setup::new();
    let reference = setup.push();
    let mut add = Command::new(PROGRAM);
    add.args(["robot", "add"]).arg(setup.server.config());
    add.args(["nodes", "--scope", "repository:my-group/*:pull"]);
    let printed = run(add.args(["--registry", &setup.host()]));
    let (_, after) = printed
        .succeeded()
        .split_once("  apiVersion: v1\n")
        .unwrap();
    let secret = after.lines().take_while(|line| line.starts_with("  "));
    let secret: Vec<_> = ["apiVersion: v1"]
        .into_iter()
        .chain(secret.map(str::trim_start))
        .collect();
    let secret = secret.join("\n");
    let decoded = kubernetes_peer().run_with_input(&["decode"], &secret);
    assert_eq!(decoded.succeeded(), "v1 Secret");
    let config = yaml(&secret)["data"][".dockerconfigjson"].clone();
    let config = BASE64.decode(config.as_str().unwrap().as_bytes()).unwrap();
    let client: Client = crane();
    let folder = client.home().join(".docker");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    client.run(&["manifest", &reference]).succeeded();
}

/// The answer to a kubelet's request.
fn provide(request: &Value, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("credential-provider").args(arguments);
    run_with_input(&mut command, &request.to_string())
}

/// A request as the kubelet writes it (Go's encoding of `CredentialProviderRequest`).
fn request(image: &str, token: Option<&str>) -> Value {
    let mut request = json!({
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": image,
    });
    if let Some(token) = token {
        request["serviceAccountToken"] = token.into();
        request["serviceAccountAnnotations"] = json!({"example.com/team": "shop"});
    }
    request
}

/// Checks an answer as the published type has it: the members, their types, their values.
fn conforms(response: &Value) {
    let members = response.as_object().unwrap();
    for name in members.keys() {
        let known = [
            "apiVersion",
            "kind",
            "cacheKeyType",
            "cacheDuration",
            "auth",
        ];
        assert!(known.contains(&name.as_str()), "{name}");
    }
    assert_eq!(
        response["apiVersion"],
        "credentialprovider.kubelet.k8s.io/v1"
    );
    assert_eq!(response["kind"], "CredentialProviderResponse");
    assert!(["Image", "Registry", "Global"].contains(&response["cacheKeyType"].as_str().unwrap()));
    let duration = response["cacheDuration"].as_str().unwrap();
    assert!(duration.strip_suffix('s').unwrap().parse::<u64>().is_ok());
    for (_, login) in response["auth"].as_object().into_iter().flatten() {
        let members: Vec<_> = login.as_object().unwrap().keys().collect();
        assert_eq!(members, ["username", "password"]);
        assert!(login["username"].is_string() && login["password"].is_string());
    }
}

#[test]
fn a_kubelet_pulls_with_the_token_of_the_pod() {
    let platform = Platform::start();
    let now = unix_seconds(SystemClock.now());
    let token = platform.token(&documented::kubernetes(now));
    for (image, host) in [
        ("registry.example.com/shop/app:1", "registry.example.com"),
        ("registry.example.com:5000/app", "registry.example.com:5000"),
        (
            "registry.example.com/app@sha256:f561cc41495c7dd7ebcc1dfb3ce1f4513478a96ccbce9f878cb2f1423472779e",
            "registry.example.com",
        ),
    ] {
        let output = provide(&request(image, Some(&token)), &[]);
        let response: Value = serde_json::from_str(output.succeeded()).unwrap();
        conforms(&response);
        let expected = json!({host: {"username": "kubernetes", "password": token}});
        assert_eq!(response["auth"], expected);
        let seconds = response["cacheDuration"].as_str().unwrap();
        let seconds: u64 = seconds.trim_end_matches('s').parse().unwrap();
        assert!((3400..=3547).contains(&seconds), "{seconds}");
    }
    let without = provide(&request("registry.example.com/app", None), &[]);
    let response: Value = serde_json::from_str(without.succeeded()).unwrap();
    conforms(&response);
    assert_eq!(response["auth"], Value::Null);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "whr_node\n").unwrap();
    let arguments = ["--token-file", file.to_str().unwrap()];
    let node = provide(&request("registry.example.com/app", None), &arguments);
    let response: Value = serde_json::from_str(node.succeeded()).unwrap();
    conforms(&response);
    assert_eq!(
        response["auth"]["registry.example.com"]["password"],
        "whr_node"
    );
    assert_eq!(response["cacheDuration"], "0s");
    let mut other = request("registry.example.com/app", Some(&token));
    other["apiVersion"] = "credentialprovider.kubelet.k8s.io/v1alpha1".into();
    for request in [
        other,
        json!({}),
        json!([]),
        request("NOT AN IMAGE", Some(&token)),
    ] {
        let refused = provide(&request, &[]);
        assert!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{refused}"
        );
        assert!(!refused.stderr.contains(&token), "{refused}");
    }
}
