//! The history of tags.

use oci::Digest;
use storage::{
    ChangeAuthor, ChangeSet, Error, ListPage, ManifestChange, NewManifest, PageRequest, TagChange,
    TagChangeId,
};

use super::bench::{BEGINNING, Bench, COLLECT, DAY, MakeStores, SECOND, first, walk};
use super::immutable::rule;
use crate::world::{index, name, sha256, tag};

fn author(account: &str) -> ChangeAuthor {
    ChangeAuthor {
        account: account.to_owned(),
        request_id: format!("by-{account}"),
    }
}

async fn apply(bench: &Bench, account: &str, change: ManifestChange) -> Result<(), Error> {
    let changes = ChangeSet {
        author: Some(author(account)),
        ..change.into()
    };
    let applied = bench.manifests().apply(&name("a"), changes).await;
    applied.map(drop)
}

fn numbered(number: u8) -> NewManifest {
    index(&[sha256(&[number])])
}

async fn push(bench: &Bench, account: &str, number: u8, tags: &[&str]) -> Digest {
    let (manifest, tags) = (numbered(number), tags.iter().map(|it| tag(it)).collect());
    let digest = manifest.digest();
    let change = ManifestChange::Push { manifest, tags };
    apply(bench, account, change).await.unwrap();
    digest
}

async fn page(
    bench: &Bench,
    repository: &str,
    text: &str,
    page: PageRequest<TagChangeId>,
) -> ListPage<TagChange> {
    let history = bench.tag_history();
    history
        .tag_history(&name(repository), &tag(text), page)
        .await
        .unwrap()
}

/// What became of a tag, without numbers.
async fn history(bench: &Bench, text: &str) -> Vec<(i64, Option<Digest>, Option<Digest>, String)> {
    let changes = page(bench, "a", text, first(1000)).await.entries;
    assert!(changes.is_sorted_by(|one, two| one.id > two.id));
    let changes = changes.into_iter();
    changes
        .map(|it| (it.at - BEGINNING as i64, it.from, it.to, it.author.account))
        .collect()
}

pub(crate) async fn each_change_of_a_tag_is_there(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = push(&bench, "ann", 1, &["x", "y", "x"]).await;
    bench.pass(SECOND);
    let two = push(&bench, "bob", 2, &["x"]).await;
    bench.pass(SECOND);
    apply(&bench, "eve", ManifestChange::Untag(tag("x")))
        .await
        .unwrap();
    bench.pass(SECOND);
    push(&bench, "", 1, &["x"]).await;
    bench.pass(SECOND);
    apply(&bench, "dan", ManifestChange::Remove(one))
        .await
        .unwrap();
    let by = str::to_owned;
    assert_eq!(
        history(&bench, "x").await,
        [
            (4, Some(one), None, by("dan")),
            (3, None, Some(one), by("")),
            (2, Some(two), None, by("eve")),
            (1, Some(one), Some(two), by("bob")),
            (0, None, Some(one), by("ann")),
        ]
    );
    assert_eq!(
        history(&bench, "y").await,
        [
            (4, Some(one), None, by("dan")),
            (0, None, Some(one), by("ann"))
        ]
    );
    let other = page(&bench.other_handle(), "a", "y", first(1)).await;
    assert_eq!(other.entries[0].author, author("dan"));
    for (repository, text) in [("a", "z"), ("b", "x")] {
        assert_eq!(page(&bench, repository, text, first(9)).await.entries, []);
    }
}

pub(crate) async fn a_tag_that_stays_has_no_change(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = push(&bench, "ann", 1, &["x"]).await;
    push(&bench, "bob", 1, &["x"]).await;
    push(&bench, "bob", 2, &[]).await;
    assert_eq!(
        history(&bench, "x").await,
        [(0, None, Some(one), "ann".to_owned())]
    );
    // A change without an author is not written.
    bench.push("a", numbered(3), &["x"]).await.unwrap();
    assert_eq!(history(&bench, "x").await.len(), 1);
}

pub(crate) async fn a_change_that_fails_is_not_there(make: MakeStores) {
    let bench = Bench::new(make).await;
    push(&bench, "ann", 1, &["x"]).await;
    for change in [
        ManifestChange::Untag(tag("z")),
        ManifestChange::Remove(numbered(9).digest()),
        ManifestChange::Untag(tag("x")),
        ManifestChange::Push {
            manifest: numbered(2),
            tags: vec![tag("new"), tag("x")],
        },
    ] {
        let changes = ChangeSet {
            author: Some(author("eve")),
            immutable: [rule("a", "x", &[])].into_iter().collect(),
            ..change.into()
        };
        bench
            .manifests()
            .apply(&name("a"), changes)
            .await
            .unwrap_err();
    }
    assert_eq!(history(&bench, "x").await.len(), 1);
    assert_eq!(history(&bench, "new").await.len(), 0);
}

pub(crate) async fn changes_in_pages(make: MakeStores) {
    let bench = Bench::new(make).await;
    for number in 0..7 {
        push(&bench, "ann", number, &["x", "y"]).await;
    }
    let all = page(&bench, "a", "x", first(100)).await;
    assert_eq!((all.entries.len(), all.more), (7, false));
    for limit in [1, 2, 7, 8] {
        let list = async |request| page(&bench, "a", "x", request).await;
        assert_eq!(walk(limit, |change| change.id, list).await, all.entries);
    }
    let none = page(&bench, "a", "x", first(0)).await;
    assert_eq!((none.entries.len(), none.more), (0, true));
}

pub(crate) async fn old_changes_are_forgotten_and_keep_nothing(make: MakeStores) {
    let bench = Bench::new(make).await;
    let one = push(&bench, "ann", 1, &["x"]).await;
    bench.pass(DAY);
    push(&bench, "ann", 2, &["x", "y"]).await;
    bench.pass(DAY);
    let forget = async |keep, limit| {
        bench
            .tag_history()
            .forget_tag_changes(keep, limit)
            .await
            .unwrap()
    };
    assert_eq!(forget(2 * DAY, 100).await, 0);
    assert_eq!(forget(2 * DAY - SECOND, 100).await, 1);
    assert_eq!(history(&bench, "x").await.len(), 1);
    assert_eq!(forget(SECOND, 1).await, 1);
    assert_eq!(forget(SECOND, 100).await, 1);
    assert_eq!(forget(SECOND, 100).await, 0);
    push(&bench, "ann", 3, &["x"]).await;
    let id = page(&bench, "a", "x", first(1)).await.entries[0].id;
    assert!(id > TagChangeId(3), "{id:?}");
    // The history alone keeps no manifest, and outlives its repository.
    bench.remove("a", numbered(3).digest()).await.unwrap();
    bench.remove("a", numbered(2).digest()).await.unwrap();
    bench.pass(400 * DAY);
    let untagged = storage::collection::CollectionPolicy {
        untagged: Some(DAY),
        ..COLLECT
    };
    let pruned = bench.prune(untagged).await;
    assert_eq!(pruned, [("a".to_owned(), one)]);
    bench.prune(untagged).await;
    assert!(!bench.has_repository("a").await);
    assert_eq!(history(&bench, "x").await.len(), 1);
}
