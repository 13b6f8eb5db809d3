//! Manifests whose JSON is not as the specification has it: what is stored already is read as Go
//! reads it, what is pushed is refused with a sentence that says what to change.

use oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use oci::{Manifest, ManifestContent, ManifestError};

const CONFIG: &str = r#"{"mediaType":"c/c","digest":"D0","size":7}"#;
const LAYER: &str = r#"{"mediaType":"l/l","digest":"D1","size":7}"#;

fn digests(text: &str) -> String {
    text.replace("D0", &format!("sha256:{}", "00".repeat(32)))
        .replace("D1", &format!("sha256:{}", "01".repeat(32)))
}

fn image(config: &str, layer: &str, more: &str) -> String {
    digests(&format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{config},"layers":[{layer}]{more}}}"#
    ))
}

fn stored(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse_stored(None, text.as_bytes())
}

fn pushed(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Some(OCI_MANIFEST), text.as_bytes())
}

/// The error of a push.
#[track_caller]
fn refused(text: &str) -> String {
    pushed(text).unwrap_err().to_string()
}

#[test]
fn every_member_of_a_descriptor_may_be_absent_null_or_oddly_written_where_it_is_stored() {
    let whole = stored(&image(CONFIG, LAYER, "")).unwrap();
    for (odd, refers) in [
        (r#"{"digest":"D1","size":7}"#, true),
        (r#"{"mediaType":null,"digest":"D1","size":7}"#, true),
        (r#"{"mediaType":"l/l","digest":"D1"}"#, true),
        (r#"{"mediaType":"l/l","digest":"D1","size":null}"#, true),
        (r#"{"mediaType":"l/l","digest":"D1","size":-1}"#, true),
        (r#"{"MEDIATYPE":"l/l","Digest":"D1","SIZE":7}"#, true),
        (
            r#"{"mediaType":"x","mediaType":"l/l","digest":"D0","digest":"D1","size":7}"#,
            true,
        ),
        (
            r#"{"mediaType":"l/l","digest":"D1","size":7,"annotations":{"k":null}}"#,
            true,
        ),
        (
            r#"{"mediaType":"l/l","digest":"D1","size":7,"annotations":null,"size":7}"#,
            true,
        ),
        (
            r#"{"mediaType":"l/l","digest":"D1","size":7,"unknown":[{"deep":{}}]}"#,
            true,
        ),
        // Nothing is referred to by what has no digest.
        (r#"{"mediaType":"l/l","size":7}"#, false),
        (r#"{"mediaType":"l/l","digest":"","size":7}"#, false),
        (r#"{"mediaType":"l/l","digest":"md5:00","size":7}"#, false),
        ("null", false),
        ("{}", false),
    ] {
        let read = stored(&image(CONFIG, odd, "")).unwrap_or_else(|error| panic!("{odd}: {error}"));
        let blobs: Vec<_> = read.blobs().map(|blob| blob.digest).collect();
        let expected: Vec<_> = whole.blobs().map(|blob| blob.digest).collect();
        let expected = if refers {
            &expected[..]
        } else {
            &expected[..1]
        };
        assert_eq!(blobs, expected, "{odd}");
    }
}

/// Go's `encoding/json` writes U+FFFD for what is not Unicode, and never fails for it.
#[test]
fn text_that_is_not_unicode_is_no_reason_to_lose_a_stored_manifest() {
    let annotation = |value: &[u8]| {
        let text = image(CONFIG, LAYER, r#","annotations":{"k":"<>"}"#).into_bytes();
        let at = text.windows(2).position(|pair| pair == b"<>").unwrap();
        [&text[..at], value, &text[at + 2..]].concat()
    };
    for (value, read) in [
        (&b"a\xffb"[..], "a\u{fffd}b"),
        (br"a\ud83d", "a\u{fffd}"),
        (br"\ud83db", "\u{fffd}b"),
        (br"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (br"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (br"\uD83D\uDE00", "\u{1f600}"),
        (br"\\ud83d", r"\ud83d"),
        (br"\u0041\n", "A\n"),
    ] {
        let shown = value.escape_ascii();
        let manifest = Manifest::parse_stored(None, &annotation(value));
        let manifest = manifest.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(manifest.annotations["k"], read, "{shown}");
        assert_eq!(manifest.blobs().count(), 2);
    }
    for value in [&b"a\xffb"[..], br"a\ud83d"] {
        Manifest::parse(Some(OCI_MANIFEST), &annotation(value)).unwrap_err();
    }
    for broken in [&br"\u12"[..], br"\ud8", br"\x"] {
        Manifest::parse_stored(None, &annotation(broken)).unwrap_err();
    }
}

/// Go folds `ſ` to `s` and the Kelvin sign to `k` when it looks for a member. A push with such a name
/// would mean one thing here and another there.
#[test]
fn names_are_compared_as_go_compares_them() {
    let text = image(CONFIG, LAYER, "").replace("layers", "layer\u{17f}");
    assert_eq!(stored(&text).unwrap().blobs().count(), 2);
    assert!(refused(&text).contains(r#"write "layers""#), "{text}");
}

#[test]
fn a_content_type_counts_in_any_case() {
    let text = image(CONFIG, LAYER, "");
    for content_type in [
        OCI_MANIFEST.to_uppercase(),
        format!("{} ; charset=UTF-8", OCI_MANIFEST.replace("oci", "OCI")),
    ] {
        let manifest = Manifest::parse(Some(&content_type), text.as_bytes());
        assert_eq!(manifest.unwrap().media_type, OCI_MANIFEST);
    }
}

#[test]
fn every_member_of_a_manifest_may_be_null_repeated_or_in_other_case_where_it_is_stored() {
    for more in [
        r#","subject":null"#,
        r#","artifactType":null"#,
        r#","annotations":{"k":null}"#,
        r#","annotations":null"#,
        r#","manifests":null"#,
        r#","Layers":[{"digest":"D1"}]"#,
        r#","layers":[{"digest":"D1"}]"#,
        r#","schemaVersion":2"#,
        r#","ArtifactType":"a/a","artifactType":null"#,
        r#","subject":{}"#,
    ] {
        let read = stored(&image(CONFIG, LAYER, &digests(more)));
        let read = read.unwrap_or_else(|error| panic!("{more}: {error}"));
        assert_eq!(read.blobs().count(), 2, "{more}");
        assert_eq!(read.subject, None, "{more}");
    }
    let annotated = stored(&image(
        CONFIG,
        LAYER,
        r#","annotations":{"k":null,"l":"v"}"#,
    ))
    .unwrap();
    let annotations: Vec<_> = annotated.annotations.iter().collect();
    assert_eq!(
        annotations,
        [
            (&"k".to_owned(), &String::new()),
            (&"l".to_owned(), &"v".to_owned())
        ]
    );
    let last = stored(&image(
        CONFIG,
        LAYER,
        r#","artifactType":"a/a","artifactType":"b/b""#,
    ));
    assert_eq!(last.unwrap().artifact_type.as_deref(), Some("b/b"));
}

/// Registry 2.8 and 3.1 store each of these: they read only the members that they need.
#[test]
fn a_member_that_distribution_does_not_read_is_no_reason_to_lose_a_stored_manifest() {
    let anything = ["5", "true", r#""x""#, "[]", "[5]", "{}", r#"{"digest":5}"#];
    let image = |media_type: &str, more: &str| {
        let text = image(CONFIG, LAYER, more);
        text.replace(OCI_MANIFEST, media_type)
    };
    let index = |media_type: &str, more: &str| {
        let text =
            r#"{"schemaVersion":2,"mediaType":"M","manifests":[{"digest":"D1","size":7}]MORE}"#;
        digests(&text.replace("MORE", more)).replace("\"M\"", &format!("{media_type:?}"))
    };
    for value in anything {
        for name in ["subject", "artifactType", "annotations"] {
            let more = format!(r#","{name}":{value}"#);
            for media_type in [OCI_MANIFEST, DOCKER_MANIFEST] {
                let read = stored(&image(media_type, &more));
                let read = read.unwrap_or_else(|error| panic!("{media_type} {more}: {error}"));
                assert_eq!(read.blobs().count(), 2, "{more}");
                assert_eq!(read.subject, None, "{more}");
            }
            for media_type in [OCI_INDEX, DOCKER_LIST] {
                let read = stored(&index(media_type, &more));
                let read = read.unwrap_or_else(|error| panic!("{media_type} {more}: {error}"));
                assert_eq!(read.children().len(), 1, "{more}");
            }
        }
        // Docker's manifests were never checked for the members of the other kind.
        let more = format!(r#","manifests":{value}"#);
        let read = stored(&image(DOCKER_MANIFEST, &more)).unwrap();
        assert_eq!(read.blobs().count(), 2, "{more}");
        let oci = stored(&image(OCI_MANIFEST, &more));
        assert_eq!(oci, Err(ManifestError::Ambiguous), "{more}");
        for name in ["config", "layers"] {
            let more = format!(r#","{name}":{value}"#);
            let read = stored(&index(DOCKER_LIST, &more)).unwrap();
            assert_eq!(read.children().len(), 1, "{more}");
            let oci = stored(&index(OCI_INDEX, &more));
            assert_eq!(oci, Err(ManifestError::Ambiguous), "{more}");
        }
    }
    // One that is odd does not take the others with it.
    let more = r#","annotations":{"k":1},"artifactType":"a/a""#;
    let read = stored(&image(OCI_MANIFEST, more)).unwrap();
    assert_eq!(read.artifact_type.as_deref(), Some("a/a"));
    for (name, value) in [("config", "5"), ("layers", "{}"), ("mediaType", "5")] {
        let text = image(OCI_MANIFEST, &format!(r#","{name}":{value}"#));
        stored(&text).unwrap_err();
    }
}

/// Go lays the later of two members over the earlier one.
#[test]
fn a_repeated_member_of_a_stored_manifest_is_laid_over_the_first() {
    let more = r#","config":{"size":9},"layers":[{"size":9},null]"#;
    let read = stored(&image(CONFIG, LAYER, more)).unwrap();
    let sizes: Vec<_> = read.blobs().map(|blob| blob.size).collect();
    assert_eq!(sizes, [9, 9], "{read:?}");
    let whole = stored(&image(CONFIG, LAYER, "")).unwrap();
    let digests =
        |manifest: &Manifest| manifest.blobs().map(|blob| blob.digest).collect::<Vec<_>>();
    assert_eq!(digests(&read), digests(&whole));
}

#[test]
fn a_stored_manifest_that_does_not_say_its_type_is_told_by_what_it_lists() {
    let silent = |members: &str| stored(&digests(&format!(r#"{{"schemaVersion":2,{members}}}"#)));
    let index = silent(r#""manifests":[]"#).unwrap();
    assert_eq!(index.media_type, OCI_INDEX);
    assert_eq!(
        index.content,
        ManifestContent::Index {
            manifests: Vec::new()
        }
    );
    let image = silent(&format!(r#""config":{CONFIG},"layers":[{LAYER}]"#)).unwrap();
    assert_eq!(image.media_type, OCI_MANIFEST);
    let docker = silent(&format!(
        r#""mediaType":"{DOCKER_MANIFEST}","config":{CONFIG}"#
    ))
    .unwrap();
    assert_eq!(docker.media_type, DOCKER_MANIFEST);
    // What could be read as two things is refused here too (CVE-2021-41190).
    let both = silent(&format!(r#""config":{CONFIG},"manifests":[]"#));
    assert_eq!(both, Err(ManifestError::Ambiguous));
}

#[test]
fn a_push_may_do_what_registry_2_8_accepts_from_producers_that_exist() {
    for (layer, more) in [
        (r#"{"digest":"D1","size":7}"#, ""),
        (LAYER, r#","annotations":{"k":null}"#),
        (
            LAYER,
            r#","annotations":null,"subject":null,"manifests":null"#,
        ),
    ] {
        let read = pushed(&image(CONFIG, layer, more)).unwrap();
        assert_eq!(read.blobs().count(), 2);
    }
}

#[test]
fn a_push_is_told_what_to_change() {
    for (layer, more, sentence) in [
        (
            r#"{"mediaType":"l/l","digest":"D1"}"#,
            "",
            r#"layers[0]: "size" is missing"#,
        ),
        (
            r#"{"digest":"D1","size":-1}"#,
            "",
            r#"layers[0]: "size" is -1, but a size is a number"#,
        ),
        (
            r#"{"mediaType":"l/l","size":7}"#,
            "",
            r#"layers[0]: "digest" is missing"#,
        ),
        (
            r#"{"digest":"D1","Size":7}"#,
            "",
            r#"layers[0]: write "size", not "Size""#,
        ),
        (
            r#"{"digest":"D1","digest":"D1","size":7}"#,
            "",
            r#"layers[0]: "digest" is there twice"#,
        ),
        ("null", "", "layers[0] is null"),
        (LAYER, r#","config":{}"#, r#""config" is there twice"#),
        (
            LAYER,
            r#","Subject":null"#,
            r#"write "subject", not "Subject""#,
        ),
        (
            LAYER,
            r#","subject":{"size":7}"#,
            r#"subject: "digest" is missing"#,
        ),
        (
            r#"{"digest":"md5:00","size":7}"#,
            "",
            r#"layers[0]: "digest": the digest algorithms known"#,
        ),
    ] {
        let told = refused(&image(CONFIG, layer, more));
        assert!(told.contains(sentence), "{told}\nhas not: {sentence}");
    }
}
