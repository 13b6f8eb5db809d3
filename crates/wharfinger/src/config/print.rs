//! The configuration as it is in effect, defaults filled in and passwords left out: `wharfinger
//! check --print`.

use std::fmt::{self, Display, Write};

use ::token::{HeaderMember, KeyIdKind};
use common::{rfc3339, unix_seconds};
use identity::Accounts;
use policy::{AclEntry, Conditions};

use super::{
    Config, ExternalProgram, IssuerKeys, ListenAddress, RegistryAuth, RegistrySettings,
    ServerSettings, SigningKey, TokenIssuer, TokenOptions, TokenSettings,
};
use crate::duration::{print_duration, print_size};
use crate::log::LogFormat;

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut yaml = Yaml {
            text: String::new(),
            indent: 0,
        };
        yaml.section("server", |yaml| server(yaml, &self.server));
        if let Some(token) = &self.token {
            yaml.section("token", |yaml| self::token(yaml, token));
        }
        if let Some(accounts) = &self.users {
            users(&mut yaml, accounts);
        }
        yaml.maybe(
            "users_htpasswd",
            self.htpasswd
                .as_ref()
                .map(|file| quote(file.path.display())),
        );
        if let Some(rules) = &self.acl {
            acl(&mut yaml, &rules.entries);
            yaml.value("acl_quote_labels", rules.quote_labels);
        }
        for (key, program) in [("ext_auth", &self.ext_auth), ("ext_authz", &self.ext_authz)] {
            if let Some(program) = program {
                yaml.section(key, |yaml| process(yaml, program));
            }
        }
        if let Some(tokens) = &self.refresh_tokens {
            yaml.section("refresh_tokens", |yaml| {
                yaml.value("idle", print_duration(tokens.idle));
                yaml.value("absolute", print_duration(tokens.absolute));
                yaml.value("per_user", tokens.per_user);
                yaml.value("recheck_max_age", print_duration(tokens.recheck_max_age));
            });
        }
        yaml.section("login", |yaml| {
            yaml.value("parallel", self.login.parallel);
            yaml.value("remember", print_duration(self.login.remember));
            yaml.value("per_address", self.login.per_address);
            yaml.value("per_account", self.login.per_account);
        });
        if let Some(registry) = &self.registry {
            yaml.section("registry", |yaml| self::registry(yaml, registry));
        }
        if let Some(location) = &self.database {
            let url = quote(location);
            yaml.section("database", |yaml| yaml.value("url", url));
        }
        f.write_str(&yaml.text)
    }
}

/// Lines of YAML.
struct Yaml {
    text: String,
    indent: usize,
}

impl Yaml {
    fn value(&mut self, key: &str, value: impl Display) {
        // Writing to a String does not fail.
        let _ = writeln!(
            self.text,
            "{:indent$}{key}: {value}",
            "",
            indent = self.indent
        );
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    fn section(&mut self, key: &str, write: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.text, "{:indent$}{key}:", "", indent = self.indent);
        self.indent += 2;
        write(self);
        self.indent -= 2;
    }

    /// A list whose items fit on a line each.
    fn items(&mut self, key: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self.value(key, "[]");
        }
        self.section(key, |yaml| {
            for item in items {
                let _ = writeln!(yaml.text, "{:indent$}- {item}", "", indent = yaml.indent);
            }
        });
    }
}

fn server(yaml: &mut Yaml, server: &ServerSettings) {
    yaml.value("addr", list(server.listen.iter().map(quote)));
    if server
        .listen
        .iter()
        .all(|listen| matches!(listen, ListenAddress::Unix(_)))
    {
        yaml.value("net", "unix");
    }
    if let Some(tls) = &server.tls {
        yaml.value("certificate", quote(tls.files.0.display()));
        yaml.value("key", quote(tls.files.1.display()));
        yaml.value("tls_min_version", tls.min_version());
        if tls.min_version() == "TLS12" {
            yaml.value("tls_cipher_suites", list(tls.cipher_suites()));
        }
        yaml.value("tls_curve_preferences", list(tls.curves()));
    }
    yaml.value("path_prefix", quote(&server.path_prefix));
    if let Some(header) = &server.real_ip_header {
        yaml.value("real_ip_header", quote(header));
        yaml.value("real_ip_pos", server.real_ip_pos);
    }
    let proxies = server.trusted_proxies.as_ref();
    yaml.maybe(
        "trusted_proxies",
        proxies.map(|networks| list(networks.iter().map(quote))),
    );
    yaml.maybe(
        "hsts",
        server
            .hsts
            .as_ref()
            .map(|hsts| hsts_mapping(hsts.to_str().unwrap_or_default())),
    );
    yaml.maybe("public_url", server.public_url.as_ref().map(quote));
    yaml.section("limits", |yaml| {
        yaml.value("header", print_size(server.limits.header as u64));
        yaml.value("body", print_size(server.limits.body as u64));
        yaml.value(
            "request_timeout",
            print_duration(server.limits.request_timeout),
        );
        yaml.value("idle_timeout", print_duration(server.limits.idle_timeout));
        yaml.value(
            "shutdown_timeout",
            print_duration(server.limits.shutdown_timeout),
        );
        yaml.value("connections", server.limits.connections);
    });
    let format = match server.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let level = server.log.level.as_str().to_lowercase();
    yaml.section("log", |yaml| {
        yaml.value("level", level);
        yaml.value("format", format);
    });
}

