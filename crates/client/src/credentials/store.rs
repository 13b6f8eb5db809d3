//! Where credentials are looked for, in which order, and where they are put.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file::AuthFile;
use super::helper::Helper;
use super::{Credentials, CredentialsError};
use crate::Host;

/// The files that may know credentials, first the one that decides and is written.
#[derive(Clone, Debug, Default)]
pub struct CredentialStore {
    files: Vec<PathBuf>,
}

/// Credentials, and where they were found.
#[derive(Clone, Debug)]
pub struct StoredCredentials {
    /// The credentials.
    pub credentials: Credentials,
    /// The file, or the helper and the file that names it, in words.
    pub place: String,
}

impl CredentialStore {
    /// The places that this environment leads to: `REGISTRY_AUTH_FILE`, then docker's `config.json`
    /// (`DOCKER_CONFIG`, else in the home directory), then podman's `auth.json`.
    ///
    /// ```
    /// let places = client::CredentialStore::new(|name| (name == "HOME").then(|| "/home/ann".into()));
    /// assert_eq!(places.files()[0].to_str(), Some("/home/ann/.docker/config.json"));
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

    /// The files, in the order in which they are asked.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The credentials for `host` and, where a file has such, for the repository `path` there.
    ///
    /// # Errors
    /// When a file cannot be read or a helper fails: nobody should be anonymous by accident.
    pub async fn find(
        &self,
        host: &Host,
        path: &str,
    ) -> Result<Option<StoredCredentials>, CredentialsError> {
        for file in &self.files {
            if let Some(found) = find_in(file, host, path).await?.into_iter().next() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// All that is known for `host` in every place, the one that counts first; what fails is handed
    /// back beside.
    pub async fn find_all(
        &self,
        host: &Host,
        path: &str,
    ) -> Vec<Result<StoredCredentials, CredentialsError>> {
        let mut all = Vec::new();
        for file in &self.files {
            match find_in(file, host, path).await {
                Ok(found) => all.extend(found.into_iter().map(Ok)),
                Err(error) => all.push(Err(error)),
            }
        }
        all
    }

    /// Keeps credentials in the first place, or in the helper that it names, and says where that
    /// is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn store(
        &self,
        host: &Host,
        credentials: &Credentials,
    ) -> Result<String, CredentialsError> {
        let path = self.files.first().ok_or(CredentialsError::Nowhere)?;
        let mut file = AuthFile::read(path)?;
        match file.helper(host) {
            Some(name) => {
                let helper = Helper::new(name)?;
                helper.store(&AuthFile::key(host), credentials).await?;
                Ok(helped(&helper, path))
            }
            None => {
                file.insert(host, credentials);
                file.write()?;
                Ok(path.display().to_string())
            }
        }
    }

    /// Forgets the host's credentials in every place, and says which had some.
    ///
    /// # Errors
    /// When a place cannot be written.
    pub async fn erase(&self, host: &Host) -> Result<Vec<String>, CredentialsError> {
        let mut erased = Vec::new();
        for path in &self.files {
            let mut file = AuthFile::read(path)?;
            if let Some(name) = file.helper(host) {
                let helper = Helper::new(name)?;
                if helper.erase(&AuthFile::key(host)).await? {
                    erased.push(helped(&helper, path));
                }
            }
            if file.remove(host) {
                file.write()?;
                erased.push(path.display().to_string());
            }
        }
        Ok(erased)
    }
}

/// What a file and the helper that it names know: the helper's word counts before the file's.
async fn find_in(
    path: &Path,
    host: &Host,
    repository: &str,
) -> Result<Vec<StoredCredentials>, CredentialsError> {
    let file = AuthFile::read(path)?;
    let mut found = Vec::new();
    if let Some(name) = file.helper(host) {
        let helper = Helper::new(name)?;
        let credentials = helper.find(&AuthFile::key(host)).await?;
        found.extend(credentials.map(|credentials| StoredCredentials {
            credentials,
            place: helped(&helper, path),
        }));
    }
    let credentials = file.credentials(host, repository)?;
    found.extend(credentials.map(|credentials| StoredCredentials {
        credentials,
        place: path.display().to_string(),
    }));
    Ok(found)
}

fn helped(helper: &Helper, path: &Path) -> String {
    format!("{} (named in {})", helper.program(), path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn places(directory: &Path) -> CredentialStore {
        CredentialStore {
            files: vec![
                directory.join("docker/config.json"),
                directory.join("podman/auth.json"),
            ],
        }
    }

    fn login(user: &str) -> Credentials {
        Credentials::Password {
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
        let places = CredentialStore::new(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.into())
        });
        let files: Vec<_> = places
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

    #[tokio::test]
    async fn the_first_place_decides_and_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (places, host) = (places(directory.path()), "r.example".parse().unwrap());
        assert!(places.find(&host, "").await.unwrap().is_none());
        let podman = CredentialStore {
            files: vec![places.files()[1].clone()],
        };
        podman.store(&host, &login("podman")).await.unwrap();
        assert_eq!(
            places
                .find(&host, "")
                .await
                .unwrap()
                .unwrap()
                .credentials
                .user(),
            Some("podman")
        );
        places.store(&host, &login("docker")).await.unwrap();
        let all = places.find_all(&host, "").await;
        let users: Vec<_> = all
            .iter()
            .map(|found| found.as_ref().unwrap().credentials.user().unwrap())
            .collect();
        assert_eq!(users, ["docker", "podman"]);
        assert_eq!(places.erase(&host).await.unwrap().len(), 2);
        assert!(places.erase(&host).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn nowhere_to_keep_them_is_said() {
        let error = CredentialStore::default()
            .store(&"r.example".parse().unwrap(), &login("a"))
            .await
            .unwrap_err();
        assert!(matches!(error, CredentialsError::Nowhere));
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_no_silent_anonymity() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("docker")).unwrap();
        let places = places(directory.path());
        fs::write(&places.files()[0], r#"{"credsStore":"of-nobody"}"#).unwrap();
        let error = places
            .find(&"r.example".parse().unwrap(), "")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error
                .starts_with("the credential helper docker-credential-of-nobody cannot be started"),
            "{error}"
        );
        fs::write(&places.files()[0], r#"{"credsStore":"../x"}"#).unwrap();
        let error = places
            .find(&"r.example".parse().unwrap(), "")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("has a name that no program can have"),
            "{error}"
        );
    }
}
