//! Which manifests nothing needs.
//!
//! A manifest stays while it has a tag or is younger than the age. So does everything that it needs,
//! and everything about it: what an index lists, the subject of a referrer, and the referrers of a
//! subject. The others are not needed.

use std::collections::HashMap;

use oci::Digest;
use rusqlite::Connection;

use super::columns::Packed;
use crate::Error;

/// Manifests of one repository that nothing needs, at one count of its changes.
pub(super) struct UnneededManifests {
    pub(super) version: i64,
    pub(super) manifests: Vec<(i64, Digest)>,
}

struct Node {
    id: i64,
    digest: Digest,
    subject: Option<Digest>,
    needed: bool,
}

/// The untagged manifests of a repository that were last leased before `before` and that nothing
/// needs.
pub(super) fn unneeded(
    connection: &Connection,
    repository: i64,
    before: i64,
) -> Result<UnneededManifests, Error> {
    let mut find = connection.prepare_cached("SELECT version FROM repositories WHERE id = ?1")?;
    let version = find.query_row([repository], |row| row.get(0))?;
    let mut nodes = nodes(connection, repository, before)?;
    if nodes.iter().all(|node| node.needed) {
        return Ok(UnneededManifests {
            version,
            manifests: Vec::new(),
        });
    }
    let neighbours = neighbours(connection, repository, &nodes)?;
    let mut reached: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].needed).collect();
    while let Some(at) = reached.pop() {
        for &next in neighbours.get(&at).into_iter().flatten() {
            if !nodes[next].needed {
                nodes[next].needed = true;
                reached.push(next);
            }
        }
    }
    let manifests = nodes
        .iter()
        .filter(|node| !node.needed)
        .map(|node| (node.id, node.digest))
        .collect();
    Ok(UnneededManifests { version, manifests })
}

fn nodes(connection: &Connection, repository: i64, before: i64) -> Result<Vec<Node>, Error> {
    let mut list = connection.prepare_cached(
        "SELECT id, digest, subject, leased_at >= ?2 OR EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id)
         FROM manifests m WHERE repository = ?1",
    )?;
    let nodes = list.query_map([repository, before], |row| {
        let subject = row.get::<_, Option<Packed>>(2)?.map(|subject| subject.0);
        Ok(Node {
            id: row.get(0)?,
            digest: row.get::<_, Packed>(1)?.0,
            subject,
            needed: row.get(3)?,
        })
    })?;
    Ok(nodes.collect::<Result<_, _>>()?)
}

/// Which nodes each node needs: an index what it lists, a subject and its referrers each other.
fn neighbours(
    connection: &Connection,
    repository: i64,
    nodes: &[Node],
) -> Result<HashMap<usize, Vec<usize>>, Error> {
    let by_digest: HashMap<Digest, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.digest, at))
        .collect();
    let by_id: HashMap<i64, usize> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.id, at))
        .collect();
    let mut neighbours: HashMap<usize, Vec<usize>> = HashMap::new();
    let subjects = nodes
        .iter()
        .map(|node| node.subject.and_then(|subject| by_digest.get(&subject)));
    for (referrer, subject) in subjects.enumerate() {
        if let Some(&subject) = subject {
            neighbours.entry(referrer).or_default().push(subject);
            neighbours.entry(subject).or_default().push(referrer);
        }
    }
    let mut list = connection.prepare_cached(
        "SELECT p.id, c.id FROM manifests p JOIN manifest_references r ON r.manifest = p.id
         JOIN manifests c ON c.repository = p.repository AND c.digest = r.digest
         WHERE p.repository = ?1 AND r.repository = ?1",
    )?;
    let mut rows = list.query([repository])?;
    while let Some(row) = rows.next()? {
        if let (Some(&parent), Some(&child)) = (by_id.get(&row.get(0)?), by_id.get(&row.get(1)?)) {
            neighbours.entry(parent).or_default().push(child);
        }
    }
    Ok(neighbours)
}