/// The header's value as the setting that makes it.
fn hsts_mapping(value: &str) -> String {
    let age = value
        .split(';')
        .find_map(|part| part.trim().strip_prefix("max-age="))
        .unwrap_or_default();
    let (subdomains, preload) = (
        value.contains("includeSubDomains"),
        value.contains("preload"),
    );
    format!("{{max_age: {age}, include_subdomains: {subdomains}, preload: {preload}}}")
}

fn token(yaml: &mut Yaml, token: &TokenSettings) {
    yaml.value("issuer", quote(&token.issuer));
    yaml.value("expiration", token.options.expiration.as_secs());
    yaml.items("keys", token.keys.iter().map(key));
    header(yaml, &token.options);
    if !token.services.is_empty() {
        yaml.section("services", |yaml| {
            for (name, options) in &token.services {
                yaml.section(&quote(name), |yaml| {
                    header(yaml, options);
                    yaml.value("expiration", options.expiration.as_secs());
                });
            }
        });
    }
    yaml.value("not_before_skew", token.not_before_skew.as_secs());
}

/// A key's files; its own secret stays in them.
fn key(key: &SigningKey) -> String {
    let certificate = key
        .files
        .1
        .as_ref()
        .map(|path| format!(", certificate: {}", quote(path.display())));
    let not_after = key
        .not_after
        .map(|time| format!(", not_after: {}", rfc3339(unix_seconds(time))));
    let (certificate, not_after) = (
        certificate.unwrap_or_default(),
        not_after.unwrap_or_default(),
    );
    format!(
        "{{key: {}{certificate}{not_after}}}",
        quote(key.files.0.display())
    )
}

fn header(yaml: &mut Yaml, options: &TokenOptions) {
    let members = options.header.iter().map(|member| match member {
        HeaderMember::Kid => "kid",
        HeaderMember::Jwk => "jwk",
        HeaderMember::X5c => "x5c",
    });
    yaml.value("header", list(members));
    yaml.value(
        "key_id",
        match options.key_id {
            KeyIdKind::Libtrust => "libtrust",
            KeyIdKind::Thumbprint => "thumbprint",
        },
    );
}

fn users(yaml: &mut Yaml, accounts: &Accounts) {
    if accounts.iter().next().is_none() {
        return yaml.value("users", "{}");
    }
    yaml.section("users", |yaml| {
        for (name, account) in accounts.iter() {
            let mut parts = Vec::new();
            match account.passwords.len() {
                0 => {}
                1 => parts.push("password: (hidden)".to_owned()),
                several => parts.push(format!("password: {}", list(vec!["(hidden)"; several]))),
            }
            if !account.labels.is_empty() {
                let labels = account.labels.iter().map(|(name, values)| {
                    format!("{}: {}", quote(name), list(values.iter().map(quote)))
                });
                parts.push(format!(
                    "labels: {{{}}}",
                    labels.collect::<Vec<_>>().join(", ")
                ));
            }
            yaml.value(&quote(name), format_args!("{{{}}}", parts.join(", ")));
        }
    });
}

fn acl(yaml: &mut Yaml, entries: &[AclEntry]) {
    yaml.items(
        "acl",
        entries.iter().map(|entry| {
            let comment = entry
                .comment
                .as_ref()
                .map(|comment| format!(", comment: {}", quote(comment)));
            let actions = list(entry.actions.iter().map(quote));
            format!(
                "{{match: {}, actions: {actions}{}}}",
                conditions(&entry.conditions),
                comment.unwrap_or_default()
            )
        }),
    );
}

