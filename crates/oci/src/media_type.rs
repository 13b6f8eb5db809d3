//! The media types that a registry must tell apart: four kinds of manifest in two families, and the
//! few that change how a descriptor is read.

/// An image, or an artifact in the form of an image (OCI image-spec, manifest.md).
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A list of manifests (OCI image-spec, image-index.md).
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image in Docker's older form (Image Manifest Version 2, Schema 2).
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A list of manifests in Docker's older form.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Schema 1, signed and unsigned, which is obsolete since 2017.
pub const DOCKER_SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
];

/// Whether layers of this type are fetched from elsewhere, so that a registry need not have them:
/// Docker's foreign layers, and OCI's nondistributable ones (deprecated, but still in old Windows
/// images; image-spec, layer.md).
#[must_use]
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
}

/// A `Content-Type` without its parameters, which a registry ignores (OCI distribution-spec,
/// "Pushing Manifests").
///
/// ```
/// use oci::media_type;
/// assert_eq!(media_type::essence(" application/vnd.oci.image.index.v1+json; charset=utf-8"), media_type::OCI_INDEX);
/// ```
#[must_use]
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// A type of manifest in the case in which it is known: media types are compared without case (RFC
/// 9110 §8.3.1). Any other type stays as it is.
pub(crate) fn canonical(essence: &str) -> &str {
    let known = [
        OCI_MANIFEST,
        OCI_INDEX,
        DOCKER_MANIFEST,
        DOCKER_LIST,
        DOCKER_SCHEMA_1[0],
        DOCKER_SCHEMA_1[1],
    ];
    let mut known = known.into_iter();
    known
        .find(|known| known.eq_ignore_ascii_case(essence))
        .unwrap_or(essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_layers_by_their_type() {
        assert!(is_nondistributable(
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        ));
        assert!(is_nondistributable(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        ));
        assert!(!is_nondistributable(
            "application/vnd.oci.image.layer.v1.tar+gzip"
        ));
    }
}
