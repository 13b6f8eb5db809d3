//! What is printed of a new secret: the secret, once, and the lines that use it.

use std::time::SystemTime;

use api::{CreatedTokenView, TokenSecretView};
use common::{escape_line, parse_date};
use data_encoding::BASE64;
use serde_json::json;

use super::listing::log_name;
use crate::output;
use crate::when::relative_date;

/// The secret alone on its line, and lines to copy.
pub(super) fn created(created: &CreatedTokenView, registry: &str, now: SystemTime) -> String {
    // A server may have sent any text.
    let shown = |text: &str| escape_line(text).into_owned();
    let (token, secret) = (&created.token, shown(&created.secret));
    let (account, registry) = (shown(&token.account), shown(registry));
    let (account, secret, registry) = (account.as_str(), secret.as_str(), registry.as_str());
    let pull_secret = pull_secret(account, secret, registry);
    let mut secrets = token.secrets.iter();
    let end = secrets.next().map_or_else(String::new, |new| end(new, now));
    let mut secrets = secrets.filter(|old| parse_date(&old.expires_at).is_ok_and(|end| end > now));
    let old = secrets.next();
    let old = old.map_or_else(String::new, |old| {
        format!("The old secret is valid until {}.\n", self::end(old, now))
    });
    format!(
        "{secret}\n\
         \n\
         This is the secret of {name} (id {id}), valid until {end}.\n\
         {old}It is shown only now: nothing stores it.\n\
         \n\
         Log in (docker, podman, skopeo and crane take the same):\n\
         \n  printf %s {secret_word} | docker login {registry_word} -u {account_word} --password-stdin\n\
         \n\
         Kubernetes, as imagePullSecrets: [{{name: {resource}}}] of a pod or a service account:\n\
         \n{pull_secret}\
         \n\
         GitHub Actions, with the secret stored as REGISTRY_TOKEN:\n\
         \n  - uses: docker/login-action@v3\n    with: {{registry: {registry_text}, username: {account_text}, password: \"${{{{ secrets.REGISTRY_TOKEN }}}}\"}}\n\
         \n\
         GitLab CI, with the secret stored as the masked variable REGISTRY_TOKEN:\n\
         \n  before_script:\n    - printf %s \"$REGISTRY_TOKEN\" | docker login {registry_word} -u {account_word} --password-stdin\n",
        name = shown(&log_name(token)),
        id = shown(&token.id),
        resource = resource_name(account),
        secret_word = shell_word(secret),
        account_word = shell_word(account),
        registry_word = match is_plain_host(registry) {
            true => registry.to_owned(),
            false => shell_word(registry),
        },
        registry_text = match is_plain_host(registry) {
            true => registry.to_owned(),
            false => json!(registry).to_string(),
        },
        account_text = json!(account),
    )
}

/// A text as one word of a shell's command line (POSIX, Shell Command Language, §2.2.2).
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether a host needs no quotes, neither in a command line nor in YAML.
fn is_plain_host(host: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    !host.starts_with('-') && host.bytes().all(is_plain)
}

/// The same for programs.
pub(super) fn json(created: &CreatedTokenView) -> String {
    let token = &created.token;
    let value = json!({
        "id": token.id,
        "account": token.account,
        "name": token.name,
        "secret": created.secret,
        "expires_at": token.secrets.first().map(|secret| &secret.expires_at),
    });
    output::json(&value)
}

fn end(secret: &TokenSecretView, now: SystemTime) -> String {
    let end = &secret.expires_at;
    escape_line(&format!("{end} ({})", relative_date(end, now))).into_owned()
}

/// A Kubernetes secret (`kubernetes.io/dockerconfigjson`).
fn pull_secret(account: &str, secret: &str, registry: &str) -> String {
    let auth = BASE64.encode(format!("{account}:{secret}").as_bytes());
    let config = json!({"auths": {registry: {"auth": auth}}}).to_string();
    let config = BASE64.encode(config.as_bytes());
    format!(
        "  apiVersion: v1\n  kind: Secret\n  metadata: {{name: {name}}}\n  type: kubernetes.io/dockerconfigjson\n  data: {{.dockerconfigjson: {config}}}\n",
        name = resource_name(account)
    )
}

/// A name of a Kubernetes object (RFC 1123) for an account.
fn resource_name(account: &str) -> String {
    let name = account.to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    format!("pull-{}", name.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_word() {
        assert_eq!(shell_word("robot+ci"), "'robot+ci'");
        assert_eq!(shell_word("o'; id; '"), r"'o'\''; id; '\'''");
        assert!(is_plain_host("registry.example.com:5000"));
        for host in ["-x", "a b", "$(id)", "a'b", "a\"b"] {
            assert!(!is_plain_host(host), "{host}");
        }
    }
}
