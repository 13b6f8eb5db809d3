//! A layer that the registry refuses at its first byte: every client shows why.

use std::path::Path;

use peers::{Image, Output, Server, crane, skopeo};

use super::runner::User;

/// Text of this many bytes that does not compress well.
fn noise(length: usize) -> String {
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
    let said = output.refused().to_lowercase();
    let why = ["413", "size_invalid", "size invalid"];
    assert!(why.iter().any(|why| said.contains(why)), "{said}");
}

#[test]
fn a_layer_that_is_too_large_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("content");
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         registry: {{auth: {{none: true}}, limits: {{blob: 1MiB}}, \
         storage: {{filesystem: {{root: {root:?}}}}}}}\n"
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    let image = Image::saying(&noise(100_000_000));
    let name = format!("{}/large:1", server.host_port());
    let layout = image.layout().display().to_string();
    let ours = User::new();
    shows_why(&ours.run(&["push", "-q", &format!("oci:{layout}"), &name]));
    shows_why(&crane().run(&["push", &layout, &name]));
    shows_why(&skopeo().run(&[
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &format!("oci:{layout}"),
        &format!("docker://{name}"),
    ]));
}
