//! Manifests. They are small, so they are fetched and put whole.

use bytes::{Bytes, BytesMut};
use oci::{Digest, ManifestContent, Reference, Tag, media_type};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::RepositoryClient;
use crate::manifest::{FetchedManifest, media_type_of};
use crate::session::Scopes;
use crate::transport::{ClientRequest, ClientResponse};
use crate::{Error, Step};

/// The largest manifest that is read, in bytes. Registries accept 4 MiB.
const LARGEST: usize = 8 * 1024 * 1024;

impl RepositoryClient {
    /// Fetches a manifest and verifies its digest.
    ///
    /// # Errors
    /// When it does not exist, or does not match its digest.
    pub async fn manifest(&self, reference: &Reference) -> Result<FetchedManifest, Error> {
        let request = ClientRequest::get(self.url(&format!("manifests/{reference}"))?)
            .header(ACCEPT, &accepted());
        let response = self
            .session
            .send(&Scopes::pull(&self.name), request)
            .await?;
        let mut response = response.success().await?;
        let bytes = response.bytes(LARGEST).await?;
        let said = digest_header(&response)?;
        let name = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => said,
        };
        let media_type = match response
            .header(CONTENT_TYPE.as_str())
            .map(media_type::essence)
        {
            // A plain file server does not know the type.
            Some(essence)
                if !matches!(
                    essence,
                    "" | "application/json" | "text/plain" | "application/octet-stream"
                ) =>
            {
                essence.to_owned()
            }
            _ => media_type_of(&bytes).ok_or_else(|| {
                response.malformed(
                    "neither its Content-Type nor its body tells the type of the manifest",
                )
            })?,
        };
        FetchedManifest::new(media_type, bytes, name, &self.place(reference))
    }

    /// The configuration of an image.
    ///
    /// # Errors
    /// When the image has no configuration, or the registry does not have it.
    pub async fn config(&self, image: &FetchedManifest) -> Result<Bytes, Error> {
        let ManifestContent::Image { config, .. } = image.parsed()?.content else {
            return Err(Error::Unsupported(format!(
                "{} is an index, which has no configuration: choose an image with --platform",
                image.digest
            )));
        };
        if config.size > LARGEST as u64 {
            return Err(Error::Unsupported(format!(
                "the configuration has {} bytes, too many to read",
                config.size
            )));
        }
        let mut download = self.download(&config, 0);
        let mut bytes = BytesMut::new();
        while let Some(piece) = download.verified_chunk().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// The digest of a manifest. The manifest is fetched only if the registry does not tell its digest.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn digest(&self, reference: &Reference) -> Result<Digest, Error> {
        let request = ClientRequest::head(self.url(&format!("manifests/{reference}"))?)
            .header(ACCEPT, &accepted());
        let response = self.session.send(&Scopes::pull(&self.name), request).await;
        let found = match response {
            Ok(response) if response.status().is_success() => digest_header(&response)?,
            // A GET may succeed, and its response has a body that says what is wrong.
            _ => None,
        };
        match found {
            Some(digest) => Ok(digest),
            None => Ok(self.manifest(reference).await?.digest),
        }
    }

    /// Whether the repository has the manifest.
    ///
    /// # Errors
    /// When the registry does not tell.
    pub async fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let request = ClientRequest::head(self.url(&format!("manifests/{digest}"))?)
            .header(ACCEPT, &accepted());
        self.exists(request).await
    }

    /// Puts a manifest under a tag or its digest. Returns whether the registry keeps the list of
    /// referrers of its subject (`OCI-Subject`); else the client has to.
    ///
    /// # Errors
    /// When the registry does not accept it, or computes another digest.
    pub async fn put_manifest(
        &self,
        manifest: &FetchedManifest,
        reference: &Reference,
    ) -> Result<bool, Error> {
        let request = ClientRequest::new(Method::PUT, self.url(&format!("manifests/{reference}"))?)
            .header(CONTENT_TYPE, &manifest.media_type)
            .body(manifest.bytes.clone());
        let response = self
            .session
            .send(&Scopes::push(&self.name), request)
            .await?;
        let response = response.success().await?;
        match digest_header(&response)? {
            Some(found)
                if found.algorithm() == manifest.digest.algorithm() && found != manifest.digest =>
            {
                Err(Error::Digest {
                    what: self.place(reference),
                    expected: manifest.digest.into(),
                    found: found.into(),
                })
            }
            _ => Ok(response.headers().contains_key("oci-subject")),
        }
    }

    /// Deletes a manifest with all its tags, or a tag alone.
    ///
    /// # Errors
    /// When it does not exist, or the registry does not delete.
    pub async fn delete_manifest(&self, reference: &Reference) -> Result<(), Error> {
        let request =
            ClientRequest::new(Method::DELETE, self.url(&format!("manifests/{reference}"))?);
        let response = self
            .session
            .send(&Scopes::delete(&self.name), request)
            .await?;
        let Err(refused) = response.success().await else {
            return Ok(());
        };
        match reference {
            Reference::Tag(tag) => Err(self.tag_not_deleted(tag, refused).await),
            Reference::Digest(_) => Err(refused),
        }
    }

    /// What to do instead if the registry cannot delete a tag alone. Registries have many responses
    /// for that (OCI distribution-spec, "Deleting tags": 400 or 405), so the tag is looked up.
    async fn tag_not_deleted(&self, tag: &Tag, refused: Error) -> Error {
        let (Error::HttpErrorResponse {
            step: Step::Unauthenticated | Step::Authorized,
            source,
        }
        | Error::NotFound { source, .. }) = &refused
        else {
            return refused;
        };
        let status = source.status.as_u16();
        let is_known = matches!(status, 400 | 404 | 405 | 406 | 409 | 410 | 415 | 422 | 501);
        if !is_known && !source.has("UNSUPPORTED") {
            return refused;
        }
        let Ok(digest) = self.digest(&Reference::Tag(tag.clone())).await else {
            return refused;
        };
        let (host, name) = (self.session.host(), &self.name);
        let mut what = format!(
            "{host} cannot delete the tag {tag} alone: delete {host}/{name}@{digest}, which \
             deletes all tags of the image"
        );
        if status == 405 {
            what += "; if that is refused, too, allow deleting in the registry's configuration \
                     (storage.delete.enabled: true)";
        }
        Error::Unsupported(what)
    }
}

/// Every type of manifest, the preferred first. Schema 1 comes last: it can only be shown.
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

fn digest_header(response: &ClientResponse) -> Result<Option<Digest>, Error> {
    let Some(text) = response.header("docker-content-digest") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|error| {
        response.malformed(format!(
            "its Docker-Content-Digest header is not a digest: {error}"
        ))
    })
}
