//! Referrers: what was attached to an image (OCI distribution-spec, "Listing Referrers").
//!
//! For a registry that does not keep the list itself, clients keep it: as an index under a tag that is
//! made of the digest ("Referrers Tag Schema").

use bytes::Bytes;
use oci::{Descriptor, Digest, Manifest, Reference, Tag, media_type};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::RepositoryClient;
use super::list::next_page;
use crate::manifest::FetchedManifest;
use crate::session::Scopes;
use crate::transport::ClientRequest;
use crate::{Error, json};

/// The largest page that is read, in bytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How many bytes all pages of a list may have together.
const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// How many pages a list may have.
const MAX_PAGES: usize = 1000;

/// What is attached to an image.
pub type Referrer = Descriptor;

/// What a registry answers when it is asked for referrers.
enum ReferrersResponse {
    List(Vec<Referrer>),
    /// It does not know referrers: their list is kept under a tag.
    Unsupported,
    /// It may know referrers, and failed.
    Failed(Error),
}

impl RepositoryClient {
    /// What is attached to the manifest `subject`, perhaps only what is of one type; empty when
    /// nothing is.
    ///
    /// # Errors
    /// When the list cannot be fetched.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, Error> {
        let mut all = match self.listed_referrers(subject, artifact_type).await? {
            ReferrersResponse::List(list) => list,
            ReferrersResponse::Unsupported => {
                let tagged = self.tagged_entries(subject).await?;
                referrers_of(&tagged.unwrap_or_default())
            }
            // A list under the tag is as good; without one, the failure is what counts.
            ReferrersResponse::Failed(error) => match self.tagged_entries(subject).await {
                Ok(Some(tagged)) => referrers_of(&tagged),
                Ok(None) | Err(_) => return Err(error),
            },
        };
        // A registry need not filter.
        all.retain(|referrer| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
        });
        Ok(all)
    }

    /// Adds a manifest that was just put to its subject's list of referrers, for a registry that does
    /// not keep that list itself.
    ///
    /// # Errors
    /// When the list cannot be read or put.
    pub async fn enter_referrer(
        &self,
        manifest: &FetchedManifest,
        parsed: &Manifest,
    ) -> Result<(), Error> {
        let Some(subject) = &parsed.subject else {
            return Ok(());
        };
        let mut entry = manifest.descriptor();
        entry.artifact_type = parsed.effective_artifact_type().map(str::to_owned);
        entry.annotations = parsed.annotations.clone();
        // What others wrote into the list stays as they wrote it.
        let tagged = self.tagged_entries(&subject.digest).await?;
        let mut entries = tagged.unwrap_or_default();
        if entries
            .iter()
            .any(|known| known["digest"] == json!(entry.digest))
        {
            return Ok(());
        }
        entries.push(json!(entry));
        let index =
            json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries });
        let index = FetchedManifest::new(
            media_type::OCI_INDEX.to_owned(),
            Bytes::from(index.to_string()),
            None,
            "",
        )?;
        self.put_manifest(&index, &Reference::Tag(tag_of(&subject.digest)))
            .await
            .map(|_| ())
    }

    /// Asks the registry for its list, as the specification's clients do.
    async fn listed_referrers(
        &self,
        subject: &Digest,
        wanted: Option<&str>,
    ) -> Result<ReferrersResponse, Error> {
        let mut url = self.url(&format!("referrers/{subject}"))?;
        if let Some(artifact_type) = wanted {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        let mut all = Vec::new();
        let (mut next, mut pages, mut bytes) = (Some(url), 0, 0);
        while let Some(url) = next.take() {
            let request = ClientRequest::get(url).header(ACCEPT, media_type::OCI_INDEX);
            let response = match self.session.send(&Scopes::pull(&self.name), request).await {
                Ok(response) => response,
                Err(error) => return Ok(ReferrersResponse::Failed(error)),
            };
            if pages == 0 && lacks_referrers(response.status()) {
                return Ok(ReferrersResponse::Unsupported);
            }
            let mut response = match response.success().await {
                Ok(response) => response,
                Err(error) => return Ok(ReferrersResponse::Failed(error)),
            };
            next = next_page(&response)?;
            let body = response.bytes(MAX_PAGE_BYTES).await?;
            let is_index = response
                .header(CONTENT_TYPE.as_str())
                .is_some_and(|kind| media_type::essence(kind) == media_type::OCI_INDEX);
            match index_entries(&body, is_index) {
                Some(entries) => all.extend(referrers_of(&entries)),
                // A page for people, or another API's answer.
                None if pages == 0 => return Ok(ReferrersResponse::Unsupported),
                None => return Err(response.malformed("its body is not an index")),
            }
            pages += 1;
            bytes += body.len();
            if pages > MAX_PAGES || bytes > MAX_LIST_BYTES {
                return Err(Error::Unsupported(format!(
                    "{} sends a list of referrers of {subject} without end: stopped after {} of them",
                    self.session.host(),
                    all.len()
                )));
            }
        }
        Ok(ReferrersResponse::List(all))
    }

    /// The entries of the index under the subject's tag; `None` when there is no such tag.
    async fn tagged_entries(&self, subject: &Digest) -> Result<Option<Vec<Value>>, Error> {
        match self.manifest(&Reference::Tag(tag_of(subject))).await {
            Ok(index) => Ok(Some(index_entries(&index.bytes, true).unwrap_or_default())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a registry that does not know referrers answers like this. Each has been seen: most say
/// 404, others take the path for a manifest's (400, 405), look at `Accept` first (406), or have not
/// implemented it (501).
fn lacks_referrers(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::GONE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::NOT_IMPLEMENTED
    ) || status.is_redirection()
}

/// The entries of an index; `None` when the body is something else. Go writes an empty list as
/// `null`, or leaves it out, so a body `is_index` when its `Content-Type` says so.
fn index_entries(body: &[u8], is_index: bool) -> Option<Vec<Value>> {
    let index: Map<String, Value> = json::parse(body).ok()?;
    let is_index = is_index || json::text(&index, "mediaType") == Some(media_type::OCI_INDEX);
    match json::member(&index, "manifests") {
        Some(Value::Array(entries)) => Some(entries.clone()),
        None if is_index => Some(Vec::new()),
        _ => None,
    }
}

/// The descriptors among the entries.
fn referrers_of(entries: &[Value]) -> Vec<Referrer> {
    let read = |entry: &Value| serde_json::from_value(entry.clone()).ok();
    entries.iter().filter_map(read).collect()
}

/// `sha256:abc` as the tag `sha256-abc`, of the hash at most 64 digits.
fn tag_of(digest: &Digest) -> Tag {
    let mut encoded = digest.encoded();
    encoded.truncate(64);
    #[expect(
        clippy::expect_used,
        reason = "an algorithm, a dash and at most 64 hexadecimal digits are a tag"
    )]
    format!("{}-{encoded}", digest.algorithm())
        .parse()
        .expect("a tag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_digest() {
        let digest: Digest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
        assert_eq!(
            tag_of(&digest).to_string(),
            format!("sha256-{}", "0a".repeat(32))
        );
        let long: Digest = format!("sha512:{}", "0a".repeat(64)).parse().unwrap();
        assert_eq!(
            tag_of(&long).to_string(),
            format!("sha512-{}", "0a".repeat(32))
        );
    }
}
