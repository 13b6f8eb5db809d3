//! Where credentials are looked up, in which order, and where they are stored.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::AuthFile;
use super::helper::Helper;
use super::target::CredentialTarget;
use super::{CredentialsError, LoginCredentials};

/// The files that may hold credentials. The first one takes precedence, and is the one written to.
#[derive(Clone, Debug, Default)]
pub struct CredentialStore {
    files: Vec<PathBuf>,
}

/// What a lookup found.
#[derive(Debug, Default)]
pub struct CredentialLookup {
    /// The credentials, if there are some.
    pub found: Option<StoredCredentials>,
    /// The files and helpers that failed on the way.
    pub problems: Vec<CredentialsError>,
}

/// Credentials, and where they were found.
#[derive(Clone, Debug)]
pub struct StoredCredentials {
    /// The credentials.
    pub credentials: LoginCredentials,
    /// The file, or the helper and the file that names it, in words.
    pub location: String,
}

impl CredentialStore {
    /// The files of an environment: `REGISTRY_AUTH_FILE`, then docker's `config.json`
    /// (`DOCKER_CONFIG`, else in the home directory), then podman's `auth.json`.
    ///
    /// ```
    /// let store = client::CredentialStore::new(|name| (name == "HOME").then(|| "/home/ann".into()));
    /// assert_eq!(store.files()[0].to_str(), Some("/home/ann/.docker/config.json"));
    /// ```
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = path("HOME");
        let docker =
            path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let config =
            path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let podman = |directory: PathBuf| directory.join("containers/auth.json");
        let files = [
            path("REGISTRY_AUTH_FILE"),
            docker.map(|directory| directory.join("config.json")),
            path("XDG_RUNTIME_DIR").map(podman),
            config.map(podman),
        ];
        Self {
            files: files.into_iter().flatten().collect(),
        }
    }

    /// The files, in the order in which they are read.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The credentials for `target` and, if a file has them, for the repository `path` of that registry. A file
    /// or helper that fails is passed over, as docker does: a public image needs no login. Show its
    /// problem to the user.
    pub async fn find<'a>(
        &self,
        target: impl Into<CredentialTarget<'a>>,
        path: &str,
    ) -> CredentialLookup {
        let target = target.into();
        let mut lookup = CredentialLookup::default();
        for file in &self.files {
            let (found, problems) = find_in(file, target, path).await;
            lookup.problems.extend(problems);
            lookup.found = found.into_iter().next();
            if lookup.found.is_some() {
                break;
            }
        }
        lookup
    }

    /// All credentials for `target`, the ones that count first, and what failed.
    pub async fn find_all<'a>(
        &self,
        target: impl Into<CredentialTarget<'a>>,
        path: &str,
    ) -> (Vec<StoredCredentials>, Vec<CredentialsError>) {
        let target = target.into();
        let (mut all, mut failed) = (Vec::new(), Vec::new());
        for file in &self.files {
            let (found, problems) = find_in(file, target, path).await;
            all.extend(found);
            failed.extend(problems);
        }
        (all, failed)
    }

    /// Stores credentials in the first file, or in the helper that it names. Returns where.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn store<'a>(
        &self,
        target: impl Into<CredentialTarget<'a>>,
        credentials: &LoginCredentials,
    ) -> Result<String, CredentialsError> {
        let target = target.into();
        let path = self.files.first().ok_or(CredentialsError::Nowhere)?;
        let mut file = AuthFile::read(path)?;
        match file.helper(target) {
            Some(name) => {
                let helper = Helper::new(name)?;
                helper.store(&target.key(), credentials).await?;
                Ok(helped(&helper, path))
            }
            None => {
                file.insert(target, credentials);
                file.write()?;
                Ok(path.display().to_string())
            }
        }
    }

    /// Removes the target's credentials from every file and helper, and returns those that had some.
    ///
    /// # Errors
    /// When a file cannot be written or a helper fails; the others are changed nevertheless.
    pub async fn erase<'a>(
        &self,
        target: impl Into<CredentialTarget<'a>>,
    ) -> Result<Vec<String>, CredentialsError> {
        let target = target.into();
        let (mut erased, mut problem) = (Vec::new(), None);
        for path in &self.files {
            match erase_in(path, target).await {
                Ok(locations) => erased.extend(locations),
                Err((locations, error)) => {
                    erased.extend(locations);
                    problem.get_or_insert(error);
                }
            }
        }
        problem.map_or(Ok(erased), Err)
    }
}

/// The credentials of a file and of the helper that it names. The helper's come first.
async fn find_in(
    path: &Path,
    target: CredentialTarget<'_>,
    repository: &str,
) -> (Vec<StoredCredentials>, Vec<CredentialsError>) {
    let file = match AuthFile::read(path) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    if let Some(name) = file.helper(target) {
        match find_by_helper(name, path, target).await {
            Ok(credentials) => found.extend(credentials),
            Err(error) => problems.push(error),
        }
    }
    match file.credentials(target, repository) {
        Ok(credentials) => found.extend(credentials.map(|credentials| StoredCredentials {
            credentials,
            location: path.display().to_string(),
        })),
        Err(error) => problems.push(error),
    }
    (found, problems)
}

async fn find_by_helper(
    name: &str,
    path: &Path,
    target: CredentialTarget<'_>,
) -> Result<Option<StoredCredentials>, CredentialsError> {
    let helper = Helper::new(name)?;
    let credentials = helper.find(&target.key()).await?;
    Ok(credentials.map(|credentials| StoredCredentials {
        credentials,
        location: helped(&helper, path),
    }))
}

