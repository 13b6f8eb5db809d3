//! The section `http`: where the registry listens, TLS, and what its answers say.

use super::draft::Draft;
use super::without_effect;
use crate::config::section::Section;

/// Where the images' own files have it listen.
const DEFAULT_ADDRESS: &str = ":5000";

const TUNING: [(&str, &str); 2] = [
    (
        "secret",
        "what an upload must remember is kept in the database, not with the client",
    ),
    (
        "debug",
        "there is no second port; / and /healthz answer health checks",
    ),
];

const VERSIONS: [(&str, &str); 4] = [
    ("tls1.0", "TLS10"),
    ("tls1.1", "TLS11"),
    ("tls1.2", "TLS12"),
    ("tls1.3", "TLS13"),
];

pub(super) fn read(root: &mut Section<'_>, draft: &mut Draft<'_>) {
    let root_position = root.position;
    let has_address = root.section("http", |http| {
        let address = http.setting("addr");
        if let Some((address, text)) = address
            .as_ref()
            .and_then(|setting| Some((setting, setting.text()?)))
        {
            draft.text("server.addr", text, address.position());
        }
        read_section(http, draft);
        Some(address.is_some())
    });
    if has_address != Some(true) {
        draft.text("server.addr", DEFAULT_ADDRESS, root_position);
    }
}

fn read_section(http: &mut Section<'_>, draft: &mut Draft<'_>) {
    copy(http, "net", draft, "server.net");
    copy(http, "host", draft, "server.public_url");
    if let Some((prefix, text)) = http
        .setting("prefix")
        .and_then(|setting| setting.text().map(|text| (setting, text)))
    {
        draft.text(
            "server.path_prefix",
            text.trim_end_matches('/'),
            prefix.position(),
        );
    }
    if let Some(relative) = http.setting("relativeurls")
        && let Some(flag) = relative.flag()
    {
        draft.word("registry.relative_urls", &flag, relative.position());
    }
    if let Some(headers) = http.setting("headers") {
        draft.whole("registry.headers", &headers);
    }
    http.section("http2", |http2| {
        let disabled = http2.setting("disabled")?;
        if disabled.flag()? {
            disabled.warn("this has no effect here: who asks for HTTP/2 gets it");
        }
        Some(())
    });
    // Whoever begins with HTTP/2 on a plain connection is understood.
    http.section("h2c", |h2c| h2c.flag("enabled"));
    copy(
        http,
        "draintimeout",
        draft,
        "server.limits.shutdown_timeout",
    );
    without_effect(http, &TUNING);
    http.section("tls", |tls| {
        read_tls(tls, draft);
        Some(())
    });
}

fn read_tls(tls: &mut Section<'_>, draft: &mut Draft<'_>) {
    let certificate = copy(tls, "certificate", draft, "server.certificate");
    copy(tls, "key", draft, "server.key");
    let minimum = tls.setting("minimumtls");
    let version = minimum.as_ref().and_then(|setting| setting.parse(version));
    if let (Some(setting), Some(version)) = (&minimum, version) {
        draft.text("server.tls_min_version", version, setting.position());
    }
    if let Some(suites) = tls.setting("ciphersuites") {
        if version == Some("TLS13") {
            suites.warn("this has no effect here: TLS 1.3's cipher suites cannot be chosen");
        } else if suites.items().is_some_and(|items| !items.is_empty()) {
            draft.whole("server.tls_cipher_suites", &suites);
        }
    }
    if let Some(authorities) = tls
        .setting("clientcas")
        .filter(|list| list.items().is_none_or(|items| !items.is_empty()))
    {
        authorities.error(
            "certificates of clients are not supported yet, and without them everybody could connect; let a proxy in \
             front of the registry ask for them, or remove the list and use auth",
        );
    }
    without_effect(
        tls,
        &[("clientauth", "certificates of clients are not asked for")],
    );
    tls.section("letsencrypt", |letsencrypt| {
        let used = ["cachefile", "email", "directoryurl"].map(|key| letsencrypt.text(key)).into_iter().flatten();
        let used = used.filter(|text| !text.is_empty()).count() > 0;
        letsencrypt.setting("hosts");
        if used && certificate {
            let message = "http.tls.letsencrypt: this has no effect beside http.tls.certificate";
            letsencrypt.context.warn(letsencrypt.position, message);
        } else if used {
            let message = "http.tls.letsencrypt: certificates from Let's Encrypt are not supported yet; use certificate \
                           and key (certbot or lego keep them fresh, and they are read again when they change), or a \
                           proxy that does TLS";
            letsencrypt.context.error(letsencrypt.position, message);
        }
        Some(())
    });
}

fn version(text: &str) -> Result<&'static str, &'static str> {
    let known = VERSIONS
        .iter()
        .find(|(known, _)| *known == text)
        .map(|(_, version)| *version);
    known.ok_or("this must be tls1.0, tls1.1, tls1.2 or tls1.3")
}

/// Takes a text over as it is; an empty one is none. Whether there was one.
fn copy(
    section: &mut Section<'_>,
    key: &'static str,
    draft: &mut Draft<'_>,
    path: &'static str,
) -> bool {
    let Some(setting) = section.setting(key) else {
        return false;
    };
    let Some(text) = setting.text().filter(|text| !text.is_empty()) else {
        return false;
    };
    draft.text(path, text, setting.position());
    true
}
