//! The file of shared credentials (`~/.aws/credentials`), as AWS's tools write it.
//!
//! `object_store` does not read it. A tool that rotates the key writes the file again, so it is read
//! again from time to time.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::Secret;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::time::Instant;

/// How long a key counts before the file is read again.
const AGE: Duration = Duration::from_secs(30);
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The key of one profile.
#[derive(Debug)]
pub(crate) struct SharedCredentials {
    file: PathBuf,
    profile: String,
    known: Mutex<KnownKey>,
}

#[derive(Debug)]
struct KnownKey {
    credential: Arc<AwsCredential>,
    read_at: Instant,
}

impl SharedCredentials {
    /// The key that these variables name, unless one of them says otherwise. AWS's libraries look for
    /// variables with a key first, then for a web identity, then for the file.
    ///
    /// # Errors
    /// If a variable names a profile that the file does not have.
    pub(crate) fn find(variables: &[(String, Secret)]) -> object_store::Result<Option<Self>> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.expose())
        };
        let has_other = find("AWS_ACCESS_KEY_ID").is_some()
            || (find("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && find("AWS_ROLE_ARN").is_some());
        let Some(file) = find("AWS_SHARED_CREDENTIALS_FILE").filter(|_| !has_other) else {
            return Ok(None);
        };
        let named = find("AWS_PROFILE");
        let profile = named.unwrap_or("default");
        match read(Path::new(file), profile) {
            Ok(credential) => Ok(Some(Self {
                file: PathBuf::from(file),
                profile: profile.to_owned(),
                known: Mutex::new(KnownKey::new(credential)),
            })),
            Err(message) if named.is_some() => Err(object_store::Error::Generic {
                store: "S3",
                source: message.into(),
            }),
            Err(_) => Ok(None),
        }
    }

    fn current(&self) -> Arc<AwsCredential> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read_at.elapsed() >= AGE {
            match read(&self.file, &self.profile) {
                Ok(credential) if credential == *known.credential => {
                    *known = KnownKey::again(Arc::clone(&known.credential));
                }
                Ok(credential) => *known = KnownKey::new(credential),
                Err(message) => {
                    tracing::warn!("{message}: the key that was read before is used");
                    *known = KnownKey::again(Arc::clone(&known.credential));
                }
            }
        }
        Arc::clone(&known.credential)
    }
}

impl KnownKey {
    fn new(credential: AwsCredential) -> Self {
        Self::again(Arc::new(credential))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the age of what was read on the runtime's timer"
    )]
    fn again(credential: Arc<AwsCredential>) -> Self {
        Self {
            credential,
            read_at: Instant::now(),
        }
    }
}

// Written as the crate `async-trait` would, which nothing else here needs.
impl CredentialProvider for SharedCredentials {
    type Credential = AwsCredential;

    fn get_credential<'s, 'f>(
        &'s self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(std::future::ready(Ok(self.current())))
    }
}

/// The key of a profile, or a sentence without any content of the file.
fn read(file: &Path, profile: &str) -> Result<AwsCredential, String> {
    let failed = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", file.display());
    let size = std::fs::metadata(file)
        .map_err(|error| failed(&error))?
        .len();
    if size > LARGEST {
        return Err(failed(&"it is larger than 1 MiB"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    parse(&text, profile).ok_or_else(|| {
        format!(
            "{} has no profile `{}` with aws_access_key_id and aws_secret_access_key",
            file.display(),
            common::escape_line(profile)
        )
    })
}

fn parse(text: &str, profile: &str) -> Option<AwsCredential> {
    let (mut is_inside, mut key_id, mut secret_key, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default().trim();
            is_inside = name == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_inside) else {
            continue;
        };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret_key = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(AwsCredential {
        key_id: key_id?,
        secret_key: secret_key?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key=one\n\
        [ ci ]\naws_access_key_id=TEMPORARY\naws_secret_access_key=two\naws_session_token=three\n[half]\naws_access_key_id=x\n";

    #[test]
    fn a_profile_has_its_own_key() {
        let default = parse(FILE, "default").unwrap();
        assert_eq!(
            (
                default.key_id.as_str(),
                default.secret_key.as_str(),
                default.token
            ),
            ("AKIDEXAMPLE", "one", None)
        );
        let ci = parse(FILE, "ci").unwrap();
        assert_eq!(ci.token.as_deref(), Some("three"));
        assert!(parse(FILE, "half").is_none() && parse(FILE, "other").is_none());
    }

    #[tokio::test]
    async fn variables_say_where_it_is_and_whether_it_counts() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("credentials");
        std::fs::write(&file, FILE).unwrap();
        let file = file.display().to_string();
        let find = |more: &[(&str, &str)]| {
            let mut all = vec![("AWS_SHARED_CREDENTIALS_FILE", file.as_str())];
            all.extend(more);
            let all = all.into_iter();
            let all: Vec<_> = all
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            SharedCredentials::find(&all)
        };
        assert_eq!(find(&[]).unwrap().unwrap().current().key_id, "AKIDEXAMPLE");
        let ci = find(&[("AWS_PROFILE", "ci")]).unwrap().unwrap();
        assert_eq!(ci.current().key_id, "TEMPORARY");
        assert!(find(&[("AWS_ACCESS_KEY_ID", "a")]).unwrap().is_none());
        let message = find(&[("AWS_PROFILE", "other")]).unwrap_err().to_string();
        assert!(
            message.contains("no profile `other`") && !message.contains("one"),
            "{message}"
        );
    }
}
