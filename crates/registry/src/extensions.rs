//! The extensions of the API that this registry has.

use serde_json::json;

use crate::response;
use crate::response_body::HttpResponse;

const OCI: &str =
    "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md";
const CATALOG: &str = "https://distribution.github.io/distribution/spec/api/#catalog";

/// `GET` of the list (OCI distribution-spec, extensions/_oci.md).
pub(crate) fn list() -> HttpResponse {
    response::json(&json!({"extensions": [
        {
            "name": "_oci",
            "url": OCI,
            "description": "the list of extensions",
            "endpoints": ["_oci/ext/discover"],
        },
        {
            "name": "_catalog",
            "url": CATALOG,
            "description": "the list of repositories",
            "endpoints": ["_catalog"],
        },
    ]}))
}
