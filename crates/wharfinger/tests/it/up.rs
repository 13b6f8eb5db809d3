//! `wharfinger up`: from nothing to a pulled image, with what it prints.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use peers::{
    Containerd, Docker, Image, Output, ReservedAddress, Server, crane, http, program, skopeo,
};

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

/// The administrator's password, as it was printed.
fn password(server: &Server) -> String {
    let line = lines(server, "Password of the user admin: ").remove(0);
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn docker_does_what_it_prints() {
    let (mut server, docker) = (up(), Docker::start());
    let host = server.host_port();
    let login = lines(&server, "docker login");
    assert_eq!(login.len(), 1);
    let file = server.directory().join("data/admin.password");
    assert_eq!(
        login[0],
        format!(
            "docker login {host} -u admin --password-stdin < {}",
            file.display()
        )
    );
    assert_eq!(mode(&file), 0o600);
    let stored = fs::read_to_string(&file).unwrap();
    assert_eq!(stored, format!("{}\n", password(&server)));

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
    admin
        .run(&["login", &host, "-u", "admin", "-p", stored.trim()])
        .succeeded();
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
        told.contains("ignoring --listen, --host, --ip") && !told.contains(&password),
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

    // Other machines do not have the file with the password.
    assert_eq!(
        lines(&server, "docker login"),
        [format!("docker login {host} -u admin")]
    );
    // The lines, as a shell takes them, for other directories than root's.
    let log = server.log();
    let from = log.find("mkdir -p /etc/docker").unwrap();
    let to = log[from..].find("Log in").unwrap() + from;
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
        (&["--listen", "5000"], 2, "is not an address to listen on"),
        (&["--host", "https://registry"], 2, "is not a host name"),
        (&["--listen", &address], 3, "hint: choose another port"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
        assert!(!data.join("wharfinger.yml").exists(), "{arguments:?}");
    }
}

/// Starts `up` on a directory with a configuration, and stops it if it starts.
fn start_again(data: &Path) -> Output {
    let mut up = Command::new("timeout");
    peers::run(
        up.args([
            "--preserve-status",
            "-s",
            "KILL",
            "5",
            PROGRAM,
            "up",
            "--data",
        ])
        .arg(data),
    )
}

#[test]
fn a_copied_directory_does_not_change_the_original() {
    let mut server = up();
    assert!(server.terminate().success());
    let data = server.directory().join("data");
    // A copy, a copy of a backup, and a file that names the original's paths.
    let [copy, backup, copied_backup, absolute] =
        ["copy", "backup", "copied-backup", "absolute"].map(|name| server.directory().join(name));
    let copied = |from: &Path, to: &Path| {
        peers::run(Command::new("cp").arg("-a").arg(from).arg(to)).succeeded();
    };
    let mut command = Command::new(PROGRAM);
    command
        .args(["registry", "backup"])
        .arg(data.join("wharfinger.yml"));
    let made = peers::run(command.arg(&backup));
    assert!(!made.succeeded().contains("correct in"), "{made}");
    copied(&data, &copy);
    copied(&backup, &copied_backup);
    copied(&data, &absolute);
    let original = server.directory().join("moved");
    fs::rename(&data, &original).unwrap();
    fs::rename(&backup, server.directory().join("moved-backup")).unwrap();
    for directory in [&copy, &copied_backup] {
        let output = start_again(directory);
        let started = "Starting with configuration";
        assert!(output.stdout.contains(started), "{output}");
        assert!(output.stderr.contains("listening"), "{output}");
        assert!(!data.exists() && !backup.exists(), "{output}");
    }

    fs::rename(&original, &data).unwrap();
    let file = absolute.join("wharfinger.yml");
    let text = fs::read_to_string(&file).unwrap();
    let named = text.replace("${config_dir}", &data.display().to_string());
    fs::write(&file, named).unwrap();
    for (key, from, to) in [
        (
            "database.url",
            "data/wharfinger.db",
            "absolute/wharfinger.db",
        ),
        (
            "registry.storage.filesystem.root",
            "data/content",
            "absolute/content",
        ),
    ] {
        let output = start_again(&absolute);
        assert_eq!(output.status.code(), Some(2), "{output}");
        for part in [key, "which is not in", "hint: if this is a copy", from] {
            assert!(output.stderr.contains(part), "{part}: {output}");
        }
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(from, to)).unwrap();
    }
    let output = start_again(&absolute);
    assert!(output.stderr.contains("listening"), "{output}");
}

