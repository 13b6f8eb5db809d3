//! Reading a data directory, one repository at a time. A file with a problem is reported and
//! skipped.

use std::collections::HashSet;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, ManifestError, RepositoryName, Tag};

use super::layout::{BASE, blob_path, repository_path};
use super::problem::{AdoptionProblem, AdoptionProblemKind};
use super::report::AdoptionCheck;
use crate::seams::{AdoptedBlob, AdoptionTotals, RepositoryPart};
use crate::{EntryKind, LinkFile, NewManifest, NewManifestError, TaggedManifest, Tree, TreeEntry};

/// The largest manifest that is read, in bytes. Distribution accepts 4 MiB.
const LARGEST: u64 = 16 << 20;
/// A link holds a digest and nothing else.
const LINK: u64 = 1024;

/// Files that are asked for at once.
const BATCH: usize = 512;

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
        let mut found = Vec::new();
        let mut level = vec![(top, String::new())];
        let mut is_top = true;
        while !level.is_empty() {
            let directories: Vec<_> = level.iter().map(|(path, _)| path.clone()).collect();
            let mut below = Vec::new();
            for (listed, (directory, name)) in self.tree.list(&directories).into_iter().zip(level) {
                let entries = if is_top {
                    listed?
                } else {
                    self.listed(&directory, listed)?
                };
                is_top = false;
                let mut is_repository = false;
                for TreeEntry { name: entry, kind } in entries {
                    let path = format!("{directory}/{entry}");
                    match (entry.as_str(), kind) {
                        (entry, _) if PARTS.contains(&entry) => is_repository = true,
                        (entry, _) if entry.starts_with('_') => {}
                        (_, EntryKind::Directory) => {
                            let name = if name.is_empty() {
                                entry
                            } else {
                                format!("{name}/{entry}")
                            };
                            below.push((path, name));
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
            level = below;
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
    ///
    /// # Errors
    /// If the tree cannot be reached.
    pub(super) fn repository(&mut self, repository: RepositoryName) -> io::Result<RepositoryPart> {
        let home = repository_path(&repository);
        let revisions = self.links(&format!("{home}/_manifests/revisions"))?;
        let manifests = self.manifests(&revisions)?;
        let layers = self.links(&format!("{home}/_layers"))?;
        let blobs = self.blobs(&layers)?;
        let tags = self.tags(&format!("{home}/_manifests/tags"), &manifests)?;
        let uploads = format!("{home}/_uploads");
        for upload in self.entries(&uploads)? {
            let path = format!("{uploads}/{}", upload.name);
            self.problem(&path, AdoptionProblemKind::Upload);
        }
        let totals = AdoptionTotals {
            manifests: manifests.len() as u64,
            tags: tags.len() as u64,
            blobs: blobs.len() as u64,
        };
        Ok(RepositoryPart {
            repository,
            blobs,
            manifests,
            tags,
            totals: Some(totals),
        })
    }

    /// The entries of a directory, by name. A missing directory has none.
    fn entries(&mut self, directory: &str) -> io::Result<Vec<TreeEntry>> {
        let listed = self.tree.list(&[directory.to_owned()]).pop();
        self.listed(directory, listed.unwrap_or(Ok(Vec::new())))
    }

    /// The entries of a directory. An unreadable directory is a problem, and has none.
    fn listed<T: Default>(&mut self, directory: &str, listed: io::Result<T>) -> io::Result<T> {
        match listed {
            Ok(entries) => Ok(entries),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
            Err(error) => {
                let error = only_this(error)?;
                self.problem(
                    directory,
                    AdoptionProblemKind::Unreadable(error.to_string()),
                );
                Ok(T::default())
            }
        }
    }

    /// The files `directory/ALGORITHM/HASH/link`.
    fn link_files(&mut self, directory: &str) -> io::Result<Vec<LinkFile>> {
        if let Some(found) = self.tree.links(directory) {
            return self.listed(directory, found);
        }
        let mut found = Vec::new();
        for algorithm in self.entries(directory)? {
            let is_known = algorithm.name.parse::<DigestAlgorithm>().is_ok();
            if !is_known && algorithm.kind == EntryKind::Other {
                continue;
            }
            for hash in self.entries(&format!("{directory}/{}", algorithm.name))? {
                found.push(LinkFile {
                    algorithm: algorithm.name.clone(),
                    encoded: hash.name,
                    has_own_length: false,
                });
            }
        }
        Ok(found)
    }

    /// The links in the files `directory/ALGORITHM/HASH/link`. An entry without its file was
    /// deleted. A link by an algorithm that is not known here is a problem.
    fn links(&mut self, directory: &str) -> io::Result<Vec<Link>> {
        let mut links = Vec::new();
        for files in self.link_files(directory)?.chunks(BATCH) {
            // A link of this algorithm and length can only have the digest of its path.
            let is_clear = |file: &&LinkFile| {
                self.check == AdoptionCheck::Manifests
                    && file.has_own_length
                    && file.algorithm == DigestAlgorithm::Sha256.as_str()
            };
            let path = |file: &LinkFile| {
                let LinkFile {
                    algorithm, encoded, ..
                } = file;
                format!("{directory}/{algorithm}/{encoded}/link")
            };
            let unclear = files.iter().filter(|file| !is_clear(file)).map(path);
            let unclear: Vec<_> = unclear.collect();
            let clear: Vec<_> = files.iter().map(|file| is_clear(&file)).collect();
            let mut read = self.tree.read(&unclear, LINK).into_iter();
            for (file, is_clear) in files.iter().zip(clear) {
                let path = path(file);
                let name = format!("{}:{}", file.algorithm, file.encoded);
                let name = name.parse::<Digest>().ok();
                let content = if is_clear {
                    name
                } else {
                    match self.link(&path, read.next())? {
                        LinkContent::Missing => continue,
                        LinkContent::Invalid => None,
                        LinkContent::Digest(digest) => Some(digest),
                    }
                };
                let Ok(algorithm) = file.algorithm.parse::<DigestAlgorithm>() else {
                    self.problem(&path, AdoptionProblemKind::Algorithm);
                    continue;
                };
                match (name, content) {
                    // Distribution stores content under one algorithm. The other digest links to it.
                    (Some(name), Some(content))
                        if name == content || algorithm != content.algorithm() =>
                    {
                        links.push(Link { name, content });
                    }
                    _ => self.problem(&path, AdoptionProblemKind::NoLink),
                }
            }
        }
        Ok(links)
    }

    /// The content of a link. An unreadable link is a problem, and counts as missing.
    fn link(&mut self, path: &str, read: Option<io::Result<Vec<u8>>>) -> io::Result<LinkContent> {
        match read.unwrap_or_else(|| Err(ErrorKind::NotFound.into())) {
            Ok(bytes) => Ok(str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or(LinkContent::Invalid, LinkContent::Digest)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(LinkContent::Missing),
            Err(error) => {
                let error = only_this(error)?;
                self.problem(path, AdoptionProblemKind::Unreadable(error.to_string()));
                Ok(LinkContent::Missing)
            }
        }
    }

    fn blobs(&mut self, links: &[Link]) -> io::Result<Vec<AdoptedBlob>> {
        let mut blobs = Vec::new();
        for links in links.chunks(BATCH) {
            // A digest of another algorithm than the content's proves nothing: it is always checked.
            let is_checked =
                |link: &Link| self.check == AdoptionCheck::Everything || link.name != link.content;
            let path = |link: &Link| blob_path(&link.content);
            let unchecked = links.iter().filter(|link| !is_checked(link)).map(path);
            let mut sizes = self.tree.sizes(&unchecked.collect::<Vec<_>>()).into_iter();
            let found: Vec<_> = links
                .iter()
                .map(|link| {
                    let Link { name, .. } = *link;
                    if is_checked(link) {
                        return self.tree.digest(&path(link), name.algorithm());
                    }
                    let size = sizes.next();
                    let size = size.unwrap_or_else(|| Err(ErrorKind::NotFound.into()));
                    size.map(|size| (size, name))
                })
                .collect();
            for (Link { name, content }, found) in links.iter().copied().zip(found) {
                let path = blob_path(&content);
                match found {
                    Ok((size, computed)) if computed == name => blobs.push(AdoptedBlob {
                        digest: name,
                        size,
                        key: path,
                    }),
                    Ok((_, computed)) => {
                        self.problem(&path, AdoptionProblemKind::Changed(computed));
                    }
                    Err(error) => self.unreadable(&path, &content, error)?,
                }
            }
        }
        Ok(blobs)
    }

    fn manifests(&mut self, links: &[Link]) -> io::Result<Vec<NewManifest>> {
        let mut manifests = Vec::new();
        for links in links.chunks(BATCH) {
            let paths: Vec<_> = links.iter().map(|link| blob_path(&link.content)).collect();
            let read = self.tree.read(&paths, LARGEST);
            for ((path, link), bytes) in paths.iter().zip(links).zip(read) {
                match bytes {
                    Ok(bytes) => manifests.extend(self.manifest(path, link, bytes.into())),
                    Err(error) => self.unreadable(path, &link.content, error)?,
                }
            }
        }
        Ok(manifests)
    }

    fn manifest(&mut self, path: &str, link: &Link, bytes: Bytes) -> Option<NewManifest> {
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
        self.problem(path, kind);
        None
    }

    fn tags(
        &mut self,
        directory: &str,
        manifests: &[NewManifest],
    ) -> io::Result<Vec<TaggedManifest>> {
        let known: HashSet<Digest> = manifests.iter().map(NewManifest::digest).collect();
        let mut tags = Vec::new();
        for entries in self.entries(directory)?.chunks(BATCH) {
            let path = |entry: &TreeEntry| format!("{directory}/{}/current/link", entry.name);
            let paths: Vec<_> = entries.iter().map(path).collect();
            let read = self.tree.read(&paths, LINK);
            for ((entry, path), read) in entries.iter().zip(&paths).zip(read) {
                match (entry.name.parse::<Tag>(), self.link(path, Some(read))?) {
                    (_, LinkContent::Missing) => {}
                    (Err(_), _) => self.problem(path, AdoptionProblemKind::Name),
                    (_, LinkContent::Invalid) => self.problem(path, AdoptionProblemKind::NoLink),
                    (Ok(tag), LinkContent::Digest(digest)) if known.contains(&digest) => {
                        tags.push(TaggedManifest { tag, digest });
                    }
                    (_, LinkContent::Digest(digest)) => {
                        self.problem(path, AdoptionProblemKind::Broken(digest));
                    }
                }
            }
        }
        Ok(tags)
    }

    fn unreadable(&mut self, path: &str, digest: &Digest, error: io::Error) -> io::Result<()> {
        let kind = match error.kind() {
            ErrorKind::NotFound => AdoptionProblemKind::Broken(*digest),
            _ => AdoptionProblemKind::Unreadable(only_this(error)?.to_string()),
        };
        self.problem(path, kind);
        Ok(())
    }

    fn problem(&mut self, path: &str, kind: AdoptionProblemKind) {
        let path = path.to_owned();
        self.problems.push(AdoptionProblem { path, kind });
    }
}

/// The error, if it is about one file only: a tree that cannot be reached has no problem.
fn only_this(error: io::Error) -> io::Result<io::Error> {
    match error.kind() {
        ErrorKind::HostUnreachable => Err(error),
        _ => Ok(error),
    }
}

/// A digest, and the digest under which its content is stored.
#[derive(Clone, Copy)]
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
