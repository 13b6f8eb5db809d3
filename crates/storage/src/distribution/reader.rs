//! Reading a data directory, one repository at a time. A file with a problem is reported and
//! skipped.

use std::collections::HashSet;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, ManifestError, RepositoryName, Tag};

use super::layout::{BASE, blob_path, repository_path};
use super::problem::{AdoptionProblem, AdoptionProblemKind};
use super::report::AdoptionCheck;
use super::tree::{EntryKind, Tree};
use crate::seams::{AdoptedBlob, AdoptionTotals, RepositoryPart};
use crate::{NewManifest, NewManifestError, TaggedManifest};

/// The largest manifest that is read, in bytes. Distribution accepts 4 MiB.
const LARGEST: u64 = 16 << 20;
/// A link holds a digest and nothing else.
const LINK: u64 = 1024;

/// A directory with one of these is that of a repository.
const PARTS: [&str; 2] = ["_layers", "_manifests"];

/// Reads a data directory and collects its problems.
pub(super) struct DataDirectoryReader<'a> {
    tree: &'a dyn Tree,
    check: AdoptionCheck,
    pub(super) problems: Vec<AdoptionProblem>,
}

impl<'a> DataDirectoryReader<'a> {
    pub(super) fn new(tree: &'a dyn Tree, check: AdoptionCheck) -> Self {
        Self {
            tree,
            check,
            problems: Vec::new(),
        }
    }

