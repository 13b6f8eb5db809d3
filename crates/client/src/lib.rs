//! A client of container registries.
//!
//! A [`RegistrySession`] goes through the six steps of token authentication (Distribution, "Token
//! Authentication Specification"): it sends a request, gets a challenge, requests a token from the
//! token server with the user's [`LoginCredentials`], and sends the request again. A [`RegistryClient`]
//! and its [`RepositoryClient`]s have a method for each request. [`copy`] copies images between
//! repositories, [`OciLayout`]s and archives. [`run_probes`] finds out why a login or a pull fails. An
//! [`ExchangeObserver`] sees each request and response, without their secrets.
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
//! use client::{LoginCredentials, ImageName, TransportOptions, RegistryClient, RegistrySession, Transport};
//!
//! # let example = async {
//! # let example = format!("{here}/team/app:1.2");
//! let name: ImageName = example.parse().unwrap(); // "registry.example/team/app:1.2"
//! let login = LoginCredentials::Password { user: "ann".into(), password: "sesame".into() };
//! # let plain_http = true;
//! let options = TransportOptions { plain_http, ..TransportOptions::default() };
//! let session = RegistrySession::begin(Transport::new(options), name.host.clone(), login).await?;
//! let manifest = RegistryClient::new(session).repository(name.repository.clone()).manifest(&name.reference()).await?;
//! assert!(manifest.digest.to_string().starts_with("sha256:44136fa3"));
//! # Ok::<(), client::Error>(())
//! # };
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example).unwrap();
//! ```
//!
//! Every read has a limit of size and of time. Content that does not match its digest is never
//! returned as if it did.

mod api;
mod archive;
mod content;
mod credentials;
mod doctor;
mod error;
#[cfg(test)]
mod fuzz;
mod hasher;
mod http_error_response;
mod image_location;
mod image_name;
mod json;
mod layout;
mod link;
mod manifest;
mod observer;
mod platform;
mod problem;
mod registry;
mod session;
mod step;
mod transfer;
mod transport;

pub use api::{
    ApiAddress, ApiAddressError, ApiClient, ApiError, ApiRoute, VersionTag, VersionedObject,
};
pub use archive::{Archive, ArchiveWriter};
pub use content::{BlobProgress, CopyProgress, NoProgress, UploadOutcome};
pub use credentials::{
    CredentialLookup, CredentialStore, CredentialTarget, CredentialsError, LoginCredentials,
    StoredCredentials,
};
pub use doctor::{KnownSettings, PROBES, ProbeResult, ProbeTarget, ProbeVerdict, run_probes};
pub use error::{DeviceLoginEnd, Error, ErrorKind};
pub use http_error_response::{HttpErrorResponse, ServerError};
pub use image_location::ImageLocation;
pub use image_name::{Host, HostError, ImageName, ImageNameError};
pub use layout::OciLayout;
pub use link::Link;
pub use manifest::FetchedManifest;
pub use observer::{ExchangeEvent, ExchangeObserver};
pub use platform::{Platform, PlatformError};
pub use problem::{ProblemDetails, ProblemError};
pub use registry::{
    Artifact, Attachment, Download, NamePages, Referrer, RegistryClient, RepositoryClient,
    TagHistoryEntry,
};
pub use session::{DeviceLogin, IssuedToken, RegistrySession};
pub use step::Step;
pub use transfer::{CopyOptions, CopyReport, ImageSource, ImageTarget, copy};
pub use transport::{
    ConnectionError, ProxySettings, RootCause, Transport, TransportOptions, certificate_directories,
};
