//! Names, digests and manifests of a container registry.
//!
//! The terms are those of the OCI distribution specification. Each is a type that holds only valid
//! values, so a value need not be checked again.
//!
//! ```
//! let name: oci::RepositoryName = "library/ubuntu".parse().unwrap();
//! assert_eq!(name.as_str(), "library/ubuntu");
//! assert!("Library/Ubuntu".parse::<oci::RepositoryName>().is_err());
//!
//! let reference: oci::Reference = "24.04".parse().unwrap();
//! assert!(matches!(reference, oci::Reference::Tag(_)));
//! ```

mod descriptor;
mod digest;
mod json;
mod manifest;
pub mod media_type;
mod reference;
mod repository_name;
mod tag;

pub use descriptor::{Descriptor, DescriptorPlatform};
pub use digest::{Digest, DigestAlgorithm, DigestError, DigestText, UnknownDigestAlgorithm};
pub use json::repaired_json;
pub use manifest::{Manifest, ManifestContent, ManifestError};
pub use reference::{Reference, ReferenceError};
pub use repository_name::{RepositoryName, RepositoryNameError};
pub use tag::{Tag, TagError};
