//! Lists of tags, repositories and referrers: in order, in pages, complete.

use oci::{Digest, media_type};
use storage::{Error, ListPage, PageRequest, ReferrerEntry};

use super::bench::{Bench, MakeStores, after, first, sha512, walk};
use crate::world::{descriptor, image, index, manifest, name, sha256};

/// Tags whose order differs between bytes, letters and dictionaries.
const TAGS: [&str; 12] = [
    "a", "B", "_", "10", "9", "a.b", "a-b", "aB", "Z", "a_b", "1.10", "1.9",
];

async fn tags(bench: &Bench, page: PageRequest<String>) -> ListPage<String> {
    bench.manifests().tags(&name("r"), page).await.unwrap()
}

async fn repositories(bench: &Bench, page: PageRequest<String>) -> ListPage<String> {
    bench.manifests().repositories(page).await.unwrap()
}

pub(crate) async fn tags_in_the_order_of_their_bytes(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.push("r", index(&[]), &TAGS).await.unwrap();
    let mut sorted = TAGS.map(str::to_owned).to_vec();
    sorted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for limit in [12, 13, u32::MAX] {
        let all = tags(&bench, first(limit)).await;
        assert_eq!((all.entries, all.more), (sorted.clone(), false), "{limit}");
    }
    for limit in [1, 2, 5, 11, 12] {
        let list = async |page| tags(&bench, page).await;
        let walked = walk(limit, String::clone, list).await;
        assert_eq!(walked, sorted, "{limit}");
    }
}

pub(crate) async fn a_page_of_nothing_says_whether_there_is_more(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.push("r", index(&[]), &["a", "b"]).await.unwrap();
    let nothing = || Vec::<String>::new();
    let before = tags(&bench, first(0)).await;
    assert_eq!((before.entries, before.more), (nothing(), true));
    let behind = tags(&bench, after("b", 0)).await;
    assert_eq!((behind.entries, behind.more), (nothing(), false));
}

pub(crate) async fn a_page_of_tags_begins_after_any_text(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.push("r", index(&[]), &TAGS).await.unwrap();
    for (text, expected) in [
        ("", Some("1.10")),
        ("a-c", Some("a.b")),
        ("a", Some("a-b")),
        ("a-", Some("a-b")),
        ("1.1", Some("1.10")),
        ("not a tag / at all", None),
        ("a\u{e9}", None),
        ("zzz", None),
        ("~", None),
    ] {
        let page = tags(&bench, after(text, 1)).await;
        assert_eq!(
            page.entries.first().map(String::as_str),
            expected,
            "{text:?}"
        );
    }
}

pub(crate) async fn tags_of_an_unknown_repository(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.push("r", index(&[]), &["x"]).await.unwrap();
    for repository in ["s", "r/s"] {
        let unknown = bench.manifests().tags(&name(repository), first(1)).await;
        assert!(matches!(unknown, Err(Error::RepositoryUnknown)));
    }
}

pub(crate) async fn repositories_in_the_order_of_their_bytes(make: MakeStores) {
    let bench = Bench::new(make).await;
    let mut names = [
        "b", "a/b", "a-b", "a", "a0", "z", "a.b", "a_b", "a/b/c", "0", "ab",
    ];
    for repository in names {
        bench.push(repository, index(&[]), &["x"]).await.unwrap();
    }
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for limit in [1, 3, 11, 12, u32::MAX] {
        let list = async |page| repositories(&bench, page).await;
        let walked = walk(limit, String::clone, list).await;
        assert_eq!(walked, names, "{limit}");
    }
    // A page begins after any text, and a repository is not among its own children.
    for (text, expected) in [
        ("", "0"),
        ("a", "a-b"),
        ("a-c", "a.b"),
        ("a/", "a/b"),
        ("a/b", "a/b/c"),
        ("A", "a"),
    ] {
        let page = repositories(&bench, after(text, 1)).await;
        assert_eq!(page.entries, [expected], "{text:?}");
    }
    assert!(repositories(&bench, after("z", 5)).await.entries.is_empty());
}

