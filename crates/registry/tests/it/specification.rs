//! Every MUST and SHOULD of the OCI distribution-spec has a row: requests that show it, or the reason
//! why requests cannot.

use std::collections::BTreeMap;

use super::postgres::RegistryDatabase;
use super::script::Step;
use super::world::World;

const TABLE: &str = include_str!("../vectors/specification.txt");

/// How many sentences with MUST or SHOULD each section of the specification has (its development
/// head of July 2026).
const SENTENCES: [(&str, usize); 31] = [
    ("Legacy Docker support HTTP headers", 1),
    ("Legacy Docker support error codes", 1),
    ("Notational Conventions", 1),
    ("Requirements", 3),
    ("Pulling manifests", 14),
    ("Pulling blobs", 7),
    ("Checking if content exists in the registry", 4),
    ("Push", 2),
    ("Pushing blobs", 1),
    ("POST then PUT", 5),
    ("Single POST", 4),
    ("Pushing a blob in chunks", 17),
    ("Cancel a blob upload", 4),
    ("Mounting a blob from another repository", 3),
    ("Pushing Manifests", 17),
    ("Pushing Manifests with Subject", 8),
    ("Listing Tags", 9),
    ("Listing Referrers", 18),
    ("Deleting tags", 2),
    ("Deleting Manifests", 4),
    ("Deleting Blobs", 3),
    ("Registry Proxying", 6),
    ("Backwards Compatibility", 2),
    ("Unavailable Referrers API", 2),
    ("Referrers Tag Schema", 3),
    ("Enabling the Referrers API", 2),
    ("API", 2),
    ("Endpoints", 0),
    ("Error Codes", 5),
    ("Warnings", 5),
    ("Determining Support", 0),
];

/// A row: `section #number`, and either requests or a reason why there are none.
struct Row<'a> {
    section: &'a str,
    number: usize,
    /// The rule is for clients, or no request can show it.
    reason: Option<&'a str>,
    steps: Vec<Step<'a>>,
}

fn rows() -> Vec<Row<'static>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in TABLE
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("//"))
    {
        if let Some(heading) = line.strip_prefix("## ") {
            let (name, words) = heading
                .split_once(": ")
                .unwrap_or_else(|| panic!("no words in: {line}"));
            let (section, number) = name
                .split_once(" #")
                .unwrap_or_else(|| panic!("no number in: {line}"));
            let reason = words.strip_prefix("- ");
            rows.push(Row {
                section,
                number: number.parse().unwrap(),
                reason,
                steps: Vec::new(),
            });
        } else {
            rows.last_mut().unwrap().steps.push(Step::parse(line));
        }
    }
    rows
}

#[test]
fn every_must_and_should_has_a_row() {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for row in rows() {
        found.entry(row.section).or_default().push(row.number);
        let (section, number) = (row.section, row.number);
        assert_ne!(
            row.steps.is_empty(),
            row.reason.is_none(),
            "{section} #{number}: requests, or a reason for none"
        );
    }
    for (section, count) in SENTENCES {
        let numbers = found.remove(section).unwrap_or_default();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{section}");
    }
    assert!(
        found.is_empty(),
        "sections that the specification does not have: {found:?}"
    );
}

#[tokio::test]
async fn every_row_holds() {
    every_row_holds_in(World::open).await;
}

#[tokio::test]
async fn every_row_holds_with_metadata_in_memory() {
    every_row_holds_in(World::in_memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_holds_with_metadata_in_postgresql() {
    let database = RegistryDatabase::start();
    every_row_holds_in(async || World::in_postgres(&database).await).await;
}

async fn every_row_holds_in(world: impl AsyncFn() -> World) {
    let mut requests = 0;
    for row in rows().iter().filter(|row| !row.steps.is_empty()) {
        let (world, mut location) = (world().await, String::new());
        for step in &row.steps {
            step.run(&world, &mut location).await;
            requests += 1;
        }
    }
    assert!(requests > 100, "{requests}");
}
