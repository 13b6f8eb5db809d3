//! `config.json` of docker and `auth.json` of podman. Both have the same form. They hold more than
//! credentials, and the rest must stay unchanged.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use common::Secret;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::target::CredentialTarget;
use super::{CredentialsError, LoginCredentials};
use crate::json;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The content of one file.
#[derive(Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    members: Map<String, Value>,
}

impl AuthFile {
    /// Reads the file. A missing or empty one counts as a file without members.
    pub(super) fn read(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |source| CredentialsError::File {
            path: path.to_owned(),
            source,
        };
        let text = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > LARGEST => {
                return Err(CredentialsError::Content {
                    path: path.to_owned(),
                    what: format!("more than {LARGEST} bytes"),
                });
            }
            Ok(_) => fs::read_to_string(path).map_err(failed)?,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                String::new()
            }
            Err(error) => return Err(failed(error)),
        };
        Self::parse(path, &text)
    }

    /// The content of a file: `text`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, CredentialsError> {
        let path = path.to_owned();
        if text.trim().is_empty() {
            let members = Map::new();
            return Ok(Self { path, members });
        }
        let what = match serde_json::from_str(text) {
            Ok(Value::Object(members)) => return Ok(Self { path, members }),
            Ok(_) => "not a JSON object".to_owned(),
            Err(error) => format!("not JSON: {error}"),
        };
        Err(CredentialsError::Content { path, what })
    }

    /// The helper that holds the target's credentials, by the name that follows `docker-credential-`.
    pub(super) fn helper<'a>(&self, target: impl Into<CredentialTarget<'a>>) -> Option<&str> {
        let target = target.into();
        let own = self
            .object("credHelpers")
            .and_then(|helpers| best(helpers, target))
            .and_then(|(_, helper)| helper.as_str());
        own.or_else(|| json::text(&self.members, "credsStore"))
            .filter(|name| !name.is_empty())
    }

    /// The credentials for a target. As podman has it, the longest path below a registry that has
    /// credentials of its own takes precedence.
    pub(super) fn credentials<'a>(
        &self,
        target: impl Into<CredentialTarget<'a>>,
        path: &str,
    ) -> Result<Option<LoginCredentials>, CredentialsError> {
        let target = target.into();
        let Some(auths) = self.object("auths") else {
            return Ok(None);
        };
        let mut below = Some(path).filter(|path| !path.is_empty());
        while let Some(prefix) = below {
            if let Some(key) = target.key_below(prefix)
                && let Some(entry) = auths.get(&key)
            {
                return self.entry(&key, entry);
            }
            below = prefix.rsplit_once('/').map(|(shorter, _)| shorter);
        }
        match best(auths, target) {
            Some((key, entry)) => self.entry(key, entry),
            None => Ok(None),
        }
    }

    fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        json::member(&self.members, name)?.as_object()
    }

    /// Adds credentials.
    pub(super) fn insert<'a>(
        &mut self,
        target: impl Into<CredentialTarget<'a>>,
        credentials: &LoginCredentials,
    ) {
        let target = target.into();
        let encoded =
            |user: &str, password: &str| BASE64.encode(format!("{user}:{password}").as_bytes());
        let entry = match credentials {
            LoginCredentials::Anonymous => return,
            LoginCredentials::Password { user, password } => {
                json!({ "auth": encoded(user, password.expose()) })
            }
            LoginCredentials::RefreshToken { user, token } => {
                json!({ "auth": encoded(user.as_deref().unwrap_or_default(), ""), "identitytoken": token.expose() })
            }
            LoginCredentials::AccessToken(token) => json!({ "registrytoken": token.expose() }),
        };
        self.remove(target);
        let auths = self.members.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Some(auths) = auths.as_object_mut() {
            auths.insert(target.key(), entry);
        }
    }

    /// Removes the target's credentials; returns whether there were some.
    pub(super) fn remove<'a>(&mut self, target: impl Into<CredentialTarget<'a>>) -> bool {
        let target = target.into();
        let Some(auths) = self.members.get_mut("auths").and_then(Value::as_object_mut) else {
            return false;
        };
        let before = auths.len();
        auths.retain(|key, _| target.distance(key).is_none());
        auths.len() < before
    }

    /// Writes the file, whole or not at all, readable for its owner alone.
    pub(super) fn write(&self) -> Result<(), CredentialsError> {
        let failed = |source| CredentialsError::File {
            path: self.path.clone(),
            source,
        };
        // A symbolic link of the user's stays, and the file that it points to is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(failed)?;
        let text =
            serde_json::to_string_pretty(&self.members).map_err(|error| failed(error.into()))?;
        let write = || {
            let mut file = tempfile::Builder::new()
                .prefix(".wharfinger-")
                .suffix(".json")
                .tempfile_in(directory)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map(drop).map_err(failed)
    }

    fn entry(
        &self,
        key: &str,
        entry: &Value,
    ) -> Result<Option<LoginCredentials>, CredentialsError> {
        let Some(entry) = entry.as_object() else {
            return Ok(None);
        };
        let text = |name: &str| json::text(entry, name);
        let wrong = |what: &str| CredentialsError::Content {
            path: self.path.clone(),
            what: format!("the `auth` of {key:?} {what}"),
        };
        let decoded = match text("auth") {
            Some(auth) => {
                // `base64` wraps long lines.
                let encoded: String = auth.split_whitespace().collect();
                let bytes = BASE64
                    .decode(encoded.as_bytes())
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
            return Ok(Some(LoginCredentials::AccessToken(token.into())));
        }
        if let Some(token) = text("identitytoken") {
            let user = decoded
                .map(|(user, _)| user)
                .filter(|user| !user.is_empty());
            return Ok(Some(LoginCredentials::RefreshToken {
                user,
                token: token.into(),
            }));
        }
        Ok(decoded
            .filter(|(user, password)| !(user.is_empty() && password.is_empty()))
            .map(|(user, password)| LoginCredentials::Password {
                user,
                password: Secret::from(password),
            }))
    }
}

/// The entry whose key fits the target best; of equal ones, the first.
fn best<'a>(
    entries: &'a Map<String, Value>,
    target: CredentialTarget<'_>,
) -> Option<(&'a str, &'a Value)> {
    entries
        .iter()
        .filter_map(|(key, entry)| Some((target.distance(key)?, key, entry)))
        .min_by_key(|(distance, ..)| *distance)
        .map(|(_, key, entry)| (key.as_str(), entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Host;

    #[test]
    fn fuzz_logins() {
        let seeds = [
            r#"{"auths":{"r.example:5000":{"auth":"YTpiOmM="},"r.example/a":{"identitytoken":"x"}}}"#,
            r#"{"credsStore":"pass","credHelpers":{"r.example:5000":"secret"},"auths":{"https://r.example:5000/v2/":{"auth":"YTpi\nOmM="}}}"#,
        ];
        let host = host("r.example:5000");
        fuzz::target("files of logins", &seeds, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return false;
            };
            let Ok(file) = AuthFile::parse(Path::new("config.json"), text) else {
                return false;
            };
            let helper = file.helper(&host).is_some();
            file.credentials(&host, "a/b").is_ok() || helper
        });
    }

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

    fn shown(credentials: Option<LoginCredentials>) -> String {
        match credentials {
            None => "none".to_owned(),
            Some(LoginCredentials::Password { user, password }) => {
                format!("{user}:{}", password.expose())
            }
            Some(LoginCredentials::RefreshToken { user, token }) => {
                format!("{user:?} {}", token.expose())
            }
            Some(LoginCredentials::AccessToken(token)) => token.expose().to_owned(),
            Some(LoginCredentials::Anonymous) => "anonymous".to_owned(),
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
    fn the_key_of_today_comes_before_older_ones() {
        let keys = [
            "http://r.example:5000/v1/",
            "http://r.example:5000/v2/",
            "http://r.example:5000",
            "https://r.example:5000/v1/",
            "https://r.example:5000/v2/",
            "https://r.example:5000/",
            "R.example:5000",
            "r.example:5000",
        ];
        for count in 1..=keys.len() {
            let entries: Vec<_> = keys[..count]
                .iter()
                .map(|key| format!(r#""{key}":{{"username":"{key}","password":"p"}}"#))
                .collect();
            let (_directory, file) = file(&format!(r#"{{"auths":{{{}}}}}"#, entries.join(",")));
            let found = file.credentials(&host("r.example:5000"), "a").unwrap();
            assert_eq!(found.unwrap().user(), Some(keys[count - 1]), "{count}");
        }
        let (_directory, file) = file(
            r#"{"auths":{"docker.io":{"auth":"b2xkOjE="},"https://index.docker.io/v1/":{"auth":"bmV3OjE="}},
                "credHelpers":{"https://r.example":"old","r.example":"new"}}"#,
        );
        assert_eq!(
            shown(file.credentials(&host("docker.io"), "").unwrap()),
            "new:1"
        );
        assert_eq!(file.helper(&host("r.example")), Some("new"));
    }

    #[test]
    fn what_go_reads_is_read() {
        let (_directory, file) = file(
            r#"{"Auths":{"a.example":{"Auth":"YTpi\r\nOmM=\n"},"b.example":{"auth":null,"username":"u","password":"p"},
                "c.example":null,"d.example":{"auth":"x","auth":"YTpi"}},"credsstore":"pass"}"#,
        );
        let get = |name: &str| shown(file.credentials(&host(name), "").unwrap());
        assert_eq!(
            [
                get("a.example"),
                get("b.example"),
                get("c.example"),
                get("d.example")
            ],
            ["a:b:c", "u:p", "none", "a:b"]
        );
        assert_eq!(file.helper(&host("a.example")), Some("pass"));
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
        assert!(error.to_string().ends_with("a: not a JSON object"));
    }

    #[test]
    fn everything_else_in_the_file_stays() {
        let before = r#"{"psFormat":"x","auths":{"https://r.example/v2/":{"auth":"YTpi"}},"credHelpers":{"h.example":"pass"}}"#;
        let (_directory, mut file) = file(before);
        assert_eq!(file.helper(&host("h.example")), Some("pass"));
        assert_eq!(file.helper(&host("r.example")), None);
        let login = LoginCredentials::Password {
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
        file.insert(
            &host("r.example"),
            &LoginCredentials::AccessToken("t".into()),
        );
        file.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    /// Another user may prepare any name in a directory that both can write.
    #[cfg(unix)]
    #[test]
    fn a_prepared_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        let name = format!(".wharfinger-{}.json", std::process::id());
        std::os::unix::fs::symlink(&victim, directory.path().join(name)).unwrap();
        let mut file = AuthFile::read(&directory.path().join("config.json")).unwrap();
        file.insert(
            &host("r.example"),
            &LoginCredentials::AccessToken("t".into()),
        );
        file.write().unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
