//! Every key of Distribution 2 and 3, and what becomes of it here.
//!
//! A key is translated into one of ours, has no effect and says why, or is refused with what to
//! write instead. The same rows say which keys a file may have, which variables `REGISTRY_*` are
//! settings, and what a key of ours is called in such a file.

use super::translation::{Effect, Row, row};
use super::{auth, http, notifications, other, storage};

use Effect::{Above, By, Ineffective, Refused, Switch, Text, Whole};

const ELSEWHERE: &str = "content cannot be stored there yet; write storage: {filesystem: {rootdirectory: DIRECTORY}}, or storage: {s3: {bucket: NAME}}";

const GOOGLE: &str = "Google's own protocol is not supported; create an HMAC key, and write storage: {s3: {bucket: NAME, regionendpoint: https://storage.googleapis.com, region: auto, accesskey: ID, secretkey: KEY}}";

pub(super) static ROWS: &[Row] = &[
    row("version", By(other::read_version)),
    // The log.
    row("log.level", By(other::read_level)).becomes("server.log.level"),
    row("loglevel", By(other::read_old_level)),
    row("log.formatter", By(other::read_formatter)).becomes("server.log.format"),
    row(
        "log.fields",
        Ineffective("log lines have fields of their own"),
    )
    .with("*")
    .stock("{service: registry}"),
    row(
        "log.hooks",
        Ineffective("the log goes to standard error only"),
    )
    .with("*"),
    row("log.accesslog.disabled", By(other::read_access_log)).becomes("server.log.access"),
    row(
        "log.reportcaller",
        Ineffective("lines name the part of the program that they come from"),
    ),
    // Storage.
    row("storage", By(storage::read)),
    row("storage.filesystem", Above),
    row("storage.filesystem.rootdirectory", Text).becomes("registry.storage.filesystem.root"),
    row(
        "storage.filesystem.maxthreads",
        Ineffective("as many threads run as there is work for"),
    ),
    row("storage.delete.enabled", By(storage::read_delete)).becomes("registry.storage.delete"),
    row("storage.redirect.disable", By(storage::read_redirect))
        .becomes("registry.storage.redirect.enabled"),
    row(
        "storage.cache",
        Ineffective("the database holds what a cache would"),
    )
    .with("blobdescriptor blobdescriptorsize layerinfo")
    .stock("{blobdescriptor: inmemory}"),
    row(
        "storage.tag",
        Ineffective("one query finds the tags of a manifest"),
    )
    .with("concurrencylimit")
    .stock("{concurrencylimit: 8}"),
    row("storage.maintenance.readonly.enabled", Switch)
        .becomes("registry.storage.maintenance.readonly"),
    row(
        "storage.maintenance.uploadpurging",
        By(storage::read_purging),
    ),
    row("storage.maintenance.uploadpurging.enabled", Above),
    row("storage.maintenance.uploadpurging.age", Above).becomes("registry.uploads.expire"),
    row(
        "storage.maintenance.uploadpurging.interval",
        Ineffective("an upload is removed as soon as it is too old"),
    ),
    row("storage.maintenance.uploadpurging.dryrun", Above),
    row("storage.inmemory", Above).becomes("registry.storage.inmemory"),
    row("storage.s3", Above).becomes("registry.storage.s3"),
    row("storage.s3.accesskey", Text).becomes("registry.storage.s3.accesskey"),
    row("storage.s3.secretkey", Text).becomes("registry.storage.s3.secretkey"),
    row("storage.s3.sessiontoken", Text).becomes("registry.storage.s3.sessiontoken"),
    row("storage.s3.region", Text).becomes("registry.storage.s3.region"),
    row("storage.s3.regionendpoint", Text).becomes("registry.storage.s3.regionendpoint"),
    row("storage.s3.forcepathstyle", Switch).becomes("registry.storage.s3.forcepathstyle"),
    row("storage.s3.bucket", Text).becomes("registry.storage.s3.bucket"),
    row("storage.s3.encrypt", Switch).becomes("registry.storage.s3.encrypt"),
    row("storage.s3.secure", Switch).becomes("registry.storage.s3.secure"),
    row("storage.s3.skipverify", Switch).becomes("registry.storage.s3.skipverify"),
    row("storage.s3.keyid", Text).becomes("registry.storage.s3.keyid"),
    row("storage.s3.chunksize", Text).becomes("registry.storage.s3.chunksize"),
    row("storage.s3.rootdirectory", Text).becomes("registry.storage.s3.rootdirectory"),
    row("storage.s3.storageclass", Text).becomes("registry.storage.s3.storageclass"),
    row("storage.s3.useragent", Text).becomes("registry.storage.s3.useragent"),
    row(
        "storage.s3.v4auth",
        Ineffective("requests are always signed with version 4"),
    ),
    row(
        "storage.s3.accelerate",
        Ineffective("write regionendpoint: https://s3-accelerate.amazonaws.com"),
    ),
    row(
        "storage.s3.usedualstack",
        Ineffective("write regionendpoint: https://s3.dualstack.REGION.amazonaws.com"),
    ),
    row(
        "storage.s3.usefipsendpoint",
        Ineffective("write regionendpoint: https://s3-fips.REGION.amazonaws.com"),
    ),
    row(
        "storage.s3.objectacl",
        Ineffective("the owner of the bucket owns its objects"),
    ),
    row(
        "storage.s3.loglevel",
        Ineffective("server.log.level is for everything"),
    ),
    row(
        "storage.s3.multipartcopychunksize",
        Ineffective("objects are never copied"),
    ),
    row(
        "storage.s3.multipartcopymaxconcurrency",
        Ineffective("objects are never copied"),
    ),
    row(
        "storage.s3.multipartcopythresholdsize",
        Ineffective("objects are never copied"),
    ),
    row(
        "storage.s3.multipartcombinesmallpart",
        Ineffective("small parts are never combined"),
    ),
    row("storage.s3.redirectendpoint", Text).becomes("registry.storage.redirect.endpoint"),
    row("storage.gcs", Refused(GOOGLE))
        .with("bucket keyfile rootdirectory chunksize maxconcurrency credentials.*"),
    row("storage.azure", Refused(ELSEWHERE)).with(
        "accountname accountkey container realm rootdirectory max_retries retry_delay \
         credentials.*",
    ),
    row("storage.swift", Refused(ELSEWHERE)).with(
        "authurl username password container region tenant tenantid domain domainid trustid \
         insecureskipverify chunksize prefix secretkey accesskey authversion endpointtype",
    ),
    row("storage.oss", Refused(ELSEWHERE)).with(
        "accesskeyid accesskeysecret bucket region endpoint internal encrypt secure chunksize \
         rootdirectory",
    ),
    // Who gets in.
    row("auth", By(auth::read)),
    row("auth.token", Above),
    row("auth.token.realm", Above).becomes("registry.auth.token.realm"),
    row("auth.token.service", Text).becomes("registry.auth.token.service"),
    row("auth.token.issuer", Text).becomes("registry.auth.token.issuer"),
    row("auth.token.rootcertbundle", Text).becomes("registry.auth.token.rootcertbundle"),
    row("auth.token.jwks", Text).becomes("registry.auth.token.jwks"),
    row("auth.token.autoredirect", Above),
    row("auth.token.autoredirectpath", Above),
    row("auth.token.signingalgorithms", By(auth::check_algorithms)).with("#"),
    row("auth.htpasswd", Above),
    row("auth.htpasswd.realm", Text).becomes("registry.auth.htpasswd.realm"),
    row("auth.htpasswd.path", Above).becomes("registry.auth.htpasswd.path"),
    row(
        "auth.silly",
        Refused("it lets everyone in who sends any token; use token or htpasswd"),
    )
    .with("realm service"),
    row("auth.none", Above).becomes("registry.auth.none"),
    // HTTP.
    row("http.addr", Text).becomes("server.addr"),
    row("http.net", Text).becomes("server.net"),
    row("http.host", By(http::read_host)).becomes("server.public_url"),
    row("http.prefix", By(http::read_prefix)).becomes("registry.path_prefix"),
    row(
        "http.secret",
        Ineffective("the database stores what an upload needs"),
    ),
    row("http.relativeurls", Switch).becomes("registry.relative_urls"),
    row("http.draintimeout", By(http::read_drain_timeout))
        .becomes("server.limits.shutdown_timeout"),
    row("http.tls.certificate", Text).becomes("server.certificate"),
    row("http.tls.key", Text).becomes("server.key"),
    row("http.tls.clientcas", By(http::refuse_client_certificates)).with("#"),
    row(
        "http.tls.clientauth",
        Ineffective("clients are not asked for certificates"),
    ),
    row("http.tls.minimumtls", By(http::read_minimum)).becomes("server.tls_min_version"),
    row("http.tls.ciphersuites", By(http::read_suites))
        .becomes("server.tls_cipher_suites")
        .with("#"),
    row("http.tls.letsencrypt", By(http::read_letsencrypt)),
    row("http.tls.letsencrypt.cachefile", Above).becomes("server.letsencrypt.cache_dir"),
    row("http.tls.letsencrypt.email", Above).becomes("server.letsencrypt.email"),
    row("http.tls.letsencrypt.hosts", Above)
        .becomes("server.letsencrypt.host")
        .with("#"),
    row("http.tls.letsencrypt.directoryurl", Above).becomes("server.letsencrypt.directory"),
    row("http.headers", Whole)
        .becomes("registry.headers")
        .with("*"),
    row("http.debug", By(http::read_debug)),
    row("http.debug.addr", Above).becomes("server.metrics.addr"),
    row("http.debug.prometheus.enabled", Above).becomes("server.metrics.enabled"),
    row("http.debug.prometheus.path", Above).becomes("server.metrics.path"),
    row("http.http2.disabled", By(http::read_http2)),
    row("http.h2c.enabled", By(http::read_h2c)),
    // What announces, caches and checks.
    row("notifications.events.includereferences", Switch)
        .becomes("notifications.events.includereferences"),
    row("notifications.endpoints", By(notifications::read_endpoints))
        .becomes("notifications.endpoints")
        .with("#"),
    row(
        "redis",
        Ineffective("there is no cache outside of this process"),
    )
    .with("*"),
    row("health", Whole).becomes("server.health").with(
        "storagedriver.enabled storagedriver.interval storagedriver.threshold file.# http.# tcp.#",
    ),
    row(
        "reporting",
        Ineffective("errors are logged, and are sent nowhere"),
    )
    .with("bugsnag.* newrelic.*"),
    row("catalog.maxentries", By(other::read_max_entries)).becomes("registry.catalog.max"),
    row(
        "tags",
        Ineffective("how many tags a page may have is fixed"),
    )
    .with("maxtags"),
    row("proxy", By(other::refuse_proxy))
        .with("remoteurl username password ttl exec.command exec.lifetime"),
    row("middleware.registry", By(other::refuse_middleware)).with("#"),
    row("middleware.repository", By(other::refuse_middleware)).with("#"),
    row("middleware.storage", By(other::refuse_middleware)).with("#"),
    row("compatibility.schema1.enabled", By(other::read_schema1)),
    row("compatibility.schema1.signingkeyfile", Above),
    row("compatibility.schema1.trustkey", Above),
    row("validation.enabled", Above),
    row("validation.disabled", By(other::read_validation_disabled)),
    row("validation.manifests.urls", By(other::read_urls))
        .with("allow.# deny.#")
        .becomes("registry.validation.urls"),
    row("validation.manifests.indexes", By(other::read_indexes))
        .with("platforms platformlist.#")
        .becomes("registry.sparse"),
    row("policy.repository.classes", By(other::refuse_classes)).with("#"),
];

