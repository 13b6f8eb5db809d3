//! A client that keeps what was acknowledged to it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use oci::Digest;

use super::Storm;
use crate::replicas::image::{MANIFEST, digest, manifest};
use crate::replicas::wire::{self, Answer, BYTES, location, with_digest};

/// How long one operation may be tried, while replicas, the database and the store come and go.
const PATIENCE: Duration = Duration::from_secs(300);
/// A layer that is larger than a part of the store's.
const LARGE: usize = 6 << 20;

/// What a tag must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tagged {
    Image(Digest),
    Nothing,
}

pub(super) struct Client<'a> {
    storm: &'a Storm,
    repository: String,
    random: Random,
    /// What was acknowledged.
    tags: BTreeMap<String, Tagged>,
    /// The manifests that were pushed, with their blobs.
    images: BTreeMap<Digest, Vec<Digest>>,
}

impl<'a> Client<'a> {
    pub(super) fn new(storm: &'a Storm, number: usize, seed: u64) -> Self {
        Self {
            storm,
            repository: format!("client/{number}"),
            random: Random(seed ^ (number as u64 + 1) << 32),
            tags: BTreeMap::new(),
            images: BTreeMap::new(),
        }
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = (&str, &Tagged)> {
        self.tags.iter().map(|(tag, tagged)| (tag.as_str(), tagged))
    }

    /// Pushes, moves tags, deletes and pulls, until the storm is over.
    pub(super) fn run(mut self) -> Result<Self, String> {
        let mut number = 0_u64;
        while !self.storm.is_over.load(Ordering::SeqCst) {
            number += 1;
            // A few tags move, the others stay.
            let tag = match self.random.below(3) {
                0 => format!("moving{}", self.random.below(3)),
                _ => format!("t{number}"),
            };
            let size = if self.random.below(10) == 0 {
                LARGE
            } else {
                3000
            };
            self.push(&tag, number, size)?;
            self.check(&tag)?;
            if self.random.below(4) == 0 {
                self.delete_one()?;
            }
            if let Some(tag) = self.any_tag() {
                self.check(&tag)?;
            }
        }
        Ok(self)
    }

    fn push(&mut self, tag: &str, number: u64, size: usize) -> Result<(), String> {
        let text = format!("{} {number} ", self.repository);
        let layer = text.repeat(size / text.len()).into_bytes();
        let config = format!("{{\"created by\":\"{text}\"}}").into_bytes();
        let base = b"a layer that all clients push".to_vec();
        let blobs = [&config, &layer, &base].map(|content| (digest(content), content));
        let layers = &blobs[1..];
        let manifest = manifest(&blobs[0], layers);
        let expected = digest(manifest.as_bytes());
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let deadline = Instant::now() + PATIENCE;
        loop {
            for (digest, content) in &blobs {
                self.upload(digest, content, deadline)?;
            }
            let answer = self.send("PUT", &path, MANIFEST, manifest.as_bytes());
            match answer {
                Ok(answer) if answer.status == 201 => break,
                // Collection took a blob: the client pushes it again.
                Ok(answer) if answer.status == 404 || answer.status == 400 => {
                    self.later(deadline, &text_of(&answer))?;
                }
                answer => self.retry(answer, deadline)?,
            }
        }
        self.images
            .insert(expected, blobs.iter().map(|(digest, _)| *digest).collect());
        self.tags.insert(tag.to_owned(), Tagged::Image(expected));
        Ok(())
    }

    /// Uploads a blob unless it is there: POST, PATCH and PUT, each at any replica.
    fn upload(&mut self, digest: &Digest, content: &[u8], deadline: Instant) -> Result<(), String> {
        loop {
            match self.upload_once(digest, content) {
                Ok(true) => return Ok(()),
                Ok(false) => self.later(deadline, "an upload that another replica has")?,
                Err(answer) => self.retry(answer, deadline)?,
            }
        }
    }

    /// `false` if the upload has to begin again.
    fn upload_once(&mut self, digest: &Digest, content: &[u8]) -> Result<bool, Outcome> {
        let blob = format!("/v2/{}/blobs/{digest}", self.repository);
        let head = self.expect(&[200, 404], "HEAD", &blob, b"")?;
        if head.status == 200 {
            return Ok(true);
        }
        let uploads = format!("/v2/{}/blobs/uploads/", self.repository);
        let begun = self.expect(&[202], "POST", &uploads, b"")?;
        let half = content.len() / 2;
        let location = location(&begun);
        let patched = self.expect(&[202, 404, 416, 429], "PATCH", &location, &content[..half])?;
        if patched.status != 202 {
            return Ok(false);
        }
        let location = with_digest(&self::location(&patched), digest);
        let put = self.expect(&[201, 404, 416, 429], "PUT", &location, &content[half..])?;
        Ok(put.status == 201)
    }

    /// Deletes a manifest by its digest, which takes its tags along.
    fn delete_one(&mut self) -> Result<(), String> {
        let Some(tag) = self.any_tag() else {
            return Ok(());
        };
        let Some(Tagged::Image(digest)) = self.tags.get(&tag).cloned() else {
            return Ok(());
        };
        let path = format!("/v2/{}/manifests/{digest}", self.repository);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.expect(&[202, 404], "DELETE", &path, b"") {
                Ok(_) => break,
                Err(answer) => self.retry(answer, deadline)?,
            }
        }
        for tagged in self.tags.values_mut() {
            if *tagged == Tagged::Image(digest) {
                *tagged = Tagged::Nothing;
            }
        }
        self.images.remove(&digest);
        self.check(&tag)
    }

