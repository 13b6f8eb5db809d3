//! The names of Distribution's settings, for the variables of the environment.
//!
//! A file's keys are known by being asked for. A variable has to be known before it touches
//! anything: Kubernetes puts `REGISTRY_AUTH_PORT`, `REGISTRY_STORAGE_SERVICE_HOST` and the like
//! into every container beside a service of such a name, and none of them may choose how somebody
//! logs in or where content lies.

/// Every setting of Distribution 2 and 3; `*` is any name and all below it, `#` the number of a
/// list's item.
const SETTINGS: &str = "
version
log.level log.formatter log.fields.* log.hooks.* log.accesslog.disabled log.reportcaller
loglevel
storage.filesystem.rootdirectory storage.filesystem.maxthreads
storage.delete.enabled
storage.redirect.disable
storage.cache.blobdescriptor storage.cache.blobdescriptorsize storage.cache.layerinfo
storage.tag.concurrencylimit
storage.maintenance.readonly.enabled
storage.maintenance.uploadpurging.enabled storage.maintenance.uploadpurging.age
storage.maintenance.uploadpurging.interval storage.maintenance.uploadpurging.dryrun
storage.inmemory
storage.s3.accesskey storage.s3.secretkey storage.s3.region storage.s3.regionendpoint storage.s3.bucket
storage.s3.rootdirectory storage.s3.encrypt storage.s3.keyid storage.s3.secure storage.s3.storageclass
storage.gcs.bucket storage.gcs.keyfile storage.gcs.rootdirectory storage.gcs.credentials.*
storage.azure.accountname storage.azure.accountkey storage.azure.container storage.azure.realm
storage.azure.rootdirectory storage.azure.credentials.*
storage.swift.authurl storage.swift.username storage.swift.password storage.swift.container storage.swift.region
storage.oss.accesskeyid storage.oss.accesskeysecret storage.oss.bucket storage.oss.region storage.oss.endpoint
auth.token.realm auth.token.service auth.token.issuer auth.token.rootcertbundle auth.token.jwks
auth.token.autoredirect auth.token.autoredirectpath auth.token.signingalgorithms.#
auth.htpasswd.realm auth.htpasswd.path
auth.silly.realm auth.silly.service
auth.none
middleware.registry.# middleware.repository.# middleware.storage.#
reporting.bugsnag.* reporting.newrelic.*
http.addr http.net http.host http.prefix http.secret http.relativeurls http.draintimeout
http.tls.certificate http.tls.key http.tls.clientcas.# http.tls.clientauth http.tls.minimumtls http.tls.ciphersuites.#
http.tls.letsencrypt.cachefile http.tls.letsencrypt.email http.tls.letsencrypt.hosts.#
http.tls.letsencrypt.directoryurl
http.headers.*
http.debug.addr http.debug.prometheus.enabled http.debug.prometheus.path
http.http2.disabled http.h2c.enabled
notifications.events.includereferences notifications.endpoints.#
redis.*
health.storagedriver.enabled health.storagedriver.interval health.storagedriver.threshold
health.file.* health.http.* health.tcp.*
catalog.maxentries
tags.maxtags
proxy.remoteurl proxy.username proxy.password proxy.ttl proxy.exec.command proxy.exec.lifetime
compatibility.schema1.enabled compatibility.schema1.signingkeyfile compatibility.schema1.trustkey
validation.enabled validation.disabled validation.manifests.urls.allow.# validation.manifests.urls.deny.#
validation.manifests.indexes.platforms validation.manifests.indexes.platformlist.#
policy.repository.classes.#
";

/// Whether `path`, the parts of a variable's name behind `REGISTRY_`, names a setting or a section.
pub(super) fn is_known(path: &[&str]) -> bool {
    settings().any(|setting| covers(setting, path))
}

/// Every setting's variable that is one and not many.
pub(super) fn variables() -> impl Iterator<Item = String> {
    let single = settings().filter(|setting| !setting.contains(['*', '#']));
    single.map(|setting| format!("REGISTRY_{}", setting.to_uppercase().replace('.', "_")))
}

fn settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.split_whitespace()
}

fn covers(setting: &str, path: &[&str]) -> bool {
    let mut parts = setting.split('.');
    for name in path {
        match parts.next() {
            Some("*") => return true,
            // What an item holds is the item's own business.
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

    #[test]
    fn what_kubernetes_injects_is_not_known() {
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
}
