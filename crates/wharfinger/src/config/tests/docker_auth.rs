//! A walk over every key of docker_auth: each has an effect here, or is refused by name.

use super::fixture::Fixture;
use crate::config::schema::{self, Dialect};

/// docker_auth's keys, as its annotated example has them. Names that the operator chooses are left
/// out of the paths.
const KEYS: &[&str] = &[
    "server.addr",
    "server.net",
    "server.path_prefix",
    "server.certificate",
    "server.key",
    "server.hsts",
    "server.tls_min_version",
    "server.tls_curve_preferences",
    "server.tls_cipher_suites",
    "server.letsencrypt.email",
    "server.letsencrypt.cache_dir",
    "server.letsencrypt.host",
    "server.real_ip_header",
    "server.real_ip_pos",
    "token.issuer",
    "token.expiration",
    "token.certificate",
    "token.key",
    "token.disable_legacy_key_id",
    "users.password",
    "users.labels",
    "google_auth.domain",
    "google_auth.client_id",
    "google_auth.client_secret",
    "google_auth.client_secret_file",
    "google_auth.level_token_db.path",
    "google_auth.level_token_db.token_hash_cost",
    "google_auth.http_timeout",
    "github_auth.organization",
    "github_auth.client_id",
    "github_auth.client_secret",
    "github_auth.client_secret_file",
    "github_auth.level_token_db.path",
    "github_auth.gcs_token_db.bucket",
    "github_auth.gcs_token_db.client_secret_file",
    "github_auth.redis_token_db.redis_options.addr",
    "github_auth.redis_token_db.redis_cluster_options.addrs",
    "github_auth.http_timeout",
    "github_auth.revalidate_after",
    "github_auth.github_web_uri",
    "github_auth.github_api_uri",
    "github_auth.registry_url",
    "oidc_auth.issuer",
    "oidc_auth.redirect_url",
    "oidc_auth.client_id",
    "oidc_auth.client_secret",
    "oidc_auth.client_secret_file",
    "oidc_auth.level_token_db.path",
    "oidc_auth.http_timeout",
    "oidc_auth.registry_url",
    "oidc_auth.user_claim",
    "oidc_auth.label_claims",
    "oidc_auth.scopes",
    "gitlab_auth.client_id",
    "gitlab_auth.gitlab_web_uri",
    "gitlab_auth.grant_type",
    "gitlab_auth.redirect_uri",
    "ldap_auth.addr",
    "ldap_auth.tls",
    "ldap_auth.insecure_tls_skip_verify",
    "ldap_auth.ca_certificate",
    "ldap_auth.bind_dn",
    "ldap_auth.bind_password_file",
    "ldap_auth.base",
    "ldap_auth.filter",
    "ldap_auth.labels",
    "mongo_auth.dial_info.addrs",
    "mongo_auth.collection",
    "xorm_auth.database_type",
    "xorm_auth.conn_string",
    "ext_auth.command",
    "ext_auth.args",
    "plugin_authn.plugin_path",
    "acl.match.account",
    "acl.match.type",
    "acl.match.name",
    "acl.match.service",
    "acl.match.ip",
    "acl.match.labels",
    "acl.actions",
    "acl.comment",
    "acl_mongo.dial_info.addrs",
    "acl_mongo.cache_ttl",
    "acl_xorm.database_type",
    "acl_xorm.cache_ttl",
    "casbin_authz.model_path",
    "casbin_authz.policy_path",
    "ext_authz.command",
    "ext_authz.args",
    "plugin_authz.plugin_path",
];

#[test]
fn every_key_has_an_effect_or_is_refused_by_name() {
    let declarations = schema::of_configuration();
    let (mut read, mut refused) = (Vec::new(), Vec::new());
    schema::walk(&declarations, &mut |path, key| {
        let is_theirs = key.dialect == Dialect::DockerAuth;
        if is_theirs && key.later {
            refused.push(path.to_owned());
        } else if is_theirs {
            read.push(path.to_owned());
            read.extend(key.from_file.then(|| format!("{path}_file")));
        }
    });
    let fixture = Fixture::new();
    for key in KEYS {
        let refused = refused.iter().find(|section| {
            key.strip_prefix(section.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        });
        let Some(section) = refused else {
            // Most texts may come from a file.
            let in_file = key.strip_suffix("_file");
            let is_read = |path: &String| path == key || Some(path.as_str()) == in_file;
            assert!(read.iter().any(is_read), "{key} is unknown");
            continue;
        };
        // A file with the key alone names its section.
        let depth = key.split('.').count();
        let mut file = key.replace('.', ": {") + ": x" + &"}".repeat(depth - 1);
        if section.starts_with("server.") {
            file = file.replacen("server: {", "server: {addr: \":1\", ", 1)
                + "\n@token\n@users\n@acl\n";
        } else {
            file += "\n@server\n@token\n@users\n@acl\n";
        }
        let found = fixture.findings(&file);
        let is_named = ["error: {}: ", "warning: {}: no effect"]
            .map(|said| said.replace("{}", section))
            .iter()
            .any(|said| found.contains(said));
        assert!(is_named, "{file}\n{found}");
    }
}

/// What is read is in effect: each key of the example, set alone, is printed.
#[test]
fn every_key_that_is_set_is_in_effect() {
    let fixture = Fixture::new();
    let everything = fixture.load(include_str!("everything.yml")).unwrap();
    let printed = everything.effective.to_string();
    schema::walk(&schema::of_configuration(), &mut |path, key| {
        // The first pair of `token` is printed as the first of `keys`, the word for `key_id` as that.
        let elsewhere = [
            "token.key",
            "token.certificate",
            "token.disable_legacy_key_id",
            "oidc_auth.labels_claims",
        ];
        // In files of their own.
        let apart = [
            "database.look",
            "registry.auth.htpasswd",
            "registry.auth.none",
            "registry.storage.redirect",
            "registry.storage.s3",
            "server.letsencrypt",
            "server.net",
            "sql_auth",
            "acl_sql",
        ];
        let is_apart = apart.iter().any(|section| path.starts_with(section));
        if key.later || is_apart || elsewhere.contains(&path) {
            return;
        }
        assert!(
            printed.contains(&format!("{}: ", key.name))
                || printed.contains(&format!("{}:\n", key.name)),
            "{path} is not in\n{printed}"
        );
    });
}
