//! The nouns of a container registry.
//!
//! What a registry, its clients and its token server all speak of, spelt as the OCI distribution
//! specification spells it. Each noun is a type that holds only what is valid: whoever has one need
//! not check it again.
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

pub use descriptor::Descriptor;
pub use digest::{Digest, DigestAlgorithm, DigestError, DigestText, UnknownDigestAlgorithm};
pub use manifest::{Manifest, ManifestContent, ManifestError};
pub use reference::{Reference, ReferenceError};
pub use repository_name::{RepositoryName, RepositoryNameError};
pub use tag::{Tag, TagError};
