//! What a configuration of either server says about tokens: what both sides must agree on, for the
//! doctor to compare.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::context::{Context, Variables};
use super::yaml::{Node, Value};
use super::{distribution, load};

/// The settings that a registry and its token server must agree on. Paths are as seen from the
/// directory of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenAgreement {
    /// The issuer that a registry wants, or that a token server writes.
    pub(crate) issuer: Option<String>,
    /// The registry's service.
    pub(crate) service: Option<String>,
    /// The registry's bundle.
    pub(crate) bundle: Option<PathBuf>,
    /// The registry's JWKS.
    pub(crate) jwks: Option<PathBuf>,
}

impl TokenAgreement {
    /// Reads Distribution's file with the `REGISTRY_*` variables of this process, docker_auth's or
    /// ours. Only these settings are read; the rest of the file may be wrong. A file that has none
    /// of them is an empty agreement.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        Self::read_with(path, distribution::environment::of_process())
    }

    fn read_with(path: &Path, variables: Variables) -> Result<Self, String> {
        let context = Context::new(path, |name| std::env::var(name).ok(), UNIX_EPOCH);
        let context = context.with_variables(variables);
        let Some(mut root) = load::read_tree(&context, path) else {
            return Err(first_error(context));
        };
        if !matches!(root.value, Value::Mapping(_) | Value::Null) {
            return Err("is not a configuration: it has no sections".to_owned());
        }
        // Without its version it is still a registry's, and told apart by `auth`.
        if distribution::is_distribution(&root) || find(&root, "auth").is_some() {
            root = distribution::translate(&context, root).unwrap_or_else(|| Node {
                value: Value::Null,
                position: Default::default(),
            });
        }
        if let Some(token) = find(&root, "registry.auth.token") {
            let file = |key| {
                let text = find_text(&context, token, key)?;
                Some(path.parent().unwrap_or(Path::new("")).join(text))
            };
            return Ok(Self {
                issuer: find_text(&context, token, "issuer"),
                service: find_text(&context, token, "service"),
                bundle: file("rootcertbundle"),
                jwks: file("jwks"),
            });
        }
        Ok(Self {
            issuer: find_text(&context, &root, "token.issuer"),
            ..Self::default()
        })
    }

    /// Whether there is nothing to compare.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These settings, and those that only `other` has.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            issuer: self.issuer.or(other.issuer),
            service: self.service.or(other.service),
            bundle: self.bundle.or(other.bundle),
            jwks: self.jwks.or(other.jwks),
        }
    }
}

fn first_error(context: Context) -> String {
    let found = context.into_parts().1;
    let first = found.first();
    first.map_or_else(
        || "cannot be read".to_owned(),
        |first| {
            let position = first.location.position;
            format!(
                "line {}, column {}: {}",
                position.line, position.column, first.message
            )
        },
    )
}

/// The value at `path`; of a list of issuers the first.
fn find<'a>(node: &'a Node, path: &str) -> Option<&'a Node> {
    let found = path
        .split('.')
        .try_fold(node, |node, key| match &node.value {
            Value::Mapping(entries) => entries
                .iter()
                .rfind(|entry| entry.key == key)
                .map(|entry| &entry.value),
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => None,
        })?;
    match &found.value {
        Value::Sequence(items) => items.first(),
        _ => Some(found),
    }
}

fn find_text(context: &Context, node: &Node, path: &str) -> Option<String> {
    match &find(node, path)?.value {
        Value::Scalar(scalar) => context
            .expand(scalar.text(), path, node.position)
            .filter(|text| !text.is_empty()),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(text: &str) -> Result<TokenAgreement, String> {
        agreement_with(text, &[])
    }

    fn agreement_with(
        text: &str,
        variables: &[(String, String)],
    ) -> Result<TokenAgreement, String> {
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
        TokenAgreement::read_with(&path, variables.to_vec()).map(|agreement| TokenAgreement {
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
    fn a_file_without_token_settings_is_empty() {
        assert!(agreement("users: {}").unwrap().is_empty());
        assert!(agreement("").unwrap().is_empty());
        assert!(!agreement("token: {issuer: i}").unwrap().is_empty());
        assert!(agreement("a: [").unwrap_err().starts_with("line "));
        assert!(
            agreement("a text")
                .unwrap_err()
                .starts_with("is not a configuration")
        );
    }

    #[test]
    fn variables_complete_a_registry_s_file() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = [
            pair("REGISTRY_AUTH", "token"),
            pair("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
            pair("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
        ];
        let read = agreement_with("version: 0.1\nstorage: filesystem\n", &variables).unwrap();
        assert_eq!(
            (read.issuer.as_deref(), read.service.as_deref()),
            (Some("i"), Some("s"))
        );
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
