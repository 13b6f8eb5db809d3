//! What is printed of a new secret: the secret, once, and the lines that use it.

use std::time::SystemTime;

use common::{rfc3339, unix_seconds};
use data_encoding::BASE64;
use personal_tokens::{CreatedSecret, TokenSecret};
use serde_json::json;

use crate::output;
use crate::when::relative;

/// The secret alone on its line, and lines to copy.
pub(super) fn created(created: &CreatedSecret, registry: &str, now: SystemTime) -> String {
    let (token, secret) = (&created.token, created.secret.expose());
    let account = token.account();
    let pull_secret = pull_secret(account, secret, registry);
    let mut secrets = token.secrets.iter();
    let end = secrets.next().map_or_else(String::new, |new| end(new, now));
    let old = secrets.find(|old| old.expires_at > now);
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
         \n  printf %s '{secret}' | docker login {registry} -u '{account}' --password-stdin\n\
         \n\
         Kubernetes, as imagePullSecrets: [{{name: {resource}}}] of a pod or a service account:\n\
         \n{pull_secret}\
         \n\
         GitHub Actions, with the secret stored as REGISTRY_TOKEN:\n\
         \n  - uses: docker/login-action@v3\n    with: {{registry: {registry}, username: \"{account}\", password: \"${{{{ secrets.REGISTRY_TOKEN }}}}\"}}\n\
         \n\
         GitLab CI, with the secret stored as the masked variable REGISTRY_TOKEN:\n\
         \n  before_script:\n    - printf %s \"$REGISTRY_TOKEN\" | docker login {registry} -u '{account}' --password-stdin\n",
        name = token.log_name(),
        id = token.id,
        resource = resource_name(account),
    )
}

/// The same for programs.
pub(super) fn json(created: &CreatedSecret) -> String {
    let token = &created.token;
    let end = token
        .secrets
        .first()
        .map(|secret| rfc3339(unix_seconds(secret.expires_at)));
    let value = json!({
        "id": token.id,
        "account": token.account(),
        "name": token.name.as_str(),
        "secret": created.secret.expose(),
        "expires_at": end,
    });
    output::json(&value)
}

fn end(secret: &TokenSecret, now: SystemTime) -> String {
    let end = unix_seconds(secret.expires_at);
    format!("{} ({})", rfc3339(end), relative(end, unix_seconds(now)))
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
