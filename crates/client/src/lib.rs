//! The other side of the wharf: what a client of a container registry does.
//!
//! A [`Session`] walks the six steps of token authentication (Distribution, "Token Authentication Specification"): it
//! asks, is challenged, asks the token server with whatever [`Credentials`] there are, and asks again. A [`Registry`] and
//! its [`Repository`]s are what can be asked for then; [`copy`] moves images between repositories, OCI [`Layout`]s and
//! archives. An [`Observer`] sees each exchange, without its secrets.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::{Credentials, ImageName, Options, Registry, Session, Transport};
//!
//! let name: ImageName = "registry.example/team/app:1.2".parse().unwrap();
//! let login = Credentials::Password { user: "ann".into(), password: "sesame".into() };
//! let session = Session::begin(Transport::new(Options::default()), name.host.clone(), login).await?;
//! let manifest = Registry::new(session).repository(name.repository.clone()).manifest(&name.reference()).await?;
//! println!("{} {}", manifest.digest, manifest.media_type);
//! # Ok(())
//! # }
//! ```
//!
//! Every read is bounded, every wait has an end, and content whose digest is not its name is never handed on as if it
//! were.

mod archive;
mod credentials;
mod doctor;
mod error;
mod hasher;
mod image_name;
mod layout;
mod observer;
mod place;
mod platform;
mod refusal;
mod registry;
mod session;
mod transfer;
mod transport;

pub use archive::{Archive, ArchiveWriter};
pub use credentials::{Credentials, CredentialsError, Found, Places};
pub use doctor::{Finding, PROBES, Patient, Sides, Verdict, examine};
pub use error::{Error, Kind};
pub use image_name::{Host, HostError, ImageName, ImageNameError};
pub use layout::Layout;
pub use observer::{Event, Observer, Step};
pub use place::Place;
pub use platform::{Platform, PlatformError};
pub use refusal::{Refusal, ServerError};
pub(crate) use registry::media_type_of;
pub use registry::{Artifact, Attachment, Download, FetchedManifest, Pages, Referrer, Registry, Repository, Uploaded};
pub use session::{Granted, Session};
pub use transfer::{Copy, Meter, Progress, Report, Silent, Source, Target, copy};
pub use transport::{Cause, Options, Transport, Trouble, certificate_directories};