/// What a key of ours is called in Distribution's file.
pub(super) fn name_of(ours: &str) -> Option<&'static str> {
    let row = ROWS.iter().find(|row| row.ours == Some(ours));
    row.map(|row| row.path)
}

/// Whether `path`, the parts of a variable's name behind `REGISTRY_`, names a setting or a section.
/// Kubernetes sets variables such as `REGISTRY_AUTH_PORT` in every container beside a service of
/// such a name, and none of them may choose who gets in or where content is stored.
pub(super) fn is_known(path: &[&str]) -> bool {
    patterns().any(|pattern| covers(&pattern, path))
}

/// The variables of all settings that are one value.
pub(super) fn variables() -> impl Iterator<Item = String> {
    let all: Vec<_> = patterns().collect();
    let single = all.clone().into_iter().filter(move |pattern| {
        let is_section = |other: &String| {
            other
                .strip_prefix(pattern.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
        };
        !pattern.contains(['*', '#', '_']) && !all.iter().any(is_section)
    });
    single.map(|pattern| super::translation::variable_of(&pattern))
}

/// The path of each key, and of those below it.
fn patterns() -> impl Iterator<Item = String> {
    ROWS.iter().flat_map(|row| {
        let below = row.names_below();
        let below = below.map(|name| format!("{}.{name}", row.path));
        std::iter::once(row.path.to_owned()).chain(below)
    })
}

fn covers(pattern: &str, path: &[&str]) -> bool {
    let mut parts = pattern.split('.');
    for name in path {
        match parts.next() {
            Some("*") => return true,
            // What is in an item is not checked.
            Some("#") => return !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()),
            Some(part) if part.to_ascii_uppercase() == *name => {}
            Some(_) | None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    #[test]
    fn what_kubernetes_sets_is_not_known() {
        for name in [
            "PORT",
            "SERVICE_HOST",
            "PORT_5000_TCP_ADDR",
            "AUTH_PORT",
            "AUTH_SERVICE_HOST",
            "AUTH_TOKEN_SERVICE_HOST",
            "AUTH_TOKEN_PORT",
            "STORAGE_SERVICE_PORT",
            "STORAGE_S3_PORT_443_TCP",
            "HTTP_PORT",
            "HTTP_ADDR_PORT",
            "PROXY_SERVICE_HOST",
            "NOTIFICATIONS_PORT",
            "http_addr",
            "",
        ] {
            assert!(!is_known(&name.split('_').collect::<Vec<_>>()), "{name}");
        }
    }

    #[test]
    fn settings_sections_and_items_are() {
        for name in [
            "AUTH",
            "AUTH_TOKEN",
            "AUTH_TOKEN_REALM",
            "HTTP_TLS_CLIENTCAS_0",
            "LOG_FIELDS_X_Y",
            "HTTP_HEADERS_X-A",
        ] {
            assert!(is_known(&name.split('_').collect::<Vec<_>>()), "{name}");
        }
        assert!(variables().any(|name| name == "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"));
    }

    #[test]
    fn what_they_become_are_keys_of_ours() {
        let declarations = schema::of_configuration();
        let mut ours = Vec::new();
        schema::walk(&declarations, &mut |path, _| ours.push(path.to_owned()));
        for becomes in ROWS.iter().filter_map(|row| row.ours) {
            assert!(ours.iter().any(|path| path == becomes), "{becomes}");
        }
    }
}
