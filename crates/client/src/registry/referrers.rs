//! Referrers: what was attached to an image (OCI distribution-spec, "Listing Referrers").
//!
//! Registries that do not know the list themselves have it kept by their clients, as an index under
//! a tag made of the digest ("Referrers Tag Schema").

use bytes::Bytes;
use oci::{Descriptor, Digest, Manifest, Reference, Tag, media_type};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::{Value, json};

use super::list::next_page;
use super::{FetchedManifest, RepositoryClient};
use crate::Error;
use crate::session::Scopes;
use crate::transport::HttpRequest;

/// The longest list that is read, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;
/// How many pages are taken before a list counts as endless.
const MOST_PAGES: usize = 1000;

/// What is attached to an image.
pub type Referrer = Descriptor;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Referrer>,
}

impl RepositoryClient {
    /// What is attached to the manifest `subject`, perhaps only what is of one type; empty when
    /// nothing is.
    ///
    /// # Errors
    /// When the list does not come.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, Error> {
        let mut all = match self.listed_referrers(subject, artifact_type).await? {
            Some(listed) => listed,
            None => {
                let entries = self.tagged_entries(subject).await?;
                entries
                    .into_iter()
                    .filter_map(|entry| serde_json::from_value(entry).ok())
                    .collect()
            }
        };
        // A registry need not filter, and says so by not saying that it did.
        all.retain(|referrer| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
        });
        Ok(all)
    }

    /// Enters a manifest that was just put into the list that its subject's registry does not keep
    /// itself.
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
        let mut entries = self.tagged_entries(&subject.digest).await?;
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

    /// The list that the registry keeps; none when it keeps none.
    async fn listed_referrers(
        &self,
        subject: &Digest,
        wanted: Option<&str>,
    ) -> Result<Option<Vec<Referrer>>, Error> {
        let mut url = self.url(&format!("referrers/{subject}"))?;
        if let Some(artifact_type) = wanted {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        let (mut all, mut next, mut pages) = (Vec::new(), Some(url), 0);
        while let Some(url) = next.take() {
            let call = HttpRequest::get(url).header(ACCEPT, media_type::OCI_INDEX);
            let answer = self.session.send(&Scopes::pull(&self.name), call).await?;
            // What knows no referrers answers as to any path that it does not know.
            if matches!(
                answer.status(),
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            ) {
                return Ok(None);
            }
            let mut answer = answer.success().await?;
            next = next_page(&answer)?;
            all.extend(answer.json::<Index>(LARGEST).await?.manifests);
            pages += 1;
            if pages > MOST_PAGES {
                return Err(Error::Unsupported(format!(
                    "the list of what refers to {subject} has no end"
                )));
            }
        }
        Ok(Some(all))
    }

    async fn tagged_entries(&self, subject: &Digest) -> Result<Vec<Value>, Error> {
        let index = match self.manifest(&Reference::Tag(tag_of(subject))).await {
            Ok(index) => index,
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut index: Value = serde_json::from_slice(&index.bytes).unwrap_or_default();
        Ok(index["manifests"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default())
    }
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
