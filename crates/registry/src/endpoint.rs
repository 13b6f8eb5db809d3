//! Which endpoint a request is for, as metrics name it.

/// An endpoint of the API. The names are those of Distribution's routes, because its dashboards show
/// them; Distribution has no routes for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryEndpoint {
    /// `/v2/`.
    Base,
    /// `/v2/<name>/blobs/<digest>`.
    Blob,
    /// `/v2/<name>/blobs/uploads/`.
    BlobUpload,
    /// `/v2/<name>/blobs/uploads/<id>`.
    BlobUploadChunk,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest,
    /// `/v2/<name>/tags/list`.
    Tags,
    /// `/v2/<name>/referrers/<digest>`.
    Referrers,
    /// What the specification calls extensions.
    Extension,
}

impl RegistryEndpoint {
    /// The names of all endpoints, each at the place of its endpoint.
    pub const NAMES: [&'static str; 9] = [
        "base",
        "blob",
        "blob_upload",
        "blob_upload_chunk",
        "catalog",
        "manifest",
        "tags",
        "referrers",
        "extension",
    ];

    /// The endpoint that has a path; `None` for a path that is no endpoint's. Names are not checked:
    /// a request with a wrong name of a repository is one to the same endpoint.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        let rest = match rest {
            "" | "/" => return Some(Self::Base),
            rest => rest.strip_prefix('/')?,
        };
        match rest {
            "_catalog" => return Some(Self::Catalog),
            _ if rest.starts_with("_oci/") => return Some(Self::Extension),
            _ => {}
        }
        let (before, last) = rest.rsplit_once('/')?;
        let (name, word) = before.rsplit_once('/')?;
        match (word, last) {
            ("tags", "list") => Some(Self::Tags),
            ("referrers", _) => Some(Self::Referrers),
            ("manifests", _) => Some(Self::Manifest),
            ("blobs", "uploads") => Some(Self::BlobUpload),
            ("blobs", _) => Some(Self::Blob),
            ("uploads", "") if name.ends_with("/blobs") => Some(Self::BlobUpload),
            ("uploads", _) if name.ends_with("/blobs") => Some(Self::BlobUploadChunk),
            _ if word.starts_with('_') || name.contains("/_oci") => Some(Self::Extension),
            _ => None,
        }
    }

    /// Its place among [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn each_route_is_an_endpoint() {
        for (path, name) in [
            ("/v2", "base"),
            ("/v2/", "base"),
            ("/v2/_catalog", "catalog"),
            ("/v2/_oci/ext/discover", "extension"),
            ("/v2/a/b/tags/list", "tags"),
            ("/v2/a/b/manifests/latest", "manifest"),
            ("/v2/a/blobs/uploads/manifests/x", "manifest"),
            ("/v2/a/manifests/.no", "manifest"),
            ("/v2/a/blobs/uploads/", "blob_upload"),
            ("/v2/a/blobs/uploads", "blob_upload"),
            (
                "/v2/a/blobs/uploads/ffffffff-ffff-4fff-bfff-ffffffffffff",
                "blob_upload_chunk",
            ),
            (&format!("/v2/a/blobs/{DIGEST}"), "blob"),
            (&format!("/v2/a/referrers/{DIGEST}"), "referrers"),
        ] {
            assert!(Route::parse(path).is_ok(), "{path}");
            let endpoint = RegistryEndpoint::of_path(path);
            let found = endpoint.and_then(|endpoint| RegistryEndpoint::NAMES.get(endpoint.place()));
            assert_eq!(found, Some(&name), "{path}");
        }
    }

    #[test]
    fn other_paths_are_none() {
        for path in ["", "/", "/healthz", "/v20/a", "/v2/a", "/v2/a/b/c", "/v1/x"] {
            assert!(Route::parse(path).is_err() || path == "/" || path == "/healthz");
            assert_eq!(RegistryEndpoint::of_path(path), None, "{path}");
        }
    }

    #[test]
    fn a_wrong_name_is_a_request_to_the_same_endpoint() {
        let endpoint = RegistryEndpoint::of_path("/v2/UPPER/manifests/latest");
        assert_eq!(endpoint, Some(RegistryEndpoint::Manifest));
    }
}
