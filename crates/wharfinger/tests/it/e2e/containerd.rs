//! containerd, by its `ctr`: it never asks `/v2/` first, and posts a form before it falls back to
//! `GET`.

use peers::{Containerd, Image, Output, TestKeyKind};

use super::world::{ADMIN, Memory, READER, World};

#[test]
fn containerd_with_an_rsa_key() {
    containerd(TestKeyKind::Rsa, Memory::RefreshTokens);
}

#[test]
fn containerd_with_an_ec_key() {
    containerd(TestKeyKind::P256, Memory::None);
}

fn containerd(kind: TestKeyKind, memory: Memory) {
    let (world, containerd) = (World::start(kind, memory), Containerd::start());
    let (ctr, image) = (containerd.client(), Image::saying("containerd"));
    let archive = image.archive().display().to_string();
    let user = |(name, password): (&str, &str)| format!("{name}:{password}");
    let (admin, reader, wrong) = (user(ADMIN), user(READER), user((ADMIN.0, "wrong")));
    let pull = ["images", "pull", "--plain-http", "--snapshotter", "native"];
    for registry in &world.registries {
        let host = registry.host_port();
        let push = ["images", "push", "--plain-http"];
        let run = |command: &[&str], options: &[&str], reference: &str| {
            ctr.run(&[command, options, &[reference]].concat())
        };
        for repository in ["team/app", "public/hello"] {
            let base = format!("{host}/{repository}");
            let reference = format!("{base}:latest");
            ctr.run(&[
                "images",
                "import",
                "--no-unpack",
                "--base-name",
                &base,
                &archive,
            ])
            .succeeded();
            for options in [&["--user", &wrong][..], &["--user", &reader], &[]] {
                denied(&run(&push, options, &reference));
            }
            run(&push, &["--user", &admin], &reference).succeeded();
            ctr.run(&["images", "remove", &reference]).succeeded();
        }
        let (private, public) = (
            format!("{host}/team/app:latest"),
            format!("{host}/public/hello:latest"),
        );
        run(&pull, &["--user", &reader], &private).succeeded();
        run(&pull, &[], &public).succeeded();
        denied(&run(&pull, &[], &private));
        denied(&run(&pull, &["--user", &wrong], &private));
    }
}

fn denied(output: &Output) {
    let said = output.refused();
    let words = [
        "failed to authorize",
        "authorization failed",
        "insufficient_scope",
    ];
    assert!(words.iter().any(|word| said.contains(word)), "{said}");
}