#[test]
fn it_prints_what_docker_needs_for_plain_http() {
    let server = up();
    let expected = format!("\"insecure-registries\": [\"{}\"]", server.host_port());
    assert_eq!(lines(&server, "\"insecure-registries\""), [expected]);
    // With the line around it, it is a daemon.json.
    let line = lines(&server, "\"insecure-registries\"").remove(0);
    let json: serde_json::Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
    assert_eq!(json["insecure-registries"][0], server.host_port());
}

/// The first process of a container has files that docker's user cannot name.
#[test]
fn in_a_container_the_login_names_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let reserved = ReservedAddress::new();
    let address = reserved.to_string();
    let mut contained = Command::new("timeout");
    contained
        .args([
            "-s",
            "KILL",
            "5",
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            PROGRAM,
        ])
        .args(["up", "--listen", &address, "--data"])
        .arg(folder.path().join("data"));
    let output = peers::run(&mut contained);
    let logins: Vec<_> = output
        .stdout
        .lines()
        .filter(|line| line.contains("docker login"))
        .map(str::trim)
        .collect();
    assert_eq!(
        logins,
        [format!("docker login {address} -u admin")],
        "{output}"
    );
}

#[test]
fn a_configuration_that_it_may_not_read_is_named() {
    let mut server = up();
    assert!(server.terminate().success());
    let data = server.directory().join("data");
    let file = data.join("wharfinger.yml");
    std::os::unix::fs::chown(&file, Some(65534), Some(65534)).unwrap();
    let output = peers::run(
        crate::operation::without_capabilities(PROGRAM)
            .args(["up", "--data"])
            .arg(&data),
    );
    assert_eq!(output.status.code(), Some(2), "{output}");
    for part in ["cannot read the configuration", "Permission denied"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
    assert!(!output.stderr.contains("token.key"), "{output}");
}

#[test]
fn names_for_a_server_that_only_this_machine_reaches_get_a_note() {
    let server = Server::start_with(
        Path::new(PROGRAM),
        &[
            "up",
            "--data",
            "@directory@/data",
            "--listen",
            "@addr@",
            "--host",
            "registry.example.com",
        ],
    );
    let note = lines(&server, "note: only this machine reaches").remove(0);
    assert!(note.contains("\"registry.example.com\""), "{note}");
    assert!(note.contains("use --listen :"), "{note}");
}

#[test]
fn the_rule_in_the_comment_gives_users_what_is_below_their_names() {
    let mut server = up();
    assert!(server.terminate().success());
    let file = server.directory().join("data/wharfinger.yml");
    let text = fs::read_to_string(&file).unwrap();
    let commented = text.lines().filter(|line| line.starts_with("#   "));
    let rule: String = commented
        .map(|line| format!("  {}\n", &line[4..]))
        .collect();
    assert!(rule.contains("${account}"), "{text}");
    fs::write(&file, text.replace("acl:\n", &format!("acl:\n{rule}"))).unwrap();
    for (account, name, granted) in [
        ("bob", "bob/x", true),
        ("bob", "bob/x/y", true),
        ("bob", "bob", false),
        ("bob", "bobby/x", false),
        ("bob", "x/bob/y", false),
        ("", "x", false),
    ] {
        let mut explain = Command::new(PROGRAM);
        let scope = format!("repository:{name}:pull,push");
        let output = peers::run(
            explain
                .args(["explain", "--json", "--account", account])
                .arg(&file)
                .arg(&scope),
        );
        let answers: serde_json::Value = serde_json::from_str(output.succeeded()).unwrap();
        let is_granted = !answers[0]["granted"].as_array().unwrap().is_empty();
        assert_eq!(is_granted, granted, "{account} {name}: {answers}");
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
