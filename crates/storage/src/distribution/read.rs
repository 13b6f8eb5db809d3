//! Reading a data directory, a repository at a time. Whatever is wrong with a file is told and
//! passed over.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use oci::{Digest, DigestAlgorithm, ManifestError, RepositoryName, Tag};

use super::{
    AdoptedBlob, AdoptionCheck, AdoptionProblem, AdoptionProblemKind, AdoptionTotals, BASE,
    RepositoryPart, blob_key,
};
use crate::{NewManifest, NewManifestError, hash};

/// The largest manifest that is read, in bytes; Distribution takes 4 MiB.
const LARGEST: u64 = 16 << 20;
/// A link holds a digest and nothing else.
const LINK: u64 = 1024;

/// What makes a directory that of a repository.
const PARTS: [&str; 2] = ["_layers", "_manifests"];

/// A data directory, and what was wrong in it so far.
pub(super) struct Reader<'a> {
    root: &'a Path,
    check: AdoptionCheck,
    pub(super) problems: Vec<AdoptionProblem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Path, check: AdoptionCheck) -> Self {
        Self {
            root,
            check,
            problems: Vec::new(),
        }
    }

    /// Every repository, by name.
    pub(super) fn repositories(&mut self) -> io::Result<Vec<RepositoryName>> {
        let top = self.root.join(BASE).join("repositories");
        // That one cannot be looked into is a problem; that nothing can be is an error.
        if !is_there(&top)? {
            return Ok(Vec::new());
        }
        fs::read_dir(&top)?;
        let mut found = Vec::new();
        let mut open = vec![(top, String::new())];
        while let Some((directory, name)) = open.pop() {
            let mut is_repository = false;
            for entry in self.names(&directory) {
                match entry.as_str() {
                    entry if PARTS.contains(&entry) => is_repository = true,
                    other if other.starts_with('_') => {}
                    other if directory.join(other).is_dir() => {
                        let below = if name.is_empty() {
                            other.to_owned()
                        } else {
                            format!("{name}/{other}")
                        };
                        open.push((directory.join(other), below));
                    }
                    _ => {}
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

    /// Whether there is a repository of this name.
    pub(super) fn has(&self, repository: &RepositoryName) -> io::Result<bool> {
        let home = self.home(repository);
        PARTS
            .iter()
            .try_fold(false, |has, part| Ok(has || is_there(&home.join(part))?))
    }

    /// Everything of a repository.
    pub(super) fn repository(&mut self, repository: RepositoryName) -> RepositoryPart {
        let home = self.home(&repository);
        let revisions = self.links(&home.join("_manifests/revisions"));
        let manifests: Vec<_> = revisions
            .iter()
            .filter_map(|digest| self.manifest(digest))
            .collect();
        let blobs: Vec<_> = self
            .links(&home.join("_layers"))
            .iter()
            .filter_map(|digest| self.blob(digest))
            .collect();
        let tags = self.tags(&home.join("_manifests/tags"), &manifests);
        for upload in self.names(&home.join("_uploads")) {
            self.problem(
                &home.join("_uploads").join(upload),
                AdoptionProblemKind::Upload,
            );
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

    fn home(&self, repository: &RepositoryName) -> PathBuf {
        self.root
            .join(BASE)
            .join("repositories")
            .join(repository.as_str())
    }

    /// The names in a directory, sorted; nothing where there is none.
    fn names(&mut self, directory: &Path) -> Vec<String> {
        names(directory).unwrap_or_else(|error| {
            self.problem(
                directory,
                AdoptionProblemKind::Unreadable(error.to_string()),
            );
            Vec::new()
        })
    }

    /// The digests that `directory/ALGORITHM/HASH/link` name. One without its file was deleted.
    fn links(&mut self, directory: &Path) -> Vec<Digest> {
        let mut digests = Vec::new();
        for algorithm in DigestAlgorithm::ALL {
            let directory = directory.join(algorithm.as_str());
            for hash in self.names(&directory) {
                let path = directory.join(&hash).join("link");
                let Some(link) = self.link(&path) else {
                    continue;
                };
                match link
                    .filter(|digest| digest.algorithm() == algorithm && digest.encoded() == hash)
                {
                    Some(digest) => digests.push(digest),
                    None => self.problem(&path, AdoptionProblemKind::NoLink),
                }
            }
        }
        digests
    }

    /// What a link says; none within where that is no digest, none at all where there is no link.
    fn link(&mut self, path: &Path) -> Option<Option<Digest>> {
        match read(path, LINK) {
            Ok(bytes) => Some(
                str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.trim().parse().ok()),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                self.problem(path, AdoptionProblemKind::Unreadable(error.to_string()));
                None
            }
        }
    }

    fn blob(&mut self, digest: &Digest) -> Option<AdoptedBlob> {
        let key = blob_key(digest);
        let path = self.root.join(&key);
        let looked = File::open(&path).and_then(|file| match self.check {
            AdoptionCheck::Manifests => Ok((file.metadata()?.len(), *digest)),
            AdoptionCheck::Everything => hash::read(digest.algorithm(), file),
        });
        match looked {
            Ok((size, computed)) if computed == *digest => {
                return Some(AdoptedBlob {
                    digest: *digest,
                    size,
                    key,
                });
            }
            Ok((_, computed)) => self.problem(&path, AdoptionProblemKind::Changed(computed)),
            Err(error) => self.unreadable(&path, digest, &error),
        }
        None
    }

    fn manifest(&mut self, digest: &Digest) -> Option<NewManifest> {
        let path = self.root.join(blob_key(digest));
        let bytes = match read(&path, LARGEST) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                self.unreadable(&path, digest, &error);
                return None;
            }
        };
        let kind = match NewManifest::parse_stored(bytes, *digest) {
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

    fn tags(&mut self, directory: &Path, manifests: &[NewManifest]) -> Vec<(Tag, Digest)> {
        let known: HashSet<Digest> = manifests.iter().map(NewManifest::digest).collect();
        let mut tags = Vec::new();
        for name in self.names(directory) {
            let path = directory.join(&name).join("current/link");
            let Some(link) = self.link(&path) else {
                continue;
            };
            match (name.parse(), link) {
                (Err(_), _) => self.problem(&path, AdoptionProblemKind::Name),
                (_, None) => self.problem(&path, AdoptionProblemKind::NoLink),
                (Ok(tag), Some(digest)) if known.contains(&digest) => tags.push((tag, digest)),
                (_, Some(digest)) => self.problem(&path, AdoptionProblemKind::Broken(digest)),
            }
        }
        tags
    }

    fn unreadable(&mut self, path: &Path, digest: &Digest, error: &io::Error) {
        let kind = match error.kind() {
            ErrorKind::NotFound => AdoptionProblemKind::Broken(*digest),
            _ => AdoptionProblemKind::Unreadable(error.to_string()),
        };
        self.problem(path, kind);
    }

    fn problem(&mut self, path: &Path, kind: AdoptionProblemKind) {
        let path = path
            .strip_prefix(self.root)
            .unwrap_or(path)
            .display()
            .to_string();
        self.problems.push(AdoptionProblem { path, kind });
    }
}

/// Whether there is something at this path, which a stranger may have chosen.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                Ok(false)
            }
            _ => Err(error),
        },
    }
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if File::open(path)?.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "larger than anything of its kind",
        ));
    }
    Ok(bytes)
}