pub(crate) async fn repositories_without_manifests_are_not_listed(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("only-a-blob", b"x").await;
    bench.begin("only-an-upload").await;
    let digest = bench.push("emptied", index(&[]), &["x"]).await.unwrap();
    bench.push("untagged", index(&[]), &[]).await.unwrap();
    bench.remove("emptied", digest).await.unwrap();
    let all = repositories(&bench, first(10)).await;
    assert_eq!(
        (all.entries, all.more),
        (vec!["untagged".to_owned()], false)
    );
    bench.push("emptied", index(&[]), &[]).await.unwrap();
    let all = repositories(&bench, first(10)).await;
    assert_eq!(all.entries, ["emptied", "untagged"]);
}

async fn referrers(
    bench: &Bench,
    subject: Digest,
    artifact_type: Option<&str>,
    page: PageRequest<Digest>,
) -> ListPage<ReferrerEntry> {
    let repository = name("r");
    let list = bench
        .manifests()
        .referrers(&repository, &subject, artifact_type, page);
    list.await.unwrap()
}

fn about(subject: Digest) -> String {
    descriptor(media_type::OCI_MANIFEST, subject, 7)
}

pub(crate) async fn referrers_describe_themselves(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("r", b"{}").await;
    let subject = sha256(b"never pushed");
    let (config, about) = (descriptor("c/c", sha256(b"{}"), 2), about(subject));
    let typed = manifest(
        media_type::OCI_MANIFEST,
        &format!(
            r#""config":{config},"layers":[],"subject":{about},"artifactType":"a/a","annotations":{{"k":"v"}}"#
        ),
    );
    let untyped = manifest(
        media_type::OCI_MANIFEST,
        &format!(r#""config":{config},"layers":[],"subject":{about}"#),
    );
    let list = manifest(
        media_type::OCI_INDEX,
        &format!(r#""manifests":[],"subject":{about}"#),
    );
    let entry =
        |manifest: &storage::NewManifest, artifact_type: Option<&str>, annotations: &str| {
            ReferrerEntry {
                digest: manifest.digest(),
                media_type: manifest.manifest().media_type.clone(),
                size: manifest.bytes().len() as u64,
                artifact_type: artifact_type.map(str::to_owned),
                annotations: annotations.to_owned(),
            }
        };
    let mut expected = vec![
        entry(&typed, Some("a/a"), r#"{"k":"v"}"#),
        entry(&untyped, Some("c/c"), "{}"),
        entry(&list, None, "{}"),
    ];
    expected.sort_by_key(|entry| entry.digest);
    for pushed in [typed, untyped, list] {
        bench.push("r", pushed, &[]).await.unwrap();
    }
    let all = referrers(&bench, subject, None, first(10)).await;
    assert_eq!((all.entries, all.more), (expected, false));
}

pub(crate) async fn referrers_of_one_artifact_type(make: MakeStores) {
    let bench = Bench::new(make).await;
    let subject = sha256(b"subject");
    let (about, mut signatures) = (about(subject), Vec::new());
    for number in 0..9 {
        let artifact_type = ["a/signature", "a/sbom", "a/signature2"][number % 3];
        let members = format!(
            r#""manifests":[],"subject":{about},"artifactType":"{artifact_type}","annotations":{{"n":"{number}"}}"#
        );
        let pushed = bench
            .push("r", manifest(media_type::OCI_INDEX, &members), &[])
            .await;
        if artifact_type == "a/signature" {
            signatures.push(pushed.unwrap());
        }
    }
    signatures.sort();
    for limit in [1, 2, 3, 4] {
        let list = async |page| referrers(&bench, subject, Some("a/signature"), page).await;
        let walked = walk(limit, |entry| entry.digest, list).await;
        let digests: Vec<_> = walked.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, signatures);
    }
    for unknown in ["", "a", "a/Signature", "%"] {
        let none = referrers(&bench, subject, Some(unknown), first(10)).await;
        assert!(none.entries.is_empty(), "{unknown}");
    }
}

pub(crate) async fn referrers_by_digest_in_pages(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (subject, mut expected) = (sha256(b"s"), Vec::new());
    let about = about(subject);
    for number in 0..7 {
        let members =
            format!(r#""manifests":[],"subject":{about},"annotations":{{"n":"{number}"}}"#);
        let mut referrer = manifest(media_type::OCI_INDEX, &members);
        if number % 2 == 0 {
            // A digest sorts as its text does: all of SHA-256 before all of SHA-512.
            let claimed = sha512(referrer.bytes());
            let bytes = referrer.bytes().clone();
            referrer = storage::NewManifest::parse(None, bytes, Some(claimed)).unwrap();
        }
        expected.push(bench.push("r", referrer, &[]).await.unwrap());
    }
    expected.sort_by_key(Digest::to_string);
    for limit in [1, 3, 7, 8, u32::MAX] {
        let list = async |page| referrers(&bench, subject, None, page).await;
        let walked = walk(limit, |entry| entry.digest, list).await;
        let digests: Vec<_> = walked.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, expected, "{limit}");
    }
    // The digest before a page need not be one of a referrer.
    let between = referrers(&bench, subject, None, after(sha256(b"x"), 10)).await;
    let later = expected.iter().filter(|digest| **digest > sha256(b"x"));
    assert_eq!(between.entries.len(), later.count());
}

/// A page of large entries is short, and none is lost behind it.
pub(crate) async fn referrers_that_fill_a_page(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (subject, mut expected) = (sha256(b"s"), Vec::new());
    let about = about(subject);
    let half = "x".repeat(ReferrerEntry::PAGE_BYTES / 2);
    for number in 0..7 {
        let text = if number == 3 { "small" } else { half.as_str() };
        let members = format!(
            r#""manifests":[],"artifactType":"a/b","subject":{about},"annotations":{{"{number}":"{text}"}}"#
        );
        let referrer = manifest(media_type::OCI_INDEX, &members);
        expected.push(bench.push("r", referrer, &[]).await.unwrap());
    }
    expected.sort_by_key(Digest::to_string);
    for kind in [None, Some("a/b")] {
        let (mut walked, mut next) = (Vec::new(), first(100));
        loop {
            let page = referrers(&bench, subject, kind, next).await;
            assert!(page.entries.len() <= 3, "{}", page.entries.len());
            walked.extend(page.entries.iter().map(|entry| entry.digest));
            match walked.last() {
                Some(last) if page.more => next = after(*last, 100),
                _ => break,
            }
        }
        assert_eq!(walked, expected);
    }
}

pub(crate) async fn referrers_of_a_subject_in_its_repository_only(make: MakeStores) {
    let bench = Bench::new(make).await;
    let subject = sha256(b"subject");
    assert!(
        referrers(&bench, subject, None, first(1))
            .await
            .entries
            .is_empty()
    );
    for repository in ["r", "s"] {
        bench.blob(repository, b"{}").await;
    }
    let referrer = bench.push("r", image(&[], Some(subject)), &["x"]).await;
    let referrer = referrer.unwrap();
    // Pushed again, it is listed once.
    bench
        .push("r", image(&[], Some(subject)), &[])
        .await
        .unwrap();
    bench
        .push("r", image(&[], Some(sha256(b"other"))), &[])
        .await
        .unwrap();
    bench.push("r", image(&[], None), &[]).await.unwrap();
    let listed = referrers(&bench, subject, None, first(10)).await;
    assert_eq!(listed.entries.len(), 1);
    assert_eq!(listed.entries[0].digest, referrer);
    for repository in ["s", "never"] {
        let repository = name(repository);
        let manifests = bench.manifests();
        let elsewhere = manifests.referrers(&repository, &subject, None, first(1));
        assert!(elsewhere.await.unwrap().entries.is_empty());
    }
    // A tag does not matter, the manifest does.
    bench.untag("r", "x").await.unwrap();
    assert_eq!(
        referrers(&bench, subject, None, first(1))
            .await
            .entries
            .len(),
        1
    );
    bench.remove("r", referrer).await.unwrap();
    assert!(
        referrers(&bench, subject, None, first(1))
            .await
            .entries
            .is_empty()
    );
}
