//! The nouns of a container registry.
//!
//! What a registry, its clients and its token server all speak of, spelt as the OCI distribution specification spells
//! it. Each noun is a type that holds only what is valid: whoever has one need not check it again.
//!
//! ```
//! let name: oci::RepositoryName = "library/ubuntu".parse().unwrap();
//! assert_eq!(name.as_str(), "library/ubuntu");
//! assert!("Library/Ubuntu".parse::<oci::RepositoryName>().is_err());
//! ```

mod repository_name;

pub use repository_name::{RepositoryName, RepositoryNameError};
