//! What a configuration of either server says about tokens: enough for the doctor to compare both
//! agreement.

use std::path::{Path, PathBuf};

use super::context::read_bounded;
use super::yaml::{Node, Position, Value, read};

/// What the doctor takes from a file. Paths are as seen from the directory of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenAgreement {
    /// The issuer that a registry wants, or that a token server writes.
    pub(crate) issuer: Option<String>,
    /// The service that a registry is.
    pub(crate) service: Option<String>,
    /// The registry's bundle.
    pub(crate) bundle: Option<PathBuf>,
    /// The registry's JWKS.
    pub(crate) jwks: Option<PathBuf>,
}

/// Where a registry's part lies: in Distribution's file, and in ours.
const REGISTRY: [&[&str]; 2] = [&["auth", "token"], &["registry", "auth", "token"]];

impl TokenAgreement {
    /// Reads Distribution's file, docker_auth's or ours.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = read_bounded(path).map_err(|error| error.to_string())?;
        let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
        let (root, problems) = read(&text);
        if let Some(problem) = problems.first() {
            let Position { line, column } = problem.position;
            return Err(format!("line {line}, column {column}: {}", problem.message));
        }
        let root = root.ok_or("is empty")?;
        if let Some(token) = REGISTRY.iter().find_map(|keys| find(&root, keys)) {
            let file = |key| {
                find_text(token, key).map(|file| path.parent().unwrap_or(Path::new("")).join(file))
            };
            return Ok(Self {
                issuer: find_text(token, "issuer"),
                service: find_text(token, "service"),
                bundle: file("rootcertbundle"),
                jwks: file("jwks"),
            });
        }
        match find(&root, &["token"]).and_then(|token| find_text(token, "issuer")) {
            Some(issuer) => Ok(Self { issuer: Some(issuer), ..Self::default() }),
            None => {
                Err("says nothing of tokens: neither auth.token (a registry's) nor token (a token server's)".to_owned())
            }
        }
    }

    /// These, and what only `other` says.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            issuer: self.issuer.or(other.issuer),
            service: self.service.or(other.service),
            bundle: self.bundle.or(other.bundle),
            jwks: self.jwks.or(other.jwks),
        }
    }
}

fn find<'a>(node: &'a Node, keys: &[&str]) -> Option<&'a Node> {
    keys.iter().try_fold(node, |node, key| match &node.value {
        Value::Mapping(entries) => entries
            .iter()
            .rfind(|entry| entry.key == *key)
            .map(|entry| &entry.value),
        _ => None,
    })
}

fn find_text(node: &Node, key: &str) -> Option<String> {
    match &find(node, &[key])?.value {
        Value::Scalar(scalar) => Some(scalar.text().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(text: &str) -> Result<TokenAgreement, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        let plain = |path: Option<PathBuf>| {
            path.map(|path| {
                path.strip_prefix(directory.path())
                    .unwrap_or(&path)
                    .to_owned()
            })
        };
        TokenAgreement::read(&path).map(|agreement| TokenAgreement {
            bundle: plain(agreement.bundle),
            jwks: plain(agreement.jwks),
            ..agreement
        })
    }

    #[test]
    fn a_registry_s_file_and_a_token_server_s() {
        let distribution = "version: 0.1\nauth:\n  token: {realm: x, service: s, issuer: i, rootcertbundle: /a/b.pem}\n";
        let ours = "registry: {auth: {token: {service: s, issuer: i, jwks: keys.json}}}\ntoken: {issuer: other}\n";
        let expected = TokenAgreement {
            issuer: Some("i".into()),
            service: Some("s".into()),
            ..TokenAgreement::default()
        };
        assert_eq!(
            agreement(distribution),
            Ok(TokenAgreement {
                bundle: Some("/a/b.pem".into()),
                ..expected.clone()
            })
        );
        assert_eq!(
            agreement(ours),
            Ok(TokenAgreement {
                jwks: Some("keys.json".into()),
                ..expected
            })
        );
        assert_eq!(
            agreement("token: {issuer: Acme}")
                .unwrap()
                .issuer
                .as_deref(),
            Some("Acme")
        );
    }

    #[test]
    fn what_says_nothing_is_said_to() {
        assert!(
            agreement("users: {}")
                .unwrap_err()
                .starts_with("says nothing of tokens")
        );
        assert!(agreement("a: [").unwrap_err().starts_with("line "));
        assert!(agreement("").is_err());
    }

    #[test]
    fn the_first_file_counts_more() {
        let both = agreement("token: {issuer: a}")
            .unwrap()
            .or(agreement("auth: {token: {issuer: b, service: s}}").unwrap());
        assert_eq!(
            (both.issuer.as_deref(), both.service.as_deref()),
            (Some("a"), Some("s"))
        );
    }
}
