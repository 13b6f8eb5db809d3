//! Distribution's registry, 2.8 and 3, which must accept our tokens.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, program};

/// Which clients a registry serves.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// All.
    #[default]
    None,
    /// The users of an htpasswd file.
    Htpasswd(PathBuf),
    /// Those with a token (`auth.token`).
    Token {
        /// The token server's URL. If it is empty, the realm is `/auth/token` of the registry's
        /// host (`autoredirect`).
        realm: String,
        /// This registry's name: the `aud` that tokens must have.
        service: String,
        /// The `iss` that tokens must have.
        issuer: String,
        /// The keys that verify tokens.
        trust: Trust,
    },
}

/// The file with the keys that a registry trusts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Certificates, as PEM (`rootcertbundle`).
    Bundle(PathBuf),
    /// A JSON Web Key Set (`jwks`; since registry 3).
    Jwks(PathBuf),
}

/// The configuration of a registry.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfig {
    /// Which clients it serves.
    pub auth: Auth,
    /// Certificate and key for TLS, as PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Its data directory, if that is not a temporary one.
    pub data: Option<PathBuf>,
    /// The bucket that has its data instead, as the driver's members in YAML.
    pub s3: Option<String>,
    /// More members of `http`, as YAML: `headers: {…}`.
    pub more_http: String,
    /// More sections, as YAML: `middleware: {…}`.
    pub more: String,
}

impl RegistryConfig {
    /// Writes the configuration of a registry that listens on `address` into `directory`. The data
    /// goes there, too.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn write(&self, directory: &Path, address: SocketAddrV4) -> PathBuf {
        let file = directory.join("config.yml");
        fs::write(&file, self.yaml(directory, address)).expect("the registry's configuration");
        file
    }

    /// The command that runs the registry `program` on `address`, with its files in `directory`.
    pub(crate) fn command(
        &self,
        program: &Path,
        directory: &Path,
        address: SocketAddrV4,
    ) -> Command {
        let file = self.write(directory, address);
        let mut command = Command::new(program);
        // Without this, registry 3 looks for a collector of traces.
        command
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none")
            // Registry 2.8 with a bucket does not start if this is set.
            .env_remove("AWS_CA_BUNDLE");
        command
    }

    fn yaml(&self, directory: &Path, address: SocketAddrV4) -> String {
        let root = quoted(&self.data.clone().unwrap_or_else(|| directory.join("data")));
        let driver = match &self.s3 {
            Some(members) => format!("s3: {{{members}}}"),
            None => format!("filesystem: {{rootdirectory: {root}}}"),
        };
        let tls = self
            .tls
            .as_ref()
            .map_or_else(String::new, |(certificate, key)| {
                format!(
                    ", tls: {{certificate: {}, key: {}}}",
                    quoted(certificate),
                    quoted(key)
                )
            });
        let auth = match &self.auth {
            Auth::None => String::new(),
            Auth::Htpasswd(path) => format!(
                "auth: {{htpasswd: {{realm: tests, path: {}}}}}\n",
                quoted(path)
            ),
            Auth::Token {
                realm,
                service,
                issuer,
                trust,
            } => {
                let trust = match trust {
                    Trust::Bundle(path) => format!("rootcertbundle: {}", quoted(path)),
                    Trust::Jwks(path) => format!("jwks: {}", quoted(path)),
                };
                let realm = match realm.as_str() {
                    "" => "realm: unused, autoredirect: true".to_owned(),
                    realm => format!("realm: {realm:?}"),
                };
                format!(
                    "auth: {{token: {{{realm}, service: {service:?}, issuer: {issuer:?}, {trust}}}}}\n"
                )
            }
        };
        format!(
            "version: 0.1\n\
             log: {{level: debug}}\n\
             storage: {{{driver}, delete: {{enabled: true}}}}\n\
             http: {{addr: {:?}, secret: tests{tls}{}}}\n\
             {auth}{}",
            address.to_string(),
            if self.more_http.is_empty() {
                String::new()
            } else {
                format!(", {}", self.more_http)
            },
            self.more,
        )
    }
}

/// A running registry.
#[derive(Debug)]
pub struct RunningRegistry {
    daemon: Daemon,
    address: ReservedAddress,
    scheme: &'static str,
    directory: TempDir,
}

impl RunningRegistry {
    /// `127.0.0.1:PORT`, as image names begin with.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// The URL of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Its log, on level debug.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Its directory, with its data below `data` unless that is elsewhere.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn start(program: &Path, config: &RegistryConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            config.command(program, directory.path(), address)
        });
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        Self {
            daemon,
            address,
            scheme,
            directory,
        }
    }
}

/// Starts registry 2.8, as Debian packages it.
///
/// # Panics
/// If it is not installed or does not start.
#[must_use]
pub fn registry2(config: &RegistryConfig) -> RunningRegistry {
    RunningRegistry::start(&program("docker-registry"), config)
}

/// Starts registry 3.
///
/// # Panics
/// If it is not installed or does not start.
#[must_use]
pub fn registry3(config: &RegistryConfig) -> RunningRegistry {
    RunningRegistry::start(&program("registry"), config)
}

/// Starts `program` with a registry's configuration and command line. That is our own program: the
/// tests of its crate know its path.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn registry_of(program: &Path, config: &RegistryConfig) -> RunningRegistry {
    RunningRegistry::start(program, config)
}

/// A path as a YAML string. For a path that a test makes, Rust's quotes and escapes are those of
/// JSON and YAML.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn both_registries_answer() {
        for registry in [
            registry2(&RegistryConfig::default()),
            registry3(&RegistryConfig::default()),
        ] {
            assert_eq!(
                http::get(&registry.url("/v2/")).status,
                200,
                "{}",
                registry.log()
            );
        }
    }

    #[test]
    fn both_challenge_for_a_token() {
        let directory = tempfile::tempdir().unwrap();
        let jwks = directory.path().join("jwks.json");
        fs::write(&jwks, r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#).unwrap();
        let auth = Auth::Token {
            realm: "http://127.0.0.1:1/auth".into(),
            service: "Docker registry".into(),
            issuer: "Acme".into(),
            trust: Trust::Jwks(jwks),
        };
        let registry = registry3(&RegistryConfig {
            auth,
            ..RegistryConfig::default()
        });
        let answer = http::get(&registry.url("/v2/"));
        assert_eq!(answer.status, 401);
        let challenge = r#"Bearer realm="http://127.0.0.1:1/auth",service="Docker registry""#;
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
}
