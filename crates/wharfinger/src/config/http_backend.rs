//! Servers that decide over HTTP: the sections `http_auth` and `http_authz`.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use identity::http::{BackendUrl, HttpClientSettings};
use identity::tls::ClientTls;

use super::backend_keys;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::{Kind, key};
use super::section::{Located, Section};

/// A server, and what it is asked.
#[derive(Clone, Debug)]
pub(crate) struct HttpBackendConfig {
    pub(crate) client: HttpClientSettings,
    /// Whether it is asked about accounts without their password.
    pub(crate) rechecks: bool,
}

const SECOND: Duration = Duration::from_secs(1);

/// Headers that the client sets itself.
const OWN_HEADERS: [HeaderName; 5] = [
    ACCEPT,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
];

impl HttpBackendConfig {
    pub(super) fn read_http_auth(section: &mut Section<'_>) -> Option<Self> {
        let client = read_client(section, "http_auth");
        let rechecks = section.get(
            key::switch("recheck")
                .means(
                    "whether the server answers `{\"account\": NAME, \"recheck\": true}`, so that \
                     sessions live as long as the account, and the catalog knows its labels",
                )
                .default(false),
        );
        let client = client?;
        Some(Self { client, rechecks })
    }

    pub(super) fn read_http_authz(section: &mut Section<'_>) -> Option<Self> {
        let client = read_client(section, "http_authz")?;
        let rechecks = false;
        Some(Self { client, rechecks })
    }
}

fn read_client(section: &mut Section<'_>, name: &'static str) -> Option<HttpClientSettings> {
    let url = section.find(
        key::parsed("url", "URL", key::from_str::<BackendUrl>)
            .required("write the URL to ask, such as https://accounts.example.com/login")
            .means("what gets a `POST` with JSON: `https`, or `http` to this machine only"),
    );
    let timeout = section.get(
        key::duration("timeout", SECOND / 10..=600 * SECOND)
            .means("how long an answer may take; a request waits as long for its turn")
            .default(5 * SECOND),
    );
    let meaning = "how many requests there may be at once; four times as many may wait";
    let concurrency = backend_keys::concurrency(section, meaning);
    let headers = read_headers(section);
    let tls = read_tls(section);
    Some(HttpClientSettings {
        section: name,
        url: url?,
        headers: headers?,
        tls: tls?,
        timeout,
        concurrency,
    })
}

/// The headers of a request, the bearer token among them.
fn read_headers(section: &mut Section<'_>) -> Option<HeaderMap> {
    let token = section.locate(
        key::text("token")
            .secret()
            .means("a secret that the server knows, sent as `Authorization: Bearer TOKEN`"),
    );
    let setting = section.setting(
        key::custom("headers", Kind::Names(Box::new(Kind::Text)))
            .means("further headers of each request, `NAME: VALUE`; the values are never shown"),
    );
    let (mut headers, mut shown, mut is_usable) = (HeaderMap::new(), Vec::new(), true);
    let entries = setting.and_then(|setting| setting.entries());
    for (entry, value) in entries.unwrap_or_default() {
        let header = value.parse(|text| read_header(&entry.key, text));
        is_usable &= header.is_some();
        if let Some((name, value)) = header {
            headers.append(name, value);
        }
        shown.push((entry.key.clone(), Effective::hidden()));
    }
    if !shown.is_empty() {
        section.show("headers", Effective::names(shown));
    }
    if let Some(Located { value, setting }) = token {
        if headers.contains_key(AUTHORIZATION) {
            setting.report(
                Problem::Conflict,
                "set either token or headers.Authorization",
            );
            return None;
        }
        let value = secret_value(&format!("Bearer {value}"));
        headers.insert(AUTHORIZATION, setting.checked(value)?);
    }
    is_usable.then_some(headers)
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::try_from(name).map_err(|_| "not a header's name")?;
    if OWN_HEADERS.contains(&name) {
        return Err(format!("{name} is set by the server; remove it"));
    }
    Ok((name, secret_value(value)?))
}

fn secret_value(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value).map_err(|_| "not allowed in a header")?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_tls(section: &mut Section<'_>) -> Option<ClientTls> {
    let authorities = backend_keys::authorities(section);
    let certificate = section.locate(
        key::path("client_certificate")
            .means("PEM: what is shown to a server that asks for a certificate"),
    );
    let private = section
        .locate(key::path("client_key").means("PEM: the private key of `client_certificate`"));
    let tls = backend_keys::trusting(authorities.as_ref());
    let (certificate, private) = match (certificate, private) {
        (Some(certificate), Some(private)) => (certificate, private),
        (None, None) => return tls,
        (Some(one), None) | (None, Some(one)) => {
            let message = "set both client_certificate and client_key";
            one.setting.report(Problem::Conflict, message);
            return None;
        }
    };
    with_certificate(tls?, &certificate, &private)
}

fn with_certificate(
    tls: ClientTls,
    certificate: &Located<'_, PathBuf>,
    private: &Located<'_, PathBuf>,
) -> Option<ClientTls> {
    let (chain, pem) = (certificate.read(), private.read());
    let with = tls.with_certificate(&chain?, &pem?);
    private.setting.checked(with.map_err(|error| {
        let (certificate, private) = (certificate.value.display(), private.value.display());
        format!("{certificate} and {private}: {error}")
    }))
}
