//! Layouts: byte for byte what skopeo and crane get and put.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use peers::{Image, RegistryConfig, crane, registry2, registry3, skopeo};
use serde_json::Value;

use super::runner::User;
use crate::e2e::ours::Ours;
use crate::e2e::world::ADMIN;

/// A layout's files by their paths, and what is in them.
fn files(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let found = peers::run(
        std::process::Command::new("find")
            .arg(layout)
            .args(["-type", "f", "-printf", "%P\\n"]),
    );
    found
        .succeeded()
        .lines()
        .map(|path| (path.to_owned(), fs::read(layout.join(path)).unwrap()))
        .collect()
}

#[test]
fn what_is_pulled_is_what_skopeo_and_crane_pull() {
    let (image, user) = (Image::saying("pulled by three"), User::new());
    for registry in [
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    ] {
        let name = format!("{}/team/app:1", registry.host_port());
        user.run(&[
            "push",
            "-q",
            &format!("oci:{}", image.layout().display()),
            &name,
        ])
        .succeeded();
        let [ours, skopeos, cranes] = ["ours", "skopeos", "cranes"].map(|who| user.path(who));
        user.run(&["pull", "-q", &name, &format!("oci:{ours}:1")])
            .succeeded();
        let (from, to) = (format!("docker://{name}"), format!("oci:{skopeos}:1"));
        let copy = [
            "copy",
            "-q",
            "--dest-oci-accept-uncompressed-layers",
            "--src-tls-verify=false",
            &from,
            &to,
        ];
        skopeo().run(&copy).succeeded();
        crane()
            .run(&["pull", "--format=oci", &name, &cranes])
            .succeeded();
        let [ours, skopeos, cranes] =
            [ours, skopeos, cranes].map(|layout| files(Path::new(&layout)));
        assert!(ours == skopeos, "{:?} {:?}", ours.keys(), skopeos.keys());
        // crane lays its own JSON out in lines and keeps no tag; all else is the same.
        assert!(ours.keys().eq(cranes.keys()));
        for (path, content) in &cranes {
            let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            match path.as_str() {
                "index.json" => {
                    assert_eq!(
                        json(content)["manifests"][0]["digest"],
                        json(&ours[path])["manifests"][0]["digest"]
                    );
                }
                "oci-layout" => assert_eq!(json(content), json(&ours[path])),
                path => assert!(*content == ours[path], "{path}"),
            }
        }
        for layout in ["ours", "skopeos", "cranes"] {
            fs::remove_dir_all(user.path(layout)).unwrap();
        }
    }
}

#[test]
fn what_is_pushed_is_what_skopeo_and_crane_push() {
    let (image, user, registry) = (
        Image::saying("pushed by three"),
        User::new(),
        registry3(&RegistryConfig::default()),
    );
    let name = |who: &str| format!("{}/{who}:1", registry.host_port());
    user.run(&[
        "push",
        "-q",
        &format!("oci:{}", image.layout().display()),
        &name("ours"),
    ])
    .succeeded();
    let (skopeo, crane) = (skopeo(), crane());
    let from = format!("oci:{}:latest", image.layout().display());
    // Without its option skopeo would compress the layer, which makes it another image.
    let copy = [
        "copy",
        "-q",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &from,
    ];
    skopeo
        .run(&[&copy[..], &[&format!("docker://{}", name("skopeo"))]].concat())
        .succeeded();
    crane
        .run(&[
            "push",
            &image.layout().display().to_string(),
            &name("crane"),
        ])
        .succeeded();
    // What each put is pulled by the two others.
    for who in ["ours", "skopeo", "crane"] {
        let manifest = user.run(&["manifest", &name(who)]);
        assert_eq!(
            crane.run(&["manifest", &name(who)]).succeeded(),
            manifest.succeeded()
        );
        assert_eq!(
            user.run(&["digest", &name(who)]).succeeded(),
            image.digest(),
            "{who}"
        );
    }
}

