//! `config.json` of docker and `auth.json` of podman: the same form, and more in it than
//! credentials, which must stay as it is.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use common::Secret;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{Credentials, CredentialsError};
use crate::Host;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The name under which Docker keeps the login to its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// One file, read.
#[derive(Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    members: Map<String, Value>,
}

impl AuthFile {
    /// Reads the file; one that is not there, or is empty, is a file without members.
    pub(super) fn read(path: &Path) -> Result<Self, CredentialsError> {
        let wrong = |what: String| CredentialsError::Content {
            path: path.to_owned(),
            what,
        };
        let failed = |source| CredentialsError::File {
            path: path.to_owned(),
            source,
        };
        let empty = Self {
            path: path.to_owned(),
            members: Map::new(),
        };
        let text = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST => {
                return Err(wrong(format!("has more than {LARGEST} bytes")));
            }
            Ok(_) => fs::read_to_string(path).map_err(failed)?,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(empty);
            }
            Err(error) => return Err(failed(error)),
        };
        if text.trim().is_empty() {
            return Ok(empty);
        }
        match serde_json::from_str(&text) {
            Ok(Value::Object(members)) => Ok(Self { members, ..empty }),
            Ok(_) => Err(wrong("is not a JSON object".to_owned())),
            Err(error) => Err(wrong(format!("is not JSON: {error}"))),
        }
    }

    /// The helper that keeps the host's credentials, by the name that follows `docker-credential-`.
    pub(super) fn helper(&self, host: &Host) -> Option<&str> {
        let own = self
            .members
            .get("credHelpers")
            .and_then(Value::as_object)
            .and_then(|helpers| {
                helpers
                    .iter()
                    .find(|(key, _)| is_for(key, host))
                    .and_then(|(_, helper)| helper.as_str())
            });
        own.or_else(|| self.members.get("credsStore").and_then(Value::as_str))
            .filter(|name| !name.is_empty())
    }

    /// The credentials for a host and, as podman has it, the longest path below it that has its
    /// own.
    pub(super) fn credentials(
        &self,
        host: &Host,
        path: &str,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let Some(auths) = self.members.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let mut below = Some(path).filter(|path| !path.is_empty());
        while let Some(prefix) = below {
            let key = format!("{host}/{prefix}");
            if let Some(entry) = auths.get(&key) {
                return self.entry(&key, entry);
            }
            below = prefix.rsplit_once('/').map(|(shorter, _)| shorter);
        }
        match auths.iter().find(|(key, _)| is_for(key, host)) {
            Some((key, entry)) => self.entry(key, entry),
            None => Ok(None),
        }
    }

    /// What a helper is asked for.
    pub(super) fn key(host: &Host) -> String {
        if host.is_docker_hub() {
            DOCKER_HUB_KEY.to_owned()
        } else {
            host.to_string()
        }
    }

    /// Puts credentials in, and nothing else of them than they have.
    pub(super) fn insert(&mut self, host: &Host, credentials: &Credentials) {
        let encoded =
            |user: &str, password: &str| BASE64.encode(format!("{user}:{password}").as_bytes());
        let entry = match credentials {
            Credentials::Anonymous => return,
            Credentials::Password { user, password } => {
                json!({ "auth": encoded(user, password.expose()) })
            }
            Credentials::RefreshToken { user, token } => {
                json!({ "auth": encoded(user.as_deref().unwrap_or_default(), ""), "identitytoken": token.expose() })
            }
            Credentials::AccessToken(token) => json!({ "registrytoken": token.expose() }),
        };
        self.remove(host);
        let auths = self.members.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(Self::key(host), entry);
        }
    }

    /// Takes the host's credentials out; false when there were none.
    pub(super) fn remove(&mut self, host: &Host) -> bool {
        let Some(auths) = self.members.get_mut("auths").and_then(Value::as_object_mut) else {
            return false;
        };
        let before = auths.len();
        auths.retain(|key, _| !is_for(key, host));
        auths.len() < before
    }

    /// Writes it, whole or not at all, readable for its owner alone.
    pub(super) fn write(&self) -> Result<(), CredentialsError> {
        let failed = |source| CredentialsError::File {
            path: self.path.clone(),
            source,
        };
        // What a link points to is replaced, not the link.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(failed)?;
        let text =
            serde_json::to_string_pretty(&self.members).map_err(|error| failed(error.into()))?;
        let temporary = directory.join(format!(".wharfinger-{}.json", std::process::id()));
        let written = create_private(&temporary).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            failed(error)
        })
    }

    fn entry(&self, key: &str, entry: &Value) -> Result<Option<Credentials>, CredentialsError> {
        let text = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let wrong = |what: &str| CredentialsError::Content {
            path: self.path.clone(),
            what: format!("the `auth` of {key:?} {what}"),
        };
        let decoded = match text("auth") {
            Some(auth) => {
                let bytes = BASE64
                    .decode(auth.trim().as_bytes())
                    .map_err(|_| wrong("is not base64"))?;
                let pair = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
                let (user, password) = pair
                    .split_once(':')
                    .ok_or_else(|| wrong("is not `user:password`"))?;
                // Old versions of Docker padded with zeros.
                Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
            }
            None => text("username").map(|user| {
                (
                    user.to_owned(),
                    text("password").unwrap_or_default().to_owned(),
                )
            }),
        };
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credentials::AccessToken(token.into())));
        }
        if let Some(token) = text("identitytoken") {
            let user = decoded
                .map(|(user, _)| user)
                .filter(|user| !user.is_empty());
            return Ok(Some(Credentials::RefreshToken {
                user,
                token: token.into(),
            }));
        }
        Ok(decoded
            .filter(|(user, password)| !(user.is_empty() && password.is_empty()))
            .map(|(user, password)| Credentials::Password {
                user,
                password: Secret::from(password),
            }))
    }
}

