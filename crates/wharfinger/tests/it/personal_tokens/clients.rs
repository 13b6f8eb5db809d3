//! Real clients with the secrets of a robot and of a person.

use peers::{Client, Containerd, Docker, Image, buildah, crane, podman, regctl, skopeo};

use super::{Printed, add_robot, command, create_token};
use crate::e2e::ours::Ours;
use crate::e2e::world::{crane_login, login};

const PLAIN: &str = "--tls-verify=false";
const REVOKED: &str = "the token was revoked: ask for a new one";

/// A robot of the system and a personal token, both for `team/*`.
fn secrets(ours: &Ours) -> [Printed; 2] {
    let scope = ["--scope", "repository:team/*:pull,push"];
    [
        add_robot(ours, "ci", &scope),
        create_token(ours, "admin", "laptop", &scope),
    ]
}

fn revoke(ours: &Ours, secrets: &[Printed; 2]) {
    let [robot, token] = secrets;
    command(ours, &["robot", "remove", "FILE", &robot.account]).succeeded();
    command(
        ours,
        &["personal-token", "revoke", "FILE", "--id", &token.id],
    )
    .succeeded();
}

#[test]
fn docker_with_a_robot_and_a_personal_token() {
    for ours in [Ours::start(), Ours::with_refresh_tokens()] {
        let (docker, host) = (Docker::start(), ours.host());
        let image = Image::saying("tokens");
        let secrets = secrets(&ours);
        let clients: Vec<Client> = secrets
            .iter()
            .map(|secret| {
                let client = docker.client();
                let user = (secret.account.as_str(), secret.secret.as_str());
                login(&client, &[], user, &host).succeeded();
                client
            })
            .collect();
        for (number, client) in clients.iter().enumerate() {
            let own = format!("{host}/team/app{number}:1");
            let other = format!("{host}/other/app:1");
            docker.import(&image, &own).succeeded();
            client.run(&["push", &own]).succeeded();
            client.run(&["rmi", &own]).succeeded();
            client.run(&["pull", &own]).succeeded();
            client.run(&["tag", &own, &other]).succeeded();
            let over = client.run(&["push", &other]);
            let words = "this is over its ceiling";
            assert!(over.refused().contains(words), "{over}");
        }
        revoke(&ours, &secrets);
        for (number, client) in clients.iter().enumerate() {
            let pull = client.run(&["pull", &format!("{host}/team/app{number}:1")]);
            assert!(pull.refused().contains(REVOKED), "{pull}");
            let secret = &secrets[number];
            let again = login(client, &[], (&secret.account, &secret.secret), &host);
            assert!(again.refused().contains(REVOKED), "{again}");
        }
    }
}

#[test]
fn docker_logs_in_with_the_name_of_a_token() {
    let (ours, docker) = (Ours::with_refresh_tokens(), Docker::start());
    let [_, token] = secrets(&ours);
    let (client, host) = (docker.client(), ours.host());
    login(&client, &[], ("<token>", &token.secret), &host).succeeded();
    let reference = format!("{host}/team/app:1");
    docker
        .import(&Image::saying("token"), &reference)
        .succeeded();
    client.run(&["push", &reference]).succeeded();
}

#[test]
fn skopeo_podman_and_buildah_with_a_robot_and_a_personal_token() {
    let ours = Ours::start();
    let (host, image) = (ours.host(), Image::saying("tokens"));
    let secrets = secrets(&ours);
    let layout = format!("oci:{}:latest", image.layout().display());
    for (number, secret) in secrets.iter().enumerate() {
        let user = (secret.account.as_str(), secret.secret.as_str());
        let reference = format!("{host}/team/app{number}:1");
        let logged_in = |client: Client| {
            login(&client, &[PLAIN], user, &host).succeeded();
            client
        };
        let skopeo = logged_in(skopeo());
        let copy = |to: &str| skopeo.run(&["copy", "--dest-tls-verify=false", &layout, to]);
        copy(&format!("docker://{reference}")).succeeded();
        let over = copy(&format!("docker://{host}/other/app:1"));
        let over = over.refused().to_lowercase();
        let words = ["denied", "forbidden", "authentication required"];
        assert!(words.iter().any(|word| over.contains(word)), "{over}");
        let podman = logged_in(podman());
        podman.run(&["pull", PLAIN, &reference]).succeeded();
        podman.run(&["push", PLAIN, &reference]).succeeded();
        let buildah = logged_in(buildah());
        buildah.run(&["pull", PLAIN, &reference]).succeeded();
    }
    revoke(&ours, &secrets);
    for secret in &secrets {
        let client = podman();
        let refused = login(&client, &[PLAIN], (&secret.account, &secret.secret), &host);
        let refused = refused.refused();
        // containers/image has words of its own for a 401 of the token server.
        assert!(refused.contains("invalid username/password"), "{refused}");
    }
}

#[test]
fn crane_regctl_and_containerd_with_a_robot_and_a_personal_token() {
    let (ours, containerd) = (Ours::start(), Containerd::start());
    let (host, image) = (ours.host(), Image::saying("tokens"));
    let secrets = secrets(&ours);
    let layout = image.layout().display().to_string();
    let ctr = containerd.client();
    let pull = |user: &str, reference: &str| {
        let options = [
            "images",
            "pull",
            "--plain-http",
            "--snapshotter",
            "native",
            "--user",
        ];
        ctr.run(&[&options[..], &[user, reference]].concat())
    };
    for (number, secret) in secrets.iter().enumerate() {
        let (user, password) = (secret.account.as_str(), secret.secret.as_str());
        let reference = format!("{host}/team/app{number}:1");
        let crane = crane();
        crane_login(&crane, (user, password), &host);
        crane.run(&["push", &layout, &reference]).succeeded();
        assert_eq!(
            crane.run(&["digest", &reference]).succeeded(),
            image.digest()
        );
        crane
            .run(&["push", &layout, &format!("{host}/other/app:1")])
            .refused();
        let regctl = regctl(&host);
        let arguments = ["registry", "login", &host, "--user", user, "--pass-stdin"];
        regctl.run_with_input(&arguments, password).succeeded();
        assert_eq!(
            regctl.run(&["image", "digest", &reference]).succeeded(),
            image.digest()
        );
        for name in [user, "<token>"] {
            pull(&format!("{name}:{password}"), &reference).succeeded();
        }
    }
    revoke(&ours, &secrets);
    for (number, secret) in secrets.iter().enumerate() {
        let user = format!("{}:{}", secret.account, secret.secret);
        let refused = pull(&user, &format!("{host}/team/app{number}:1"));
        let refused = refused.refused();
        assert!(
            refused.contains("failed to authorize") || refused.contains("401"),
            "{refused}"
        );
    }
}