#[test]
fn several_at_once_bring_one_layout() {
    let (registry, user) = (registry3(&RegistryConfig::default()), User::new());
    let images: Vec<_> = ["one", "two"]
        .map(|text| Image::saying(&text.repeat(2_000_000)))
        .into();
    for (number, image) in images.iter().enumerate() {
        let name = format!("{}/app:{number}", registry.host_port());
        user.run(&[
            "push",
            "-q",
            &format!("oci:{}", image.layout().display()),
            &name,
        ])
        .succeeded();
    }
    for round in 0..3 {
        let layout = format!("oci:out{round}");
        thread::scope(|scope| {
            for process in 0..6 {
                let number = process % 2;
                let (user, layout, name) = (
                    &user,
                    &layout,
                    format!("{}/app:{number}", registry.host_port()),
                );
                scope.spawn(move || {
                    user.run(&["pull", "-q", &name, &format!("{layout}:{number}")])
                        .succeeded()
                        .to_owned()
                });
            }
        });
        let directory = user.path(&format!("out{round}"));
        assert_eq!(
            files(Path::new(&directory)).len(),
            6 + 2,
            "{:?}",
            files(Path::new(&directory)).keys()
        );
        for (number, image) in images.iter().enumerate() {
            let inspected = skopeo().run(&[
                "inspect",
                "--format",
                "{{.Digest}}",
                &format!("oci:{directory}:{number}"),
            ]);
            assert_eq!(inspected.succeeded(), image.digest());
        }
    }
}

#[test]
fn digests_of_the_other_kind_go_there_and_back() {
    let (ours, user) = (Ours::start(), User::new());
    user.login(ADMIN, &ours.host()).succeeded();
    let digest = sha512_layout(&user);
    let others = [
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    ];
    let hosts = [ours.host()]
        .into_iter()
        .chain(others.iter().map(peers::RunningRegistry::host_port));
    for (number, host) in hosts.enumerate() {
        let name = format!("{host}/team/app");
        let pushed = user
            .run(&["push", "-q", "oci:sha512", &format!("{name}:1")])
            .succeeded()
            .to_owned();
        // Distribution calls manifests by their SHA-256 whatever they are called elsewhere; blobs
        // keep their names.
        let by = if number == 0 {
            format!("{name}@{digest}")
        } else {
            format!("{name}:1")
        };
        assert!(
            pushed.contains(if number == 0 { &digest } else { "@sha256:" }),
            "{pushed}"
        );
        let pulled = format!("pulled{number}");
        user.run(&["pull", "-q", &by, &format!("oci:{pulled}")])
            .succeeded();
        let same = user
            .command("diff")
            .args(["sha512/blobs/sha512", &format!("{pulled}/blobs/sha512")])
            .output()
            .unwrap();
        let only = String::from_utf8(same.stdout).unwrap();
        assert_eq!(
            only.lines().count(),
            usize::from(number > 0),
            "{host}: {only}"
        );
        let blob = fs::read_dir(user.path("sha512/blobs/sha512"))
            .unwrap()
            .flatten()
            .next()
            .unwrap();
        let hex = blob.file_name().into_string().unwrap();
        let fetched = user.run(&["blob", &format!("{name}@sha512:{hex}"), "--output", "blob"]);
        if number == 0 || fetched.status.success() {
            assert!(
                fs::read(user.path("blob")).unwrap() == fs::read(blob.path()).unwrap(),
                "{fetched}"
            );
        }
    }
}

/// A layout whose digests are all SHA-512, and its manifest's digest.
fn sha512_layout(user: &User) -> String {
    let directory = user.path("sha512");
    fs::create_dir_all(format!("{directory}/blobs/sha512")).unwrap();
    let blob = |media_type: &str, content: &str| {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, content.as_bytes());
        let hex = data_encoding::HEXLOWER.encode(hash.as_ref());
        fs::write(format!("{directory}/blobs/sha512/{hex}"), content).unwrap();
        (
            format!("sha512:{hex}"),
            format!(
                r#"{{"mediaType":"{media_type}","digest":"sha512:{hex}","size":{}}}"#,
                content.len()
            ),
        )
    };
    let (_, config) = blob(
        "application/vnd.oci.image.config.v1+json",
        r#"{"architecture":"amd64","os":"linux"}"#,
    );
    let (_, layer) = blob(
        "application/vnd.oci.image.layer.v1.tar",
        &"long digests ".repeat(1000),
    );
    let media_type = oci::media_type::OCI_MANIFEST;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{config},"layers":[{layer}]}}"#
    );
    let (digest, manifest) = blob(media_type, &manifest);
    fs::write(
        format!("{directory}/index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#),
    )
    .unwrap();
    fs::write(
        format!("{directory}/oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    digest
}
