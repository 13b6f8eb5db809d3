//! A layer that the registry refuses at its first byte: every client shows why.

use std::path::Path;

use peers::{Docker, Image, Output, Server, crane, skopeo};

use super::runner::User;

/// Text of this many bytes that does not compress well.
pub(crate) fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let letters = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    });
    letters.take(length).collect()
}

#[track_caller]
fn shows_why(output: &Output) {
    let said = output.refused();
    let why = "blob too large: this registry accepts at most 1048576 bytes";
    assert!(said.contains(why), "{said}");
}

/// An open registry that accepts blobs of at most 1 MiB.
fn limited(folder: &Path) -> Server {
    let root = folder.join("content");
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         registry: {{auth: {{none: true}}, limits: {{blob: 1MiB}}, \
         storage: {{filesystem: {{root: {root:?}}}}}}}\n"
    );
    Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config)
}

#[test]
fn a_layer_that_is_too_large_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = limited(folder.path());
    let image = Image::saying(&noise(100_000_000));
    let name = format!("{}/large:1", server.host_port());
    let layout = image.layout().display().to_string();
    let ours = User::new();
    let refused = ours.run(&["push", "-q", &format!("oci:{layout}"), &name]);
    shows_why(&refused);
    assert!(
        refused
            .stderr
            .contains("hint: the registry itself limits the size"),
        "{refused}"
    );
    let repository = format!("{}/large", server.host_port());
    let examined = ours.run(&["doctor", "--push", &repository]);
    assert!(
        examined
            .stdout
            .contains("raise its limit (in our configuration: registry.limits.blob)"),
        "{examined}"
    );
    shows_why(&crane().run(&["push", &layout, &name]));
    shows_why(&skopeo().run(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &format!("oci:{layout}"),
        &format!("docker://{name}"),
    ]));
}

/// Docker tries an upload five times, for almost a minute, unless the code says that this is final.
#[test]
fn docker_does_not_try_again_what_is_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let (server, docker) = (limited(folder.path()), Docker::start());
    let name = format!("{}/docker:1", server.host_port());
    let image = Image::saying(&noise(2_000_000));
    docker.import(&image, &name).succeeded();
    shows_why(&docker.client().run(&["push", &name]));
    let begun = |line: &&str| line.contains("method=\"POST\"") && line.contains("/docker/");
    let log = server.log();
    assert_eq!(log.lines().filter(begun).count(), 1, "{log}");
}
