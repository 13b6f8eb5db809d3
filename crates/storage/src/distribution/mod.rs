//! Distribution's registry (2.x and 3.x): taking over its data, and going back.
//!
//! *Adoption* reads the data of that registry into rows and leaves every file in place, in a
//! directory or in a bucket: a [`Tree`](crate::Tree) reads them.
//! *Export* writes such data: to a directory, with hard links to our files if the file system allows
//! it, or to a bucket. The layout, under `docker/registry/v2`:
//!
//! ```text
//! blobs/sha256/ab/abcdef…/data                                   a blob, or a manifest
//! repositories/NAME/_layers/sha256/abcdef…/link                  the repository has this blob: its digest
//! repositories/NAME/_manifests/revisions/sha256/abcdef…/link     … this manifest; without the file, it was deleted
//! repositories/NAME/_manifests/tags/TAG/current/link             the manifest that the tag points at
//! repositories/NAME/_manifests/tags/TAG/index/sha256/…/link      every manifest that it ever pointed at
//! repositories/NAME/_uploads/UUID/                               an unfinished upload
//! ```

mod adopt;
mod export;
mod layout;
mod ongoing;
mod problem;
mod reader;
mod report;

pub use adopt::{AdoptionTurn, Discovery, RegistryData};
pub use export::{ExportError, ExportFile, ExportReport, ExportTarget};
pub use ongoing::OngoingAdoption;
pub use problem::{AdoptionProblem, AdoptionProblemKind};
pub use report::{AdoptError, AdoptionCheck, AdoptionReport};

pub use crate::seams::{AdoptedBlob, AdoptionTotals, RepositoryPart};
pub(crate) use layout::BASE;
