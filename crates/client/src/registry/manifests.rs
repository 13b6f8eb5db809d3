//! Manifests, fetched and put whole: they are small.

use bytes::{Bytes, BytesMut};
use oci::{Descriptor, Digest, DigestAlgorithm, Manifest, ManifestContent, Reference, media_type};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::RepositoryClient;
use crate::hasher::ContentHasher;
use crate::session::Scopes;
use crate::transport::{HttpRequest, HttpResponse};
use crate::{Error, ImageSource, Platform, Step};

/// The largest manifest that is read, in bytes. Registries take 4 MiB.
const LARGEST: usize = 8 * 1024 * 1024;

/// A manifest as it came.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// Its type, without parameters.
    pub media_type: String,
    /// Its name, which is proved.
    pub digest: Digest,
    /// Its bytes, which are never changed.
    pub bytes: Bytes,
}

impl FetchedManifest {
    /// `bytes` under the name that they have, or must have.
    pub(crate) fn new(
        media_type: String,
        bytes: Bytes,
        name: Option<Digest>,
        what: &str,
    ) -> Result<Self, Error> {
        let algorithm = name.map_or(DigestAlgorithm::Sha256, |name| name.algorithm());
        let digest = ContentHasher::digest(algorithm, &bytes);
        match name {
            Some(expected) if expected != digest => Err(Error::Digest {
                what: what.to_owned(),
                expected: expected.into(),
                found: digest.into(),
            }),
            _ => Ok(Self {
                media_type,
                digest,
                bytes,
            }),
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is of a kind that cannot be handled.
    pub fn parsed(&self) -> Result<Manifest, Error> {
        Manifest::parse(Some(&self.media_type), &self.bytes).map_err(|source| Error::Manifest {
            what: self.digest.to_string(),
            source,
        })
    }

    /// What others call it by.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest,
            size: self.bytes.len() as u64,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }
}

impl RepositoryClient {
    /// Fetches a manifest and proves its name.
    ///
    /// # Errors
    /// When it is not there, or is not what its name says.
    pub async fn manifest(&self, reference: &Reference) -> Result<FetchedManifest, Error> {
        let call = HttpRequest::get(self.url(&format!("manifests/{reference}"))?)
            .header(ACCEPT, &accepted());
        let answer = self.session.send(&Scopes::pull(&self.name), call).await?;
        let mut answer = answer.success().await?;
        let bytes = answer.bytes(LARGEST).await?;
        let said = digest_header(&answer)?;
        let name = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => said,
        };
        let media_type = match answer
            .header(CONTENT_TYPE.as_str())
            .map(media_type::essence)
        {
            // What a plain file server says counts for nothing.
            Some(essence)
                if !matches!(
                    essence,
                    "" | "application/json" | "text/plain" | "application/octet-stream"
                ) =>
            {
                essence.to_owned()
            }
            _ => media_type_of(&bytes)
                .ok_or_else(|| answer.malformed("does not say what kind of manifest it is"))?,
        };
        FetchedManifest::new(media_type, bytes, name, &self.place(reference))
    }

    /// [`manifest`](Self::manifest), and of an index the image for `platform`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn image(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<FetchedManifest, Error> {
        ImageSource::Repository(self.clone())
            .image(Some(reference), platform)
            .await
    }

    /// The configuration of an image.
    ///
    /// # Errors
    /// When it has none, or the registry does not.
    pub async fn config(&self, image: &FetchedManifest) -> Result<Bytes, Error> {
        let ManifestContent::Image { config, .. } = image.parsed()?.content else {
            return Err(Error::Unsupported(format!(
                "{} is an index: its images have configurations",
                image.digest
            )));
        };
        if config.size > LARGEST as u64 {
            return Err(Error::Unsupported(format!(
                "a configuration of {} bytes is not read",
                config.size
            )));
        }
        let mut download = self.download(&config, 0);
        let mut bytes = BytesMut::new();
        while let Some(piece) = download.proved_chunk().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// The digest of a manifest, without fetching it where the registry says it.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, Error> {
        let call = HttpRequest::head(self.url(&format!("manifests/{reference}"))?)
            .header(ACCEPT, &accepted());
        let answer = self.session.send(&Scopes::pull(&self.name), call).await?;
        let found = answer
            .status()
            .is_success()
            .then(|| digest_header(&answer))
            .transpose()?
            .flatten();
        match found {
            Some(digest) => Ok(digest),
            // A HEAD has no body to say why; a GET has.
            None => Ok(self.manifest(reference).await?.digest),
        }
    }

    /// Whether the manifest is there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let call = HttpRequest::head(self.url(&format!("manifests/{digest}"))?)
            .header(ACCEPT, &accepted());
        let answer = self.session.send(&Scopes::push(&self.name), call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => answer.success().await.map(|_| true),
        }
    }

    /// Puts a manifest under a tag or its digest. True when the registry says that it knows what
    /// the manifest speaks about (`OCI-Subject`), so that nobody else has to keep the list of
    /// referrers.
    ///
    /// # Errors
    /// When the registry does not take it, or calls it by another name.
    pub async fn put_manifest(
        &self,
        manifest: &FetchedManifest,
        reference: &Reference,
    ) -> Result<bool, Error> {
        let call = HttpRequest::new(Method::PUT, self.url(&format!("manifests/{reference}"))?)
            .header(CONTENT_TYPE, &manifest.media_type)
            .body(manifest.bytes.clone());
        let answer = self.session.send(&Scopes::push(&self.name), call).await?;
        let answer = answer.success().await?;
        match digest_header(&answer)? {
            Some(found)
                if found.algorithm() == manifest.digest.algorithm() && found != manifest.digest =>
            {
                Err(Error::Digest {
                    what: self.place(reference),
                    expected: manifest.digest.into(),
                    found: found.into(),
                })
            }
            _ => Ok(answer.headers().contains_key("oci-subject")),
        }
    }

    /// Deletes a manifest with all its tags, or a tag alone.
    ///
    /// # Errors
    /// When it is not there, or the registry does not delete.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), Error> {
        let call = HttpRequest::new(Method::DELETE, self.url(&format!("manifests/{reference}"))?);
        let answer = self.session.send(&Scopes::delete(&self.name), call).await?;
        let Err(refused) = answer.success().await else {
            return Ok(());
        };
        // Registry 2 deletes no tags, and says so in several ways.
        match (&refused, reference) {
            (
                Error::ErrorResponse {
                    step: Step::Ask | Step::Authorized,
                    source,
                },
                Reference::Tag(tag),
            ) if source.has("UNSUPPORTED") || source.has("DIGEST_INVALID") => {
                Err(Error::Unsupported(format!(
                    "{} deletes no tags: delete {}/{}@DIGEST, with which all its tags go, not {tag} alone",
                    self.session.host(),
                    self.session.host(),
                    self.name
                )))
            }
            _ => Err(refused),
        }
    }
}

