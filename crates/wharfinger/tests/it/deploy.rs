//! What `deploy/` holds, looked at by the programs that it is for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::program;

pub(crate) fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(file)
}

#[test]
fn systemd_takes_the_unit_and_finds_little_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("wharfinger.service");
    let text = fs::read_to_string(deploy("wharfinger.service")).unwrap();
    // The program must be there.
    fs::write(
        &unit,
        text.replace("/usr/bin/wharfinger", env!("CARGO_BIN_EXE_wharfinger")),
    )
    .unwrap();
    let verified = peers::run(
        Command::new(program("systemd-analyze"))
            .arg("verify")
            .arg(&unit),
    );
    assert_eq!((verified.succeeded(), verified.stderr.as_str()), ("", ""));
    // In tenths: 0 is nothing, 100 everything. Above the threshold it fails.
    let mut security = Command::new(program("systemd-analyze"));
    let security = peers::run(
        security
            .args(["security", "--offline=true", "--threshold=20"])
            .arg(&unit),
    );
    assert!(
        security
            .succeeded()
            .contains("Overall exposure level for wharfinger.service: 1."),
        "{security}"
    );
}

#[test]
fn the_command_lines_in_it_are_ours() {
    for (file, line) in [
        ("wharfinger.service", "ExecStart=/usr/bin/wharfinger up\n"),
        ("Containerfile", "CMD [\"up\", \"--host\", \"localhost\"]"),
        (
            "compose.yaml",
            "command: [up, --listen, \":5000\", --host, \"${REGISTRY_HOST:-localhost}\"]",
        ),
        ("compose-two.yaml", "command: [serve, /auth/wharfinger.yml]"),
    ] {
        let text = fs::read_to_string(deploy(file)).unwrap();
        assert!(text.contains(line), "{file}");
    }
    // None of these words is unknown: what is wrong is the name of the host, which is read after
    // them.
    let mut up = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let told = peers::run(up.args(["up", "--listen", ":5000", "--host", "no host"])).refused();
    assert!(
        told.starts_with("error: \"no host\" is not a host name"),
        "{told}"
    );
}

/// The configuration that compose-two.yaml asks for is accepted, and the registry's directory has
/// no private key but that of its TLS certificate.
#[test]
fn the_token_server_beside_registry_2_can_be_configured_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    made_as_compose_two_says(folder.path(), "auth.example.com");
    let auth = folder.path().join("auth");
    let file = auth.join("wharfinger.yml");
    let configuration = fs::read_to_string(&file).unwrap();
    let here = format!("{}/", auth.display());
    fs::write(&file, configuration.replace("/auth/", &here)).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let checked = peers::run(check.arg("check").arg(&file));
    assert!(checked.status.success(), "{checked}");

    let mounted = fs::read_dir(folder.path().join("registry")).unwrap();
    let mut mounted: Vec<_> = mounted.map(|entry| entry.unwrap().file_name()).collect();
    mounted.sort();
    assert_eq!(mounted, ["tls.key", "tls.pem", "token.pem"]);
    let services = fs::read_to_string(deploy("compose-two.yaml")).unwrap();
    let registry = services.split("\n  registry:\n").nth(1).unwrap();
    assert!(!registry.contains("./auth"), "{registry}");
}

/// Does what compose-two.yaml says to do first, in `folder` and for `host`; the administrator's
/// password is `sesame`.
pub(crate) fn made_as_compose_two_says(folder: &Path, host: &str) {
    let text = fs::read_to_string(deploy("compose-two.yaml")).unwrap();
    let (_, rest) = text.split_once("signing key.\n#\n").unwrap();
    let (commands, rest) = rest.split_once("# and auth/wharfinger.yml:\n").unwrap();
    let (configuration, _) = rest.split_once("# Then start both.").unwrap();
    let uncommented = |block: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("#   "));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    let program = env!("CARGO_BIN_EXE_wharfinger");
    let script = uncommented(commands)
        .replace("auth.example.com", host)
        .replace("registry.example.com", host)
        .replace(
            "wharfinger hash ",
            "echo sesame | wharfinger hash >password-hash ",
        )
        .replace("sudo chown", "true chown")
        .replace("wharfinger ", &format!("{program} "));
    let mut shell = Command::new(peers::program("sh"));
    peers::run(shell.args(["-ec", &script]).current_dir(folder)).succeeded();
    let auth = folder.join("auth");
    let hash = fs::read_to_string(auth.join("password-hash")).unwrap();
    let configuration = uncommented(configuration).replace("$2b$10$…", hash.trim());
    fs::write(auth.join("wharfinger.yml"), configuration).unwrap();
}

/// `deploy/image` with each builder makes both images: what they run, as whom, on which files. The
/// binary is a stand-in, for it has to be static.
#[test]
fn the_images_are_built_by_docker_and_by_buildah() {
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join("main.c"), folder.path().join("main"));
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let mut compile = Command::new(peers::program("cc"));
    peers::run(compile.arg("-static").arg("-o").arg(&binary).arg(&source)).succeeded();
    // buildah keeps its images here, not among this machine's.
    let storage = folder.path().join("storage.conf");
    let place = folder.path().display();
    let text = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{place}/images\"\nrunroot = \"{place}/run\"\n"
    );
    fs::write(&storage, text).unwrap();
    let docker = peers::Docker::start();
    for builder in ["docker", "buildah"] {
        let tag = format!("by-{builder}:1.0");
        let mut build = Command::new(peers::program("sh"));
        let build = build
            .arg(deploy("image"))
            .arg(&tag)
            .env("BUILDER", builder)
            .env("BINARY", &binary)
            .env("CONTAINERS_STORAGE_CONF", &storage)
            .env("DOCKER_HOST", docker.host());
        peers::run(build).succeeded();
        // Wherever it was built, compose finds it in docker.
        let inspect = |image: &str| {
            let format =
                "{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.Volumes}}";
            let client = docker.client();
            let output = client.run(&["image", "inspect", "--format", format, image]);
            output.succeeded().to_owned()
        };
        assert_eq!(
            inspect(&tag),
            "65532:65532 [/usr/bin/wharfinger] [up --host localhost] map[/var/lib/wharfinger:{}]"
        );
        assert_eq!(
            inspect(&format!("by-{builder}-registry:1.0")),
            "[/bin/registry] [serve /etc/docker/registry/config.yml] map[/var/lib/registry:{}]"
        );
    }
}

/// The configuration of the image is registry:2's own.
#[test]
fn the_images_configuration_is_that_of_registry_2() {
    let text = fs::read_to_string(deploy("registry-2.yml")).unwrap();
    let (_, text) = text.split_once('\n').unwrap();
    let image = include_str!("../../src/config/distribution/tests/registry-2.8-image.yml");
    assert_eq!(text, image);
}

/// `scripts/run` leaves it to cargo where the binary is: `CARGO_TARGET_DIR` may name another place.
#[test]
fn the_demonstration_runs_what_cargo_built() {
    let folder = tempfile::tempdir().unwrap();
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(deploy("../scripts/run"));
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        command
            .args(arguments)
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", "/elsewhere");
        peers::run(&mut command).succeeded().to_owned()
    };
    let built = "run --release --locked -p wharfinger -- up";
    assert_eq!(run(&[]), format!("{built} --data demo"));
    assert_eq!(
        run(&["--listen", ":5001", "--data", "/d"]),
        format!("{built} --listen :5001 --data /d")
    );
}
