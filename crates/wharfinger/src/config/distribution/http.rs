//! The section `http`: what takes more than a row in [`super::keys`].

use std::time::Duration;

use acme::LETS_ENCRYPT;
use common::{parse_duration, print_duration};
use http::Uri;

use super::translation::Translator;
use crate::config::diagnostics::Problem;
use crate::config::setting::Setting;

const VERSIONS: [(&str, &str); 4] = [
    ("tls1.0", "TLS10"),
    ("tls1.1", "TLS11"),
    ("tls1.2", "TLS12"),
    ("tls1.3", "TLS13"),
];

/// The longest time that open requests have at the end.
const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 3600);

/// Distribution takes scheme, host and path of the URL. Without a scheme or a host it takes them from
/// each request instead, and says nothing.
pub(super) fn read_host(setting: &Setting<'_>, translator: &mut Translator) {
    let text = setting.text().unwrap_or_default();
    if text.is_empty() {
        return;
    }
    let Ok(uri) = text.parse::<Uri>() else {
        return setting.error("must be a URL, such as https://registry.example.com");
    };
    let parts = (uri.scheme_str(), uri.host().filter(|host| !host.is_empty()));
    let (Some(scheme @ ("http" | "https")), Some(host)) = parts else {
        let message = "no effect: without http:// or https:// it is not a URL; the address that a \
                       client asks for counts";
        return setting.warn(Problem::NoEffect, message);
    };
    let port = uri.port().map_or(String::new(), |port| format!(":{port}"));
    let url = format!("{scheme}://{host}{port}{}", uri.path());
    let (url, written) = (url.trim_end_matches('/'), text.trim_end_matches('/'));
    if url != written {
        let message = format!("only scheme, host and path count: {url}");
        setting.warn(Problem::NoEffect, message);
    }
    translator.text("server.public_url", url, setting);
}

/// Without an address there is no second port, whatever else is set.
pub(super) fn read_debug(debug: &Setting<'_>, translator: &mut Translator) {
    translator.section(debug, "http.debug", false, |section, translator| {
        let something = |setting: &Setting<'_>| !setting.is_null();
        let address = section.present("addr").filter(something);
        let address = address.and_then(|setting| Some((setting.text()?, setting)));
        let prometheus = section.present("prometheus").filter(something);
        let Some((address, setting)) = address.filter(|(address, _)| !address.is_empty()) else {
            if let Some(prometheus) = prometheus {
                prometheus.warn(Problem::NoEffect, "no effect without http.debug.addr");
            }
            return;
        };
        translator.text("server.metrics.addr", address, &setting);
        let mut is_enabled = false;
        if let Some(prometheus) = prometheus {
            translator.section(
                &prometheus,
                "http.debug.prometheus",
                false,
                |section, translator| {
                    let enabled = section.present("enabled").filter(something);
                    is_enabled = enabled.and_then(|enabled| enabled.flag()).unwrap_or(false);
                    let path = section.present("path").filter(something);
                    if let Some((path, setting)) = path.and_then(|path| Some((path.text()?, path)))
                        && !path.is_empty()
                    {
                        translator.text("server.metrics.path", path, &setting);
                    }
                },
            );
        }
        translator.word("server.metrics.enabled", &is_enabled, &setting);
    });
}

/// Go reads a bare number as nanoseconds.
pub(super) fn read_drain_timeout(setting: &Setting<'_>, translator: &mut Translator) {
    if setting.is_null() {
        return;
    }
    let timeout = setting.parse(|text| match text.parse::<i64>() {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds.max(0).unsigned_abs())),
        Err(_) if text.starts_with('-') => Ok(Duration::ZERO),
        Err(_) => parse_duration(text),
    });
    let Some(timeout) = timeout else { return };
    if timeout > LONGEST_DRAIN {
        setting.warn(Problem::NoEffect, "a day at most");
    } else if setting
        .text()
        .is_some_and(|text| text.parse::<i64>().is_ok_and(|n| n > 0))
    {
        let message = "a number without a unit is in nanoseconds; write 30s";
        setting.warn(Problem::NoEffect, message);
    }
    let timeout = print_duration(timeout.min(LONGEST_DRAIN));
    translator.text("server.limits.shutdown_timeout", timeout, setting);
}

