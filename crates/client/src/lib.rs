//! The other side of the wharf: what a client of a container registry does.
//!
//! A [`Session`] walks the six steps of token authentication (Distribution, "Token Authentication
//! Specification"): it asks, is challenged, asks the token server with whatever [`Credentials`]
//! there are, and asks again. A [`Registry`] and its [`Repository`]s are what can be asked for
//! then; [`copy`] moves images between repositories, OCI [`Layout`]s and archives. An [`Observer`]
//! sees each exchange, without its secrets.
//!
//! ```
//! # // A registry that wants a token, its token server and an image of one line, all at one address.
//! # use std::io::{BufRead, BufReader, Write};
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let here = listener.local_addr().unwrap();
//! # std::thread::spawn(move || for stream in listener.incoming().flatten() {
//! #     let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
//! #     let (path, mut lines) = (lines.next().unwrap_or_default(), lines);
//! #     let token = lines.any(|line| line == "authorization: Bearer let-me-in");
//! #     let (head, body) = match (path.contains("/token"), token) {
//! #         (true, _) => ("200 OK".to_owned(), r#"{"token":"let-me-in"}"#),
//! #         (_, true) => ("200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json".to_owned(), "{}"),
//! #         _ => (format!("401 No\r\nWWW-Authenticate: Bearer realm=\"http://{here}/token\""), ""),
//! #     };
//! #     let length = body.len();
//! #     let _ = write!(&stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
//! # });
//! use client::{Credentials, ImageName, Options, Registry, Session, Transport};
//!
//! # let example = async {
//! # let example = format!("{here}/team/app:1.2");
//! let name: ImageName = example.parse().unwrap(); // "registry.example/team/app:1.2"
//! let login = Credentials::Password { user: "ann".into(), password: "sesame".into() };
//! # let plain_http = true;
//! let options = Options { plain_http, ..Options::default() };
//! let session = Session::begin(Transport::new(options), name.host.clone(), login).await?;
//! let manifest = Registry::new(session).repository(name.repository.clone()).manifest(&name.reference()).await?;
//! assert!(manifest.digest.to_string().starts_with("sha256:44136fa3"));
//! # Ok::<(), client::Error>(())
//! # };
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example).unwrap();
//! ```
//!
//! Every read is bounded, every wait has an end, and content whose digest is not its name is never
//! handed on as if it were.

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
pub use registry::{
    Artifact, Attachment, Download, FetchedManifest, Pages, Referrer, Registry, Repository,
    Uploaded,
};
pub use session::{Granted, Session};
pub use transfer::{Copy, Meter, Progress, Report, Silent, Source, Target, copy};
pub use transport::{Cause, Options, Transport, Trouble, certificate_directories};
