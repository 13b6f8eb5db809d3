//! Which manifests nothing needs.
//!
//! A manifest stays while it has a tag or a tombstone, or is younger than the age. So does everything
//! that it needs, and everything about it: what an index lists, the subject of a referrer, and the
//! referrers of a subject. The others are not needed.
//!
//! If untagged manifests are kept, those go that an expired tombstone releases, with what they list and
//! their referrers.

use std::collections::{HashMap, HashSet};

use oci::Digest;
use rusqlite::Connection;

use super::columns::Packed;
use crate::Error;

/// Manifests of one repository that nothing needs, at one count of its changes.
pub(super) struct UnneededManifests {
    pub(super) version: i64,
    pub(super) manifests: Vec<(i64, Digest)>,
}

/// The times that decide about manifests without a tag, in seconds since the Unix epoch.
#[derive(Clone, Copy)]
pub(super) struct UntaggedCutoffs {
    pub(super) now: i64,
    /// A lease from before this has ended.
    pub(super) leased_before: i64,
    /// Untagged manifests from before this go. Without it, those go that a tombstone releases.
    pub(super) untagged_before: Option<i64>,
}

struct Node {
    id: i64,
    digest: Digest,
    subject: Option<Digest>,
    leased_at: i64,
    /// It has a tag, or a tombstone that has not expired.
    is_held: bool,
    /// It lost its last tag, can not be restored any more, and was not used since.
    is_released: bool,
}

/// Whether the walk has to look at this repository.
pub(super) fn may_have_unneeded(
    connection: &Connection,
    repository: i64,
    cutoffs: UntaggedCutoffs,
) -> Result<bool, Error> {
    if cutoffs.untagged_before.is_some() {
        return Ok(true);
    }
    let mut find = connection.prepare_cached(
        "SELECT 1 FROM tag_tombstones WHERE repository = ?1 AND releases = 1 AND expires_at <= ?2",
    )?;
    Ok(find.exists([repository, cutoffs.now])?)
}

/// The manifests of a repository that nothing needs.
pub(super) fn unneeded(
    connection: &Connection,
    repository: i64,
    cutoffs: UntaggedCutoffs,
) -> Result<UnneededManifests, Error> {
    let mut find = connection.prepare_cached("SELECT version FROM repositories WHERE id = ?1")?;
    let version = find.query_row([repository], |row| row.get(0))?;
    let nodes = nodes(connection, repository, cutoffs.now)?;
    let is_old = |node: &Node| {
        cutoffs
            .untagged_before
            .is_some_and(|before| node.leased_at < before)
    };
    let may_go = |node: &Node| node.is_released || !node.is_held && is_old(node);
    if !nodes.iter().any(may_go) {
        return Ok(UnneededManifests {
            version,
            manifests: Vec::new(),
        });
    }
    let neighbours = neighbours(connection, repository, &nodes)?;
    let released: Vec<usize> = (0..nodes.len())
        .filter(|at| nodes[*at].is_released)
        .collect();
    let released = reach(&neighbours, released, |neighbour| neighbour.goes_along);
    let is_needed = |at: usize| {
        let node = &nodes[at];
        let goes = is_old(node) || released.contains(&at) && node.leased_at < cutoffs.leased_before;
        node.is_held || !goes
    };
    let needed = (0..nodes.len()).filter(|at| is_needed(*at)).collect();
    let needed = reach(&neighbours, needed, |_| true);
    let manifests = (0..nodes.len())
        .filter(|at| !needed.contains(at))
        .map(|at| (nodes[at].id, nodes[at].digest))
        .collect();
    Ok(UnneededManifests { version, manifests })
}

fn nodes(connection: &Connection, repository: i64, now: i64) -> Result<Vec<Node>, Error> {
    let mut list = connection.prepare_cached(
        "SELECT id, digest, subject, leased_at,
           EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id)
           OR EXISTS (SELECT 1 FROM tag_tombstones d WHERE d.manifest = m.id AND d.expires_at > ?2),
           EXISTS (SELECT 1 FROM tag_tombstones d WHERE d.manifest = m.id AND d.expires_at <= ?2
             AND d.releases = 1 AND m.leased_at < d.removed_at)
         FROM manifests m WHERE repository = ?1",
    )?;
    let nodes = list.query_map([repository, now], |row| {
        let subject = row.get::<_, Option<Packed>>(2)?.map(|subject| subject.0);
        Ok(Node {
            id: row.get(0)?,
            digest: row.get::<_, Packed>(1)?.0,
            subject,
            leased_at: row.get(3)?,
            is_held: row.get(4)?,
            is_released: row.get(5)?,
        })
    })?;
    Ok(nodes.collect::<Result<_, _>>()?)
}

/// A node that another one needs.
struct Neighbour {
    at: usize,
    /// Whether it goes along when the other one goes: what an index lists, and the referrers of a
    /// subject.
    goes_along: bool,
}

/// The nodes to which these lead through such neighbours, and these.
fn reach(
    neighbours: &HashMap<usize, Vec<Neighbour>>,
    mut reached: Vec<usize>,
    leads: impl Fn(&Neighbour) -> bool,
) -> HashSet<usize> {
    let mut all: HashSet<usize> = reached.iter().copied().collect();
    while let Some(at) = reached.pop() {
        let next = neighbours.get(&at).into_iter().flatten();
        for neighbour in next.filter(|neighbour| leads(neighbour)) {
            if all.insert(neighbour.at) {
                reached.push(neighbour.at);
            }
        }
    }
    all
}

/// Which nodes each node needs: an index what it lists, a subject and its referrers each other.
fn neighbours(
    connection: &Connection,
    repository: i64,
    nodes: &[Node],
) -> Result<HashMap<usize, Vec<Neighbour>>, Error> {
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
    let mut neighbours: HashMap<usize, Vec<Neighbour>> = HashMap::new();
    let mut add = |from: usize, at: usize, goes_along: bool| {
        let all = neighbours.entry(from).or_default();
        all.push(Neighbour { at, goes_along });
    };
    let subjects = nodes
        .iter()
        .map(|node| node.subject.and_then(|subject| by_digest.get(&subject)));
    for (referrer, subject) in subjects.enumerate() {
        if let Some(&subject) = subject {
            add(referrer, subject, false);
            add(subject, referrer, true);
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
            add(parent, child, true);
        }
    }
    Ok(neighbours)
}