/// Removes the target's credentials from a file and from the helper that it names. Returns where they
/// were, and the helper's error besides.
async fn erase_in(
    path: &Path,
    target: CredentialTarget<'_>,
) -> Result<Vec<String>, (Vec<String>, CredentialsError)> {
    let mut erased = Vec::new();
    let mut file = AuthFile::read(path).map_err(|error| (Vec::new(), error))?;
    let helped = match file.helper(target) {
        Some(name) => erase_by_helper(name, path, target).await,
        None => Ok(None),
    };
    if file.remove(target) {
        file.write().map_err(|error| (Vec::new(), error))?;
        erased.push(path.display().to_string());
    }
    match helped {
        Ok(location) => {
            erased.extend(location);
            Ok(erased)
        }
        Err(error) => Err((erased, error)),
    }
}

async fn erase_by_helper(
    name: &str,
    path: &Path,
    target: CredentialTarget<'_>,
) -> Result<Option<String>, CredentialsError> {
    let helper = Helper::new(name)?;
    let erased = helper.erase(&target.key()).await?;
    Ok(erased.then(|| helped(&helper, path)))
}

fn helped(helper: &Helper, path: &Path) -> String {
    format!("{} (named in {})", helper.program(), path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Host;

    fn store(directory: &Path) -> CredentialStore {
        CredentialStore {
            files: vec![
                directory.join("docker/config.json"),
                directory.join("podman/auth.json"),
            ],
        }
    }

    fn host() -> Host {
        "r.example".parse().unwrap()
    }

    fn login(user: &str) -> LoginCredentials {
        LoginCredentials::Password {
            user: user.to_owned(),
            password: "p".into(),
        }
    }

    #[test]
    fn the_environment_leads_to_files() {
        let variables = [
            ("HOME", "/h"),
            ("DOCKER_CONFIG", "/d"),
            ("REGISTRY_AUTH_FILE", "/r.json"),
            ("XDG_RUNTIME_DIR", ""),
        ];
        let store = CredentialStore::new(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        });
        let files: Vec<_> = store
            .files()
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(
            files,
            [
                "/r.json",
                "/d/config.json",
                "/h/.config/containers/auth.json"
            ]
        );
        assert!(CredentialStore::new(|_| None).files().is_empty());
    }

    fn user(lookup: &CredentialLookup) -> Option<&str> {
        lookup.found.as_ref()?.credentials.user()
    }

    #[tokio::test]
    async fn the_first_file_decides_and_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (store, host) = (store(directory.path()), host());
        assert!(store.find(&host, "").await.found.is_none());
        let podman = CredentialStore {
            files: vec![store.files()[1].clone()],
        };
        podman.store(&host, &login("podman")).await.unwrap();
        assert_eq!(user(&store.find(&host, "").await), Some("podman"));
        store.store(&host, &login("docker")).await.unwrap();
        let (all, problems) = store.find_all(&host, "").await;
        let users: Vec<_> = all
            .iter()
            .map(|found| found.credentials.user().unwrap())
            .collect();
        assert_eq!((users, problems.len()), (vec!["docker", "podman"], 0));
        assert_eq!(store.erase(&host).await.unwrap().len(), 2);
        assert!(store.erase(&host).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn without_a_file_nothing_can_be_stored() {
        let error = CredentialStore::default()
            .store(&host(), &login("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, CredentialsError::Nowhere));
    }

    /// As docker does: an error is shown, and a public image can still be pulled.
    #[tokio::test]
    async fn what_fails_is_passed_over_and_told() {
        for (content, told, hint) in [
            (
                r#"{"credsStore":"missing"}"#,
                "the credential helper docker-credential-missing cannot be started",
                "install docker-credential-missing, or remove",
            ),
            (
                r#"{"credHelpers":{"r.example":"../x"}}"#,
                "the credential helper docker-credential-../x",
                "remove its name",
            ),
            ("{", "config.json: not JSON", "correct "),
            ("[]", "config.json: not a JSON object", "correct "),
            (
                r#"{"auths":{"r.example":{"auth":"!"}}}"#,
                "is not base64",
                "correct ",
            ),
        ] {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join("docker")).unwrap();
            let (store, host) = (store(directory.path()), host());
            fs::write(&store.files()[0], content).unwrap();
            let lookup = store.find(&host, "").await;
            assert!(lookup.found.is_none(), "{content}");
            let problem = &lookup.problems[0];
            assert!(problem.to_string().contains(told), "{problem}");
            assert!(problem.hint().unwrap().contains(hint), "{problem:?}");

            let podman = CredentialStore {
                files: vec![store.files()[1].clone()],
            };
            podman.store(&host, &login("podman")).await.unwrap();
            let lookup = store.find(&host, "").await;
            assert_eq!((user(&lookup), lookup.problems.len()), (Some("podman"), 1));
        }
    }

    #[tokio::test]
    async fn a_helper_that_fails_does_not_keep_the_file_s_login_from_being_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("docker")).unwrap();
        let (store, host) = (store(directory.path()), host());
        let content = r#"{"credsStore":"missing","auths":{"r.example":{"auth":"YTpi"}}}"#;
        fs::write(&store.files()[0], content).unwrap();
        let found = store.find(&host, "").await;
        assert_eq!((user(&found), found.problems.len()), (Some("a"), 1));
        store.erase(&host).await.unwrap_err();
        assert!(store.find(&host, "").await.found.is_none());
    }
}