/// Whether a key means this host: Docker writes some with a scheme and a path.
fn is_for(key: &str, host: &Host) -> bool {
    let bare = key.split_once("://").map_or(key, |(_, rest)| rest);
    let has_scheme = bare.len() < key.len();
    let (name, path) = bare.split_once('/').unwrap_or((bare, ""));
    // A path without a scheme is podman's word for a part of a registry.
    if !has_scheme && !path.is_empty() && !matches!(path.trim_end_matches('/'), "v1" | "v2") {
        return false;
    }
    name.parse::<Host>()
        .is_ok_and(|named| named == *host || named.is_docker_hub() && host.is_docker_hub())
}

fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse().unwrap()
    }

    fn file(content: &str) -> (tempfile::TempDir, AuthFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        fs::write(&path, content).unwrap();
        let file = AuthFile::read(&path).unwrap();
        (directory, file)
    }

    fn shown(credentials: Option<Credentials>) -> String {
        match credentials {
            None => "none".to_owned(),
            Some(Credentials::Password { user, password }) => {
                format!("{user}:{}", password.expose())
            }
            Some(Credentials::RefreshToken { user, token }) => {
                format!("{user:?} {}", token.expose())
            }
            Some(Credentials::AccessToken(token)) => token.expose().to_owned(),
            Some(Credentials::Anonymous) => "anonymous".to_owned(),
        }
    }

    #[test]
    fn reads_what_docker_and_podman_write() {
        let (_directory, file) = file(
            r#"{"auths":{
                "https://index.docker.io/v1/":{"auth":"aHViOnBhc3M="},
                "r.example:5000":{"auth":"YTpiOmM="},
                "http://old.example/v1/":{"username":"u","password":"p"},
                "token.example":{"auth":"ZG9jazo=","identitytoken":"refresh"},
                "bearer.example":{"registrytoken":"ready"},
                "helped.example":{},
                "p.example/team/app":{"auth":"YXBwOjE="},
                "p.example/team":{"auth":"dGVhbTox"},
                "p.example":{"auth":"YWxsOjE="}}}"#,
        );
        let get = |name: &str, path: &str| shown(file.credentials(&host(name), path).unwrap());
        assert_eq!(get("docker.io", "library/ubuntu"), "hub:pass");
        assert_eq!(get("registry-1.docker.io", ""), "hub:pass");
        assert_eq!(get("r.example:5000", "a"), "a:b:c");
        assert_eq!(get("r.example", "a"), "none");
        assert_eq!(get("old.example", "a"), "u:p");
        assert_eq!(get("token.example", "a"), "Some(\"dock\") refresh");
        assert_eq!(get("bearer.example", ""), "ready");
        assert_eq!(get("helped.example", ""), "none");
        assert_eq!(get("p.example", "team/app"), "app:1");
        assert_eq!(get("p.example", "team/other"), "team:1");
        assert_eq!(get("p.example", "teams"), "all:1");
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let (_directory, file) =
            file(r#"{"auths":{"r.example":{"auth":"!"},"s.example":{"auth":"YQ=="}}}"#);
        let wrong = |name: &str| file.credentials(&host(name), "").unwrap_err().to_string();
        assert!(
            wrong("r.example").ends_with(r#"config.json: the `auth` of "r.example" is not base64"#)
        );
        assert!(
            wrong("s.example").ends_with(r#"the `auth` of "s.example" is not `user:password`"#)
        );
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "[1]").unwrap();
        let error = AuthFile::read(&directory.path().join("a")).unwrap_err();
        assert!(error.to_string().ends_with("a: is not a JSON object"));
    }

    #[test]
    fn everything_else_in_the_file_stays() {
        let before = r#"{"psFormat":"x","auths":{"https://r.example/v2/":{"auth":"YTpi"}},"credHelpers":{"h.example":"pass"}}"#;
        let (_directory, mut file) = file(before);
        assert_eq!(file.helper(&host("h.example")), Some("pass"));
        assert_eq!(file.helper(&host("r.example")), None);
        let login = Credentials::Password {
            user: "u".into(),
            password: "p".into(),
        };
        file.insert(&host("r.example"), &login);
        file.write().unwrap();
        let after: Value = serde_json::from_str(&fs::read_to_string(&file.path).unwrap()).unwrap();
        let expected = json!({"psFormat":"x","auths":{"r.example":{"auth":"dTpw"}},"credHelpers":{"h.example":"pass"}});
        assert_eq!(after, expected);
        assert!(file.remove(&host("r.example")) && !file.remove(&host("r.example")));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it_and_links_stay_links() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (
            directory.path().join("real.json"),
            directory.path().join("config.json"),
        );
        fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut file = AuthFile::read(&link).unwrap();
        file.insert(&host("r.example"), &Credentials::AccessToken("t".into()));
        file.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