/// Distribution wants a slash at both ends.
pub(super) fn read_prefix(setting: &Setting<'_>, translator: &mut Translator) {
    let prefix = setting.text().unwrap_or_default();
    let prefix = prefix.trim_end_matches('/');
    if !prefix.is_empty() {
        translator.text("registry.path_prefix", prefix, setting);
    }
}

pub(super) fn read_minimum(setting: &Setting<'_>, translator: &mut Translator) {
    if setting.is_null() {
        return;
    }
    let version = setting.parse(|text| {
        let known = VERSIONS.iter().find(|(known, _)| *known == text);
        let version = known.map(|(_, version)| *version);
        version.ok_or("must be tls1.0, tls1.1, tls1.2 or tls1.3")
    });
    if let Some(version) = version {
        translator.text("server.tls_min_version", version, setting);
    }
}

/// Distribution ignores the list when only TLS 1.3 is left.
pub(super) fn read_suites(setting: &Setting<'_>, translator: &mut Translator) {
    if !is_used_list(setting) {
        return;
    }
    if translator.text_of("server.tls_min_version") == Some("TLS13") {
        let message = "no effect here: TLS 1.3's cipher suites cannot be chosen";
        setting.warn(Problem::NoEffect, message);
    } else {
        translator.whole("server.tls_cipher_suites", setting);
    }
}

pub(super) fn refuse_client_certificates(setting: &Setting<'_>, _: &mut Translator) {
    if is_used_list(setting) {
        setting.report(
            Problem::Unsupported,
            "certificates of clients are not supported yet, and without them everyone could \
             connect; let a proxy in front of the registry check them, or remove the list and use \
             auth",
        );
    }
}

/// Distribution asks for certificates if there is a `cachefile`, which is a directory since 2.8.
pub(super) fn read_letsencrypt(setting: &Setting<'_>, translator: &mut Translator) {
    let entries = if setting.is_null() {
        Vec::new()
    } else {
        setting.entries().unwrap_or_default()
    };
    let used = |name: &str| {
        let (_, value) = entries.iter().find(|(entry, _)| entry.key == name)?;
        let is_used = !value.is_null() && value.text().is_none_or(|text| !text.is_empty());
        is_used.then_some(value)
    };
    let Some(cache_file) = used("cachefile") else {
        if let Some(other) = used("email").or_else(|| used("directoryurl")) {
            other.warn(Problem::NoEffect, "no effect without cachefile");
        }
        return;
    };
    if translator.has("server.certificate") {
        let message = "set either http.tls.certificate or http.tls.letsencrypt, not both";
        return setting.report(Problem::Conflict, message);
    }
    translator.whole("server.letsencrypt.cache_dir", cache_file);
    if let Some(email) = used("email") {
        translator.whole("server.letsencrypt.email", email);
    }
    let hosts = entries.iter().find(|(entry, _)| entry.key == "hosts");
    if let Some((_, hosts)) = hosts.filter(|(_, hosts)| is_used_list(hosts)) {
        translator.whole("server.letsencrypt.host", hosts);
    }
    match used("directoryurl") {
        Some(url) => translator.whole("server.letsencrypt.directory", url),
        None => translator.text("server.letsencrypt.directory", LETS_ENCRYPT, setting),
    }
}

pub(super) fn read_http2(setting: &Setting<'_>, _: &mut Translator) {
    if !setting.is_null() && setting.flag() == Some(true) {
        let message = "no effect here: a client that asks for HTTP/2 gets it";
        setting.warn(Problem::NoEffect, message);
    }
}

/// HTTP/2 without TLS is always understood, as `enabled` asks for.
pub(super) fn read_h2c(setting: &Setting<'_>, _: &mut Translator) {
    if !setting.is_null() {
        setting.flag();
    }
}

/// Whether there is anything in the list. A value that is no list is reported.
pub(super) fn is_used_list(setting: &Setting<'_>) -> bool {
    !setting.is_null() && setting.items().is_none_or(|items| !items.is_empty())
}
