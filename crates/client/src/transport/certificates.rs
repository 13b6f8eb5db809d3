//! The certificates that count for one host, as Docker, containerd and podman have them.
//!
//! All three read a directory named after host and port: every `*.crt` is an authority to trust,
//! every `*.cert` with its `*.key` a certificate of the client. As they do, this skips a
//! directory that the user may not read, and a link that leads nowhere.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// The directories that hold those directories, in the order in which they are read.
#[must_use]
pub fn certificate_directories(home: Option<&Path>) -> Vec<PathBuf> {
    let system = [
        "/etc/docker/certs.d",
        "/etc/containerd/certs.d",
        "/etc/containers/certs.d",
    ]
    .map(PathBuf::from);
    let own = home.into_iter().flat_map(|home| {
        [
            home.join(".docker/certs.d"),
            home.join(".config/docker/certs.d"),
            home.join(".config/containers/certs.d"),
        ]
    });
    system.into_iter().chain(own).collect()
}

/// The certificates for one host.
#[derive(Debug, Default)]
pub(crate) struct HostCertificates {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) client: Option<ClientCertificate>,
}

/// The certificate that this client shows to a server that asks for one.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl HostCertificates {
    /// Reads the certificates for `host` (with its port) in `directories`.
    pub(crate) fn read(directories: &[PathBuf], host: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        for directory in directories
            .iter()
            .flat_map(|directory| host_directories(directory, host))
        {
            let mut files: Vec<PathBuf> = match fs::read_dir(&directory) {
                Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
                Err(error) if is_skipped(&error) => continue,
                Err(error) => return Err(Error::file(directory)(error)),
            };
            files.sort();
            for file in files {
                match file.extension().and_then(|extension| extension.to_str()) {
                    Some("crt") => found.authorities.extend(read_authorities(&file)?),
                    Some("cert") if found.client.is_none() => {
                        found.client =
                            Some(ClientCertificate::read(&file, &file.with_extension("key"))?);
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}

impl ClientCertificate {
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, Error> {
        let pem = fs::read(key).map_err(Error::file(key))?;
        let wrong = |what: String| Error::Layout {
            path: key.to_owned(),
            what,
            missing: false,
        };
        let key = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|error| wrong(format!("no private key in it: {error}")))?;
        Ok(Self {
            chain: read_certificates(chain)?,
            key,
        })
    }
}

/// Whether a directory with this error counts as absent.
fn is_skipped(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
    )
}

/// The certificates of a `*.crt`; none if it is a link that leads nowhere.
fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => read_certificates(path),
    }
}

/// The certificates of a PEM file.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = fs::read(path).map_err(Error::file(path))?;
    let wrong = |what: &str| Error::Layout {
        path: path.to_owned(),
        what: what.to_owned(),
        missing: false,
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(wrong("no certificate in it (-----BEGIN CERTIFICATE-----)"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(wrong("not a PEM file of certificates")),
    }
}

/// containerd also reads `HOST_PORT_`, for file systems without colons.
fn host_directories(directory: &Path, host: &str) -> Vec<PathBuf> {
    let mut directories = vec![directory.join(host)];
    if let Some((name, port)) = host.rsplit_once(':') {
        directories.push(directory.join(format!("{name}_{port}_")));
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_of_all_clients_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let pair = peers::TestCertificate::new(peers::TestKeyKind::P256, directory.path(), "pair");
        let [docker, containerd] = ["docker/r.example:5000", "containerd/r.example_5000_"]
            .map(|d| directory.path().join(d));
        for directory in [&docker, &containerd] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::copy(&pair.certificate, docker.join("ca.crt")).unwrap();
        fs::copy(&pair.certificate, containerd.join("other.crt")).unwrap();
        fs::copy(&pair.certificate, docker.join("client.cert")).unwrap();
        fs::copy(&pair.key, docker.join("client.key")).unwrap();
        let directories = [
            directory.path().join("docker"),
            directory.path().join("containerd"),
        ];

        let found = HostCertificates::read(&directories, "r.example:5000").unwrap();
        assert_eq!(
            (found.authorities.len(), found.client.unwrap().chain.len()),
            (2, 1)
        );
        let none = HostCertificates::read(&directories, "r.example").unwrap();
        assert!(none.authorities.is_empty() && none.client.is_none());

        std::os::unix::fs::symlink("nowhere", docker.join("gone.crt")).unwrap();
        fs::write(directory.path().join("a-file"), "").unwrap();
        let more = [&directories[..], &[directory.path().join("a-file")]].concat();
        let found = HostCertificates::read(&more, "r.example:5000").unwrap();
        assert_eq!(
            found.authorities.len(),
            2,
            "what other clients skip is skipped"
        );

        fs::remove_file(docker.join("client.key")).unwrap();
        let error = HostCertificates::read(&directories, "r.example:5000").unwrap_err();
        assert!(error.to_string().ends_with("client.key"), "{error}");
        fs::write(docker.join("ca.crt"), "nothing").unwrap();
        let error = HostCertificates::read(&directories, "r.example:5000").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("ca.crt: no certificate in it (-----BEGIN CERTIFICATE-----)"),
            "{error}"
        );
    }
}