    /// Requires that a replica says what was acknowledged, and that the image is whole.
    pub(super) fn check(&self, tag: &str) -> Result<(), String> {
        let mut random = Random(self.random.0 ^ 0x5eed);
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let found = self.read(&path, &mut random)?;
        let wanted = &self.tags[tag];
        let (repository, status) = (&self.repository, found.status);
        match wanted {
            Tagged::Nothing if status == 404 => return Ok(()),
            Tagged::Image(wanted) if status == 200 && digest(&found.body) == *wanted => {}
            wanted => {
                let found = text_of(&found);
                return Err(format!(
                    "{repository}:{tag} must be {wanted:?}, and is: {found}"
                ));
            }
        }
        let Tagged::Image(manifest) = wanted else {
            return Ok(());
        };
        for blob in &self.images[manifest] {
            let path = format!("/v2/{repository}/blobs/{blob}");
            let content = self.read(&path, &mut random)?;
            if content.status != 200 || digest(&content.body) != *blob {
                let found = text_of(&content);
                return Err(format!("{repository}:{tag} has {blob}, which is: {found}"));
            }
        }
        Ok(())
    }

    /// The answer of any replica that can answer, or of the store that it names.
    fn read(&self, path: &str, random: &mut Random) -> Result<Answer, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let address = random.one_of(&self.storm.addresses);
            match wire::pull(address, path) {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                answer => self.retry(answer.map_err(|error| error.to_string()), deadline)?,
            }
        }
    }

    fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Outcome {
        let address = self.random.one_of(&self.storm.addresses);
        wire::send(address, method, path, kind, body).map_err(|error| error.to_string())
    }

    /// The answer, if its status is one of these.
    fn expect(
        &mut self,
        statuses: &[u16],
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer, Outcome> {
        match self.send(method, path, BYTES, body) {
            Ok(answer) if statuses.contains(&answer.status) => Ok(answer),
            other => Err(other),
        }
    }

    /// Waits before another attempt, if the answer allows one.
    fn retry(&self, answer: Outcome, deadline: Instant) -> Result<(), String> {
        match answer {
            Err(lost) => self.later(deadline, &lost),
            Ok(answer) if [429, 502, 503, 504].contains(&answer.status) => {
                self.later(deadline, &text_of(&answer))
            }
            Ok(answer) => Err(format!(
                "{}: unexpected: {}",
                self.repository,
                text_of(&answer)
            )),
        }
    }

    fn later(&self, deadline: Instant, why: &str) -> Result<(), String> {
        if Instant::now() > deadline {
            return Err(format!(
                "{}: no success in {PATIENCE:?}: {why}",
                self.repository
            ));
        }
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn any_tag(&mut self) -> Option<String> {
        let count = self.tags.len();
        let index = usize::try_from(self.random.below(count.max(1) as u64)).ok()?;
        self.tags.keys().nth(index).cloned()
    }
}

/// An answer, or why there was none.
type Outcome = Result<Answer, String>;

fn text_of(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let body: String = body.chars().take(500).collect();
    format!("{} {body}", answer.status)
}

/// Numbers that a seed repeats: xorshift64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub(super) fn one_of<'t, T>(&mut self, choices: &'t [T]) -> &'t T {
        let index = self.below(choices.len() as u64);
        &choices[usize::try_from(index).unwrap_or(0)]
    }
}
