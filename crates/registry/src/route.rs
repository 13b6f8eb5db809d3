//! The address that a path names.
//!
//! Names of repositories have slashes in their middle and may hold the very words that come after
//! them, so a path is read from its end.

use oci::{
    Digest, DigestError, Reference, ReferenceError, RepositoryName, RepositoryNameError, TagError,
};
use percent_encoding::percent_decode_str;
use storage::UploadId;

/// A path of the API (OCI distribution-spec, "Endpoints").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/` and `/healthz`: the server is up.
    Index,
    /// `/v2`, which clients write with a slash at its end.
    V2WithoutSlash,
    /// `/v2/` (end-1).
    Version,
    /// `/v2/_catalog`, Docker's.
    Catalog,
    /// `/v2/_oci/ext/discover` (OCI distribution-spec, "Extensions").
    Extensions,
    /// `/v2/<name>/tags/list` (end-8).
    Tags(RepositoryName),
    /// `/v2/<name>/_wharfinger/tags/history`: our extension.
    TagHistory(RepositoryName),
    /// `/v2/<name>/referrers/<digest>` (end-12).
    Referrers(RepositoryName, Digest),
    /// `/v2/<name>/manifests/<tag-or-digest>` (end-3, end-7, end-9).
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/manifests/` and text that is neither a tag nor a digest, so no manifest has that
    /// name.
    InvalidReference(RepositoryName, TagError),
    /// `/v2/<name>/blobs/<digest>` (end-2, end-10).
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/` (end-4, end-11).
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>` (end-5, end-6, end-13, end-14).
    Upload(RepositoryName, UploadId),
}

/// Why a path is not an address of the API.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("not found: no such path")]
    NotFound,
    #[error(transparent)]
    Name(#[from] RepositoryNameError),
    #[error(transparent)]
    Digest(#[from] DigestError),
    #[error("no upload has this id")]
    UploadId,
}

impl Route {
    /// The address that `path` names, as it came over the wire.
    pub(crate) fn parse(path: &str) -> Result<Self, RouteError> {
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| RouteError::NotFound)?;
        let Some(rest) = path.strip_prefix("/v2/") else {
            return match path.as_ref() {
                "/" | "/healthz" => Ok(Self::Index),
                "/v2" => Ok(Self::V2WithoutSlash),
                _ => Err(RouteError::NotFound),
            };
        };
        match rest {
            "" => return Ok(Self::Version),
            "_catalog" => return Ok(Self::Catalog),
            "_oci/ext/discover" => return Ok(Self::Extensions),
            _ => {}
        }
        let (before, last) = rest.rsplit_once('/').ok_or(RouteError::NotFound)?;
        let (name, word) = before.rsplit_once('/').ok_or(RouteError::NotFound)?;
        match (word, last) {
            ("tags", "list") => Ok(Self::Tags(name.parse()?)),
            // No part of a name begins with `_`.
            ("tags", "history") => match name.strip_suffix("/_wharfinger") {
                Some(name) => Ok(Self::TagHistory(name.parse()?)),
                None => Err(RouteError::NotFound),
            },
            ("referrers", digest) => Ok(Self::Referrers(name.parse()?, digest.parse()?)),
            ("manifests", reference) => manifest(name.parse()?, reference),
            ("blobs", "uploads") => Ok(Self::Uploads(name.parse()?)),
            ("blobs", digest) => Ok(Self::Blob(name.parse()?, digest.parse()?)),
            ("uploads", id) => match name.strip_suffix("/blobs") {
                Some(name) if id.is_empty() => Ok(Self::Uploads(name.parse()?)),
                Some(name) => Ok(Self::Upload(
                    name.parse()?,
                    id.parse().map_err(|_| RouteError::UploadId)?,
                )),
                None => Err(RouteError::NotFound),
            },
            _ => Err(RouteError::NotFound),
        }
    }

    /// The repository that the address is in.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Index
            | Self::V2WithoutSlash
            | Self::Version
            | Self::Catalog
            | Self::Extensions => None,
            Self::Tags(name)
            | Self::TagHistory(name)
            | Self::Referrers(name, _)
            | Self::Manifest(name, _)
            | Self::InvalidReference(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _) => Some(name),
        }
    }

    /// The methods that the address has, for `Allow` (RFC 9110 §10.2.1).
    pub(crate) fn methods(&self) -> &'static str {
        match self {
            Self::Index
            | Self::V2WithoutSlash
            | Self::Version
            | Self::Catalog
            | Self::Extensions
            | Self::Tags(_)
            | Self::TagHistory(_)
            | Self::Referrers(..) => "GET, HEAD, OPTIONS",
            Self::Manifest(..) | Self::InvalidReference(..) => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Blob(..) => "GET, HEAD, DELETE, OPTIONS",
            Self::Uploads(_) => "POST, OPTIONS",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
        }
    }
}

fn manifest(name: RepositoryName, reference: &str) -> Result<Route, RouteError> {
    match reference.parse() {
        Ok(reference) => Ok(Route::Manifest(name, reference)),
        Err(ReferenceError::Tag(error)) => Ok(Route::InvalidReference(name, error)),
        Err(ReferenceError::Digest(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn every_endpoint_is_found() {
        let digest: Digest = DIGEST.parse().unwrap();
        let table = [
            ("/", Route::Index),
            ("/healthz", Route::Index),
            ("/v2", Route::V2WithoutSlash),
            ("/v2/", Route::Version),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/_oci/ext/discover", Route::Extensions),
            ("/v2/a/b/c/tags/list", Route::Tags(name("a/b/c"))),
            (
                "/v2/a/b/_wharfinger/tags/history",
                Route::TagHistory(name("a/b")),
            ),
            (
                &format!("/v2/a/referrers/{DIGEST}"),
                Route::Referrers(name("a"), digest),
            ),
            (
                "/v2/a/manifests/1.0",
                Route::Manifest(name("a"), "1.0".parse().unwrap()),
            ),
            (
                &format!("/v2/a/manifests/{DIGEST}"),
                Route::Manifest(name("a"), digest.into()),
            ),
            (
                &format!("/v2/a/b/blobs/{DIGEST}"),
                Route::Blob(name("a/b"), digest),
            ),
            ("/v2/a/blobs/uploads/", Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads", Route::Uploads(name("a"))),
            (
                &format!("/v2/a/blobs/uploads/{ID}"),
                Route::Upload(name("a"), ID.parse().unwrap()),
            ),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_name_may_hold_the_words_of_the_api() {
        let manifest = |text| Route::Manifest(name(text), "x".parse().unwrap());
        assert_eq!(
            Route::parse("/v2/a/blobs/uploads/manifests/x"),
            Ok(manifest("a/blobs/uploads"))
        );
        assert_eq!(
            Route::parse("/v2/tags/list/tags/list"),
            Ok(Route::Tags(name("tags/list")))
        );
        assert_eq!(
            Route::parse("/v2/a/manifests/tags/list"),
            Ok(Route::Tags(name("a/manifests")))
        );
        assert_eq!(
            Route::parse("/v2/blobs/uploads/blobs/uploads/"),
            Ok(Route::Uploads(name("blobs/uploads")))
        );
    }

    #[test]
    fn escapes_are_undone_once() {
        let digest: Digest = DIGEST.parse().unwrap();
        let escaped = format!("/v2/a%2Fb/blobs/{}", DIGEST.replace(':', "%3A"));
        assert_eq!(Route::parse(&escaped), Ok(Route::Blob(name("a/b"), digest)));
        assert!(matches!(
            Route::parse("/v2/a%252Fb/tags/list"),
            Err(RouteError::Name(_))
        ));
        assert_eq!(Route::parse("/v2/%FF/tags/list"), Err(RouteError::NotFound));
    }

    #[test]
    fn what_leads_nowhere_says_why() {
        for path in [
            "",
            "/v",
            "/v2/x",
            "/v2/tags/list",
            "/v2/a/tags/history",
            "/v2/_wharfinger/tags/history",
            "/v2/manifests/x",
            "/v2/blobs/uploads/",
            "/v1/",
            "//v2/",
        ] {
            assert_eq!(Route::parse(path), Err(RouteError::NotFound), "{path}");
        }
        for path in [
            "/v2//tags/list",
            "/v2/A/tags/list",
            "/v2/../../etc/manifests/x",
            "/v2/a//b/manifests/x",
        ] {
            assert!(
                matches!(Route::parse(path), Err(RouteError::Name(_))),
                "{path}"
            );
        }
        for path in [
            "/v2/a/blobs/sha256:0",
            "/v2/a/blobs/x",
            "/v2/a/manifests/md5:00",
            "/v2/a/referrers/latest",
        ] {
            assert!(
                matches!(Route::parse(path), Err(RouteError::Digest(_))),
                "{path}"
            );
        }
        assert_eq!(
            Route::parse("/v2/a/blobs/uploads/../x"),
            Err(RouteError::NotFound)
        );
        assert_eq!(
            Route::parse("/v2/a/blobs/uploads/x"),
            Err(RouteError::UploadId)
        );
        assert!(matches!(
            Route::parse("/v2/a/manifests/.no"),
            Ok(Route::InvalidReference(..))
        ));
    }
}