fn conditions(on: &Conditions) -> String {
    let texts = [
        ("account", &on.account),
        ("type", &on.resource_type),
        ("name", &on.name),
        ("service", &on.service),
        ("ip", &on.ip),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(key, pattern)| Some(format!("{key}: {}", quote(pattern.as_ref()?))));
    let mut parts: Vec<_> = texts.collect();
    if !on.labels.is_empty() {
        let labels = on
            .labels
            .iter()
            .map(|(name, pattern)| format!("{}: {}", quote(name), quote(pattern)));
        parts.push(format!(
            "labels: {{{}}}",
            labels.collect::<Vec<_>>().join(", ")
        ));
    }
    format!("{{{}}}", parts.join(", "))
}

fn process(yaml: &mut Yaml, process: &ExternalProgram) {
    yaml.value("command", quote(process.command.display()));
    yaml.value("args", list(process.args.iter().map(quote)));
    yaml.value("timeout", print_duration(process.timeout));
    yaml.value("concurrency", process.concurrency);
}

fn registry(yaml: &mut Yaml, registry: &RegistrySettings) {
    yaml.value(
        "addr",
        registry
            .listen
            .as_ref()
            .map_or_else(|| "same".to_owned(), quote),
    );
    yaml.section("storage", |yaml| {
        yaml.section("filesystem", |yaml| {
            yaml.value("root", quote(registry.root.display()));
        });
        yaml.value("delete", registry.delete);
        yaml.value(
            "maintenance",
            format_args!("{{readonly: {}}}", registry.read_only),
        );
    });
    yaml.section("auth", |yaml| match &registry.auth {
        RegistryAuth::Open => yaml.value("none", true),
        RegistryAuth::Htpasswd { realm, file } => {
            yaml.value(
                "htpasswd",
                format_args!(
                    "{{realm: {}, path: {}}}",
                    quote(realm),
                    quote(file.path.display())
                ),
            );
        }
        RegistryAuth::Token(issuers) => yaml.items("token", issuers.iter().map(issuer)),
    });
    yaml.value(
        "catalog",
        format_args!(
            "{{filter: {}, max: {}}}",
            registry.catalog.filter, registry.catalog.max
        ),
    );
    yaml.value(
        "uploads",
        format_args!("{{expire: {}}}", print_duration(registry.upload_expiry)),
    );
    yaml.section("gc", |yaml| {
        let gc = &registry.collection;
        yaml.value(
            "schedule",
            gc.every.map_or_else(|| "off".to_owned(), print_duration),
        );
        yaml.value("grace", print_duration(gc.grace));
        yaml.value(
            "untagged",
            gc.untagged
                .map_or_else(|| "keep".to_owned(), print_duration),
        );
    });
    yaml.section("limits", |yaml| {
        yaml.value("manifest", print_size(registry.limits.manifest as u64));
        yaml.value(
            "blob",
            registry
                .limits
                .blob
                .map_or_else(|| "none".to_owned(), print_size),
        );
        yaml.value("uploads_per_client", registry.limits.uploads_per_client);
    });
    let headers = registry.headers.keys().map(|name| {
        let values = registry
            .headers
            .get_all(name)
            .iter()
            .map(|value| quote(String::from_utf8_lossy(value.as_bytes())));
        format!("{}: {}", quote(name), list(values))
    });
    yaml.value(
        "headers",
        format_args!("{{{}}}", headers.collect::<Vec<_>>().join(", ")),
    );
    yaml.value("relative_urls", registry.relative_urls);
}

fn issuer(issuer: &TokenIssuer) -> String {
    let mut parts = vec![format!("service: {}", quote(&issuer.service))];
    parts.extend(
        issuer
            .realm
            .as_ref()
            .map(|realm| format!("realm: {}", quote(realm))),
    );
    if let IssuerKeys::Other {
        issuer, url, paths, ..
    } = &issuer.trust
    {
        parts.push(format!("issuer: {}", quote(issuer)));
        parts.extend(
            paths
                .0
                .as_ref()
                .map(|path| format!("rootcertbundle: {}", quote(path.display()))),
        );
        parts.extend(
            paths
                .1
                .as_ref()
                .map(|path| format!("jwks: {}", quote(path.display()))),
        );
        parts.extend(url.as_ref().map(|url| format!("jwks: {}", quote(url))));
    }
    format!("{{{}}}", parts.join(", "))
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(", "))
}

/// A text in double quotes, which JSON and YAML write alike.
fn quote(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}
