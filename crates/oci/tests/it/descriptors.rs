//! Descriptors as other servers answer them.

use oci::Descriptor;

fn read(members: &str) -> Result<Descriptor, serde_json::Error> {
    let digest = format!("sha256:{}", "00".repeat(32));
    serde_json::from_str(&members.replace("DIGEST", &format!(r#""digest":"{digest}""#)))
}

#[test]
fn what_is_printed_has_only_what_is_there() {
    let descriptor = read(
        r#"{"mediaType":"a/b",DIGEST,"size":3,"annotations":null,"data":"YWJj","urls":["x"],"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}"#,
    )
    .unwrap();
    assert!(descriptor.annotations.is_empty());
    let printed = serde_json::to_string(&descriptor).unwrap();
    let digest = descriptor.digest;
    assert_eq!(
        printed,
        format!(
            r#"{{"mediaType":"a/b","digest":"{digest}","size":3,"urls":["x"],"platform":{{"os":"linux","architecture":"arm64"}}}}"#
        )
    );
    assert_eq!(
        serde_json::from_str::<Descriptor>(&printed).unwrap(),
        descriptor
    );
}

#[test]
fn sizes_are_whole_numbers() {
    for size in ["1.5", "\"1\"", "18446744073709551616", "[]"] {
        assert!(
            read(&format!(r#"{{DIGEST,"size":{size}}}"#)).is_err(),
            "{size}"
        );
    }
    for (size, expected) in [("-1", 0), ("null", 0), ("7", 7)] {
        let descriptor = read(&format!(r#"{{DIGEST,"size":{size}}}"#)).unwrap();
        assert_eq!(descriptor.size, expected);
    }
}

#[test]
fn one_that_names_nothing_is_refused() {
    for members in [
        "{}",
        r#"{"digest":null}"#,
        r#"{"digest":"sha256:zz"}"#,
        "[]",
        "null",
    ] {
        assert!(read(members).is_err(), "{members}");
    }
}