/// Every kind of manifest there is, the best-loved first. Schema 1 comes last: it can be looked at,
/// and nothing else.
fn accepted() -> String {
    [
        media_type::OCI_MANIFEST,
        media_type::OCI_INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_LIST,
        media_type::DOCKER_SCHEMA_1[0],
        "*/*;q=0.1",
    ]
    .join(", ")
}

fn digest_header(answer: &HttpResponse) -> Result<Option<Digest>, Error> {
    let Some(text) = answer.header("docker-content-digest") else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error| answer.malformed(format!("its Docker-Content-Digest is none: {error}")))
}

/// What a manifest itself says that it is.
pub(crate) fn media_type_of(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        #[serde(default)]
        schema_version: u64,
        media_type: Option<String>,
        #[serde(default)]
        signatures: serde_json::Value,
        #[serde(default)]
        manifests: serde_json::Value,
        #[serde(default)]
        config: serde_json::Value,
    }
    let said: Said = serde_json::from_slice(bytes).ok()?;
    let guessed = match said.schema_version {
        1 if said.signatures.is_array() => Some(media_type::DOCKER_SCHEMA_1[0]),
        1 => Some(media_type::DOCKER_SCHEMA_1[1]),
        // Only OCI's may leave it out (image-spec, manifest.md, `mediaType`).
        2 if said.manifests.is_array() => Some(media_type::OCI_INDEX),
        2 if said.config.is_object() => Some(media_type::OCI_MANIFEST),
        _ => None,
    };
    said.media_type
        .filter(|said| !said.is_empty())
        .or(guessed.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_it_is() {
        let said = |text: &str| media_type_of(text.as_bytes());
        assert_eq!(
            said(r#"{"schemaVersion":2,"mediaType":"a/b"}"#).as_deref(),
            Some("a/b")
        );
        assert_eq!(
            said(r#"{"schemaVersion":2,"manifests":[]}"#).as_deref(),
            Some(media_type::OCI_INDEX)
        );
        assert_eq!(
            said(r#"{"schemaVersion":2,"config":{}}"#).as_deref(),
            Some(media_type::OCI_MANIFEST)
        );
        assert_eq!(
            said(r#"{"schemaVersion":1,"signatures":[]}"#).as_deref(),
            Some(media_type::DOCKER_SCHEMA_1[0])
        );
        assert_eq!(
            said(r#"{"schemaVersion":1}"#).as_deref(),
            Some(media_type::DOCKER_SCHEMA_1[1])
        );
        assert_eq!(said("{}"), None);
        assert_eq!(said("<html>"), None);
    }

    #[test]
    fn a_name_must_be_the_content_s() {
        let wrong = Digest::new(DigestAlgorithm::Sha256, &[0; 32]);
        let error = FetchedManifest::new(
            "a/b".into(),
            Bytes::from_static(b"{}"),
            wrong,
            "r.example/a@1",
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("r.example/a@1: its digest should be sha256:0000"),
            "{error}"
        );
        let right =
            FetchedManifest::new("a/b".into(), Bytes::from_static(b"{}"), None, "").unwrap();
        assert!(right.digest.to_string().starts_with("sha256:44136fa3"));
        assert_eq!(right.descriptor().size, 2);
    }
}