    /// Every repository, by name.
    pub(super) fn repositories(&mut self) -> io::Result<Vec<RepositoryName>> {
        let top = format!("{BASE}/repositories");
        // An unreadable directory is a problem. If nothing can be read, it is an error.
        if !self.tree.exists(&top)? {
            return Ok(Vec::new());
        }
        self.tree.list(&top)?;
        let mut found = Vec::new();
        let mut open = vec![(top, String::new())];
        while let Some((directory, name)) = open.pop() {
            let mut is_repository = false;
            for (entry, kind) in self.entries(&directory) {
                let path = format!("{directory}/{entry}");
                match (entry.as_str(), kind) {
                    (entry, _) if PARTS.contains(&entry) => is_repository = true,
                    (entry, _) if entry.starts_with('_') => {}
                    (_, EntryKind::Directory) => {
                        let below = if name.is_empty() {
                            entry
                        } else {
                            format!("{name}/{entry}")
                        };
                        open.push((path, below));
                    }
                    (_, EntryKind::Link) => self.problem(&path, AdoptionProblemKind::Link),
                    (_, EntryKind::Other) => {}
                }
            }
            if is_repository {
                match name.parse() {
                    Ok(name) => found.push(name),
                    Err(_) => self.problem(&directory, AdoptionProblemKind::Name),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a repository of this name exists.
    pub(super) fn has(&self, repository: &RepositoryName) -> io::Result<bool> {
        let home = repository_path(repository);
        PARTS.iter().try_fold(false, |has, part| {
            Ok(has || self.tree.exists(&format!("{home}/{part}"))?)
        })
    }

    /// All of a repository.
    pub(super) fn repository(&mut self, repository: RepositoryName) -> RepositoryPart {
        let home = repository_path(&repository);
        let revisions = self.links(&format!("{home}/_manifests/revisions"));
        let manifests: Vec<_> = revisions
            .iter()
            .filter_map(|link| self.manifest(link))
            .collect();
        let blobs: Vec<_> = self
            .links(&format!("{home}/_layers"))
            .iter()
            .filter_map(|link| self.blob(link))
            .collect();
        let tags = self.tags(&format!("{home}/_manifests/tags"), &manifests);
        let uploads = format!("{home}/_uploads");
        for (upload, _) in self.entries(&uploads) {
            self.problem(&format!("{uploads}/{upload}"), AdoptionProblemKind::Upload);
        }
        let totals = AdoptionTotals {
            manifests: manifests.len() as u64,
            tags: tags.len() as u64,
            blobs: blobs.len() as u64,
        };
        RepositoryPart {
            repository,
            blobs,
            manifests,
            tags,
            totals: Some(totals),
        }
    }

    /// The entries of a directory, by name. A missing directory has none.
    fn entries(&mut self, directory: &str) -> Vec<(String, EntryKind)> {
        match self.tree.list(directory) {
            Ok(entries) => entries
                .into_iter()
                .map(|entry| (entry.name, entry.kind))
                .collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.problem(
                    directory,
                    AdoptionProblemKind::Unreadable(error.to_string()),
                );
                Vec::new()
            }
        }
    }

    /// The links in the files `directory/ALGORITHM/HASH/link`. An entry without its file was
    /// deleted. A link by an algorithm that is not known here is a problem.
    fn links(&mut self, directory: &str) -> Vec<Link> {
        let mut links = Vec::new();
        for (algorithm, kind) in self.entries(directory) {
            let directory = format!("{directory}/{algorithm}");
            let algorithm = algorithm.parse::<DigestAlgorithm>();
            if algorithm.is_err() && kind == EntryKind::Other {
                continue;
            }
            for (hash, _) in self.entries(&directory) {
                let path = format!("{directory}/{hash}/link");
                let content = match self.link(&path) {
                    LinkContent::Missing => continue,
                    LinkContent::Invalid => None,
                    LinkContent::Digest(digest) => Some(digest),
                };
                let Ok(algorithm) = algorithm else {
                    self.problem(&path, AdoptionProblemKind::Algorithm);
                    continue;
                };
                match (format!("{algorithm}:{hash}").parse::<Digest>(), content) {
                    // Distribution stores content under one algorithm. The other digest links to it.
                    (Ok(name), Some(content))
                        if name == content || algorithm != content.algorithm() =>
                    {
                        links.push(Link { name, content });
                    }
                    _ => self.problem(&path, AdoptionProblemKind::NoLink),
                }
            }
        }
        links
    }

    /// The content of a link. An unreadable link is a problem, and counts as missing.
    fn link(&mut self, path: &str) -> LinkContent {
        match self.tree.read(path, LINK) {
            Ok(bytes) => str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or(LinkContent::Invalid, LinkContent::Digest),
            Err(error) if error.kind() == ErrorKind::NotFound => LinkContent::Missing,
            Err(error) => {
                self.problem(path, AdoptionProblemKind::Unreadable(error.to_string()));
                LinkContent::Missing
            }
        }
    }

    fn blob(&mut self, link: &Link) -> Option<AdoptedBlob> {
        let Link { name, content } = *link;
        let path = blob_path(&content);
        // A digest of another algorithm than the content's proves nothing: it is always checked.
        let is_checked = self.check == AdoptionCheck::Everything || name != content;
        let found = if is_checked {
            self.tree.digest(&path, name.algorithm())
        } else {
            self.tree.size(&path).map(|size| (size, name))
        };
        match found {
            Ok((size, computed)) if computed == name => {
                return Some(AdoptedBlob {
                    digest: name,
                    size,
                    key: path,
                });
            }
            Ok((_, computed)) => self.problem(&path, AdoptionProblemKind::Changed(computed)),
            Err(error) => self.unreadable(&path, &content, &error),
        }
        None
    }

    fn manifest(&mut self, link: &Link) -> Option<NewManifest> {
        let path = blob_path(&link.content);
        let bytes = match self.tree.read(&path, LARGEST) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                self.unreadable(&path, &link.content, &error);
                return None;
            }
        };
        let kind = match NewManifest::parse_stored(bytes, link.name) {
            Ok(manifest) => return Some(manifest),
            Err(NewManifestError::Digest(mismatch)) => {
                AdoptionProblemKind::Changed(mismatch.computed)
            }
            Err(NewManifestError::Invalid(ManifestError::Schema1)) => AdoptionProblemKind::Schema1,
            Err(NewManifestError::Invalid(error)) => {
                AdoptionProblemKind::NoManifest(error.to_string())
            }
        };
        self.problem(&path, kind);
        None
    }

    fn tags(&mut self, directory: &str, manifests: &[NewManifest]) -> Vec<TaggedManifest> {
        let known: HashSet<Digest> = manifests.iter().map(NewManifest::digest).collect();
        let mut tags = Vec::new();
        for (name, _) in self.entries(directory) {
            let path = format!("{directory}/{name}/current/link");
            match (name.parse::<Tag>(), self.link(&path)) {
                (_, LinkContent::Missing) => {}
                (Err(_), _) => self.problem(&path, AdoptionProblemKind::Name),
                (_, LinkContent::Invalid) => self.problem(&path, AdoptionProblemKind::NoLink),
                (Ok(tag), LinkContent::Digest(digest)) if known.contains(&digest) => {
                    tags.push(TaggedManifest { tag, digest });
                }
                (_, LinkContent::Digest(digest)) => {
                    self.problem(&path, AdoptionProblemKind::Broken(digest));
                }
            }
        }
        tags
    }

    fn unreadable(&mut self, path: &str, digest: &Digest, error: &io::Error) {
        let kind = match error.kind() {
            ErrorKind::NotFound => AdoptionProblemKind::Broken(*digest),
            _ => AdoptionProblemKind::Unreadable(error.to_string()),
        };
        self.problem(path, kind);
    }

    fn problem(&mut self, path: &str, kind: AdoptionProblemKind) {
        let path = path.to_owned();
        self.problems.push(AdoptionProblem { path, kind });
    }
}

/// A digest, and the digest under which its content is stored.
struct Link {
    name: Digest,
    content: Digest,
}

/// What a link's file contains.
enum LinkContent {
    /// There is no file.
    Missing,
    /// Something other than a digest.
    Invalid,
    Digest(Digest),
}
