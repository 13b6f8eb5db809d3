//! The extensions of the API that this registry has.

use serde_json::json;

use crate::response;
use crate::response_body::HttpResponse;

const OCI: &str =
    "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md";
/// Where the specification may get such an address.
const TAG_HISTORY: &str = "https://github.com/opencontainers/distribution-spec/pull/606";
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
            "name": "_wharfinger",
            "url": TAG_HISTORY,
            "description": "the history of a tag",
            "endpoints": ["_wharfinger/tags/history"],
        },
        {
            "name": "_catalog",
            "url": CATALOG,
            "description": "the list of repositories",
            "endpoints": ["_catalog"],
        },
    ]}))
}
