//! `wharfinger up`: from nothing to a pulled image, with what it prints.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use peers::{Containerd, Docker, Image, Output, Server, crane, http, program, skopeo};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Starts it on a loopback port.
fn up() -> Server {
    Server::start_with(
        Path::new(PROGRAM),
        &["up", "--data", "@directory@/data", "--listen", "@addr@"],
    )
}

/// The lines that it printed to be copied, which begin with `start`.
fn lines(server: &Server, start: &str) -> Vec<String> {
    let log = server.log();
    log.lines()
        .map(str::trim)
        .filter(|line| line.starts_with(start))
        .map(str::to_owned)
        .collect()
}

/// The administrator's password.
fn password(server: &Server) -> String {
    let login = lines(server, "docker login").remove(0);
    login.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn docker_does_what_it_prints() {
    let (mut server, docker) = (up(), Docker::start());
    let host = server.host_port();
    let login = lines(&server, "docker login");
    assert_eq!(login.len(), 1);
    assert!(
        login[0].starts_with(&format!("docker login {host} -u admin -p ")),
        "{login:?}"
    );

    // The image that the lines speak of comes from elsewhere; here from us.
    docker.import(&Image::saying("up"), "busybox").succeeded();
    let (admin, stranger) = (docker.client(), docker.client());
    let words = |line: &str| {
        line.split(' ')
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let run = |line: &str| {
        let words = words(line);
        admin.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run(&login[0]).succeeded();
    for start in [
        "docker tag busybox",
        &format!("docker push {host}"),
        &format!("docker pull {host}"),
    ] {
        let line = lines(&server, start);
        assert_eq!(line.len(), 1, "{start}");
        run(&line[0]).succeeded();
    }
    assert!(
        admin.file(".docker/config.json").contains("identitytoken"),
        "a refresh token is kept, not the password"
    );
    let refused = stranger
        .run(&["pull", &format!("{host}/busybox")])
        .refused();
    assert!(refused.contains("unauthorized"), "{refused}");

    // Seeds' pages: the catalog and a tag list, by curl, with a token of the administrator's.
    let realm = server.url("/auth?service=");
    let challenge = http::get(&server.url("/v2/"));
    assert_eq!(challenge.status, 401);
    let service = challenge
        .header("www-authenticate")
        .unwrap()
        .split("service=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next();
    let scope = format!(
        "{realm}{}&scope=registry:catalog:*",
        service.unwrap().replace(' ', "%20")
    );
    let token = http::request(&["-u", &format!("admin:{}", password(&server)), &scope]);
    let bearer = format!(
        "Authorization: Bearer {}",
        token.json_string("token").unwrap()
    );
    let catalog = http::request(&["-H", &bearer, &server.url("/v2/_catalog")]);
    assert_eq!(catalog.body.trim(), r#"{"repositories":["busybox"]}"#);
    assert!(server.terminate().success());
}

#[test]
fn run_again_it_changes_nothing_and_starts() {
    let mut server = up();
    let data = server.directory().join("data");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(
        (
            mode(&data.join("wharfinger.yml")),
            mode(&data.join("token.key"))
        ),
        (0o600, 0o600)
    );
    let (password, host) = (password(&server), server.host_port());
    let configuration = fs::read_to_string(data.join("wharfinger.yml")).unwrap();
    assert!(!configuration.contains(&password) && configuration.contains("$2b$10$"));
    let image = Image::saying("again");
    let crane = crane();
    crane
        .run(&["auth", "login", &host, "-u", "admin", "-p", &password])
        .succeeded();
    crane
        .run(&[
            "push",
            &image.layout().display().to_string(),
            &format!("{host}/team/app:1"),
        ])
        .succeeded();
    assert!(server.terminate().success());

    // Its own address counts, not the one asked for now; so the port that Server finds free is not
    // looked at.
    let mut again = std::process::Command::new(PROGRAM);
    again
        .args(["up", "--listen", "127.0.0.1:1", "--data"])
        .arg(&data);
    let log = fs::File::create(server.directory().join("again.log")).unwrap();
    let mut again = again
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let url = format!("http://{host}/healthz");
    let came_up = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        http::try_request(&[&url]).is_some_and(|answer| answer.status == 200)
    });
    let listed = crane.run(&["ls", &format!("{host}/team/app")]);
    again.kill().unwrap();
    again.wait().unwrap();
    let told = fs::read_to_string(server.directory().join("again.log")).unwrap();
    assert!(came_up, "{told}");
    assert_eq!(listed.succeeded(), "1");
    assert!(
        told.contains("--listen, --host and --ip do not") && !told.contains(&password),
        "{told}"
    );
    assert_eq!(
        fs::read_to_string(data.join("wharfinger.yml")).unwrap(),
        configuration
    );
}

#[test]
fn others_trust_it_with_the_lines_that_it_prints() {
    // An address that no client takes for loopback, where some forgive a certificate that they do
    // not know.
    let own = own_address();
    let arguments = [
        "up",
        "--data",
        "@directory@/data",
        "--listen",
        ":@port@",
        "--ip",
        &own,
    ];
    let server = Server::start_with(Path::new(PROGRAM), &arguments);
    let port = server.host_port().rsplit(':').next().unwrap().to_owned();
    let (host, password) = (format!("{own}:{port}"), password(&server));

    // The lines, as a shell takes them, for other directories than root's.
    let log = server.log();
    let from = log.find("mkdir -p /etc/docker").unwrap();
    let to = log[from..].find("Log in, push, pull").unwrap() + from;
    let directory = server.directory().display().to_string();
    let script = log[from..to]
        .replace("and containerd", "# and containerd")
        .replace("/etc/", &format!("{directory}/"));
    peers::run(Command::new(program("sh")).args(["-ec", &script])).succeeded();
    let docker_certificates = format!("{directory}/docker/certs.d/{host}");
    assert!(
        fs::read_to_string(format!("{docker_certificates}/ca.crt"))
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE")
    );

    let image = Image::saying("from elsewhere");
    let from = format!("oci-archive:{}", image.archive().display());
    let to = format!("docker://{host}/team/app:1");
    let credentials = format!("--dest-creds=admin:{password}");
    let refused = skopeo().run(&["copy", &credentials, &from, &to]).refused();
    assert!(refused.contains("certificate"), "{refused}");
    // skopeo reads such a directory as docker does.
    skopeo()
        .run(&[
            "copy",
            "--dest-cert-dir",
            &docker_certificates,
            &credentials,
            &from,
            &to,
        ])
        .succeeded();

    let containerd = Containerd::start();
    let hosts = format!("{directory}/containerd/certs.d");
    let pull = |options: &[&str]| -> Output {
        let user = format!("admin:{password}");
        let reference = format!("{host}/team/app:1");
        let arguments = [
            &["images", "pull", "--user", &user, "--snapshotter", "native"],
            options,
            &[&reference],
        ]
        .concat();
        containerd.client().run(&arguments)
    };
    assert!(pull(&[]).refused().contains("certificate"));
    pull(&["--hosts-dir", &hosts]).succeeded();
}

#[test]
fn nothing_is_made_for_what_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |arguments: &[&str]| {
        let mut up = Command::new(PROGRAM);
        peers::run(up.arg("up").arg("--data").arg(&data).args(arguments))
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, code, expected) in [
        (
            &["--listen", ":5000"][..],
            2,
            "but by which name?\nhint: add --host",
        ),
        (&["--listen", "5000"], 2, "is no address to listen on"),
        (&["--host", "https://registry"], 2, "is not a host name"),
        (&["--listen", &address], 3, "hint: choose another port"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
        assert!(!data.join("wharfinger.yml").exists(), "{arguments:?}");
    }
}

/// An address of this machine by which others reach it. Nothing is sent: connecting chooses the way
/// out.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let chosen = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr());
    chosen.unwrap().ip().to_string()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}
