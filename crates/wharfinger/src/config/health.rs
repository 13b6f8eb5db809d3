//! `server.health`: checks that keep requests away from a registry that cannot serve them. The keys
//! are those of Distribution's section `health`.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, StatusCode, Uri};

use super::diagnostics::Problem;
use super::effective::Effective;
use super::headers;
use super::schema::{Kind, key};
use super::section::Section;

/// The checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthConfig {
    /// Whether content can be read.
    pub(crate) storage: Option<PollSettings>,
    /// Files whose presence means that the server is to be left alone.
    pub(crate) files: Vec<FileCheckConfig>,
    /// Other servers that must answer.
    pub(crate) http: Vec<HttpCheckConfig>,
    /// Other servers that must take connections.
    pub(crate) tcp: Vec<TcpCheckConfig>,
}

/// How often something is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollSettings {
    pub(crate) interval: Duration,
    /// How many checks in a row must fail before it counts; 0 and 1 mean the same.
    pub(crate) threshold: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct FileCheckConfig {
    pub(crate) file: PathBuf,
    pub(crate) poll: PollSettings,
}

#[derive(Clone, Debug)]
pub(crate) struct HttpCheckConfig {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The status that it must answer with.
    pub(crate) status: StatusCode,
    pub(crate) timeout: Duration,
    pub(crate) poll: PollSettings,
}

#[derive(Clone, Debug)]
pub(crate) struct TcpCheckConfig {
    /// `HOST:PORT`.
    pub(crate) address: String,
    pub(crate) timeout: Duration,
    pub(crate) poll: PollSettings,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Declares `server.health`.
pub(super) fn read(server: &mut Section<'_>) -> HealthConfig {
    let key = key::mapping("health").restart().means(
        "checks beside the requests: while one fails, requests to the registry are 503, and so are \
         `/readyz` and `/debug/health`; below",
    );
    server.always(key, |section| HealthConfig {
        storage: section.always(
            key::mapping("storagedriver")
                .restart()
                .means("whether the registry's content can be read; below"),
            read_storage,
        ),
        files: list(
            section,
            "file",
            "files that an operator creates to take this server out: while one exists, the check \
             fails; below",
            read_file,
        ),
        http: list(
            section,
            "http",
            "other servers that must answer a `HEAD`; below",
            read_http,
        ),
        tcp: list(
            section,
            "tcp",
            "other servers that must take connections; below",
            read_tcp,
        ),
    })
}

fn read_storage(section: &mut Section<'_>) -> Option<PollSettings> {
    let is_enabled = section.get(
        key::switch("enabled")
            .restart()
            .means("whether it is checked")
            .default(false),
    );
    let poll = poll(section);
    if !is_enabled {
        for name in ["interval", "threshold"] {
            if section.has(name) {
                section.warn_about(name, Problem::NoEffect, "no effect without enabled: true");
            }
        }
    }
    is_enabled.then_some(poll)
}

fn read_file(section: &mut Section<'_>) -> Option<FileCheckConfig> {
    let file = section.find(
        key::path("file")
            .required("write the path of the file")
            .means("the file"),
    );
    let poll = PollSettings {
        interval: interval(section),
        threshold: 0,
    };
    Some(FileCheckConfig { file: file?, poll })
}

fn read_http(section: &mut Section<'_>) -> Option<HttpCheckConfig> {
    let uri = section.find(
        key::parsed("uri", "URL", uri)
            .required("write the URL to ask, such as https://example.com/status")
            .means("what is asked; redirects are not followed"),
    );
    let status = section.get(
        key::parsed("statuscode", "number", status)
            .means("the status of a good answer")
            .default(StatusCode::OK),
    );
    let headers = read_headers(section);
    let timeout = timeout(section);
    let poll = poll(section);
    Some(HttpCheckConfig {
        uri: uri?,
        headers,
        status,
        timeout,
        poll,
    })
}

fn read_tcp(section: &mut Section<'_>) -> Option<TcpCheckConfig> {
    let address = section.find(
        key::parsed("addr", "`HOST:PORT`", |text| match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(text.to_owned())
            }
            _ => Err("must be HOST:PORT".to_owned()),
        })
        .required("write the address, such as redis.example.com:6379")
        .means("the address"),
    );
    let timeout = timeout(section);
    let poll = poll(section);
    Some(TcpCheckConfig {
        address: address?,
        timeout,
        poll,
    })
}

/// A list of checks.
fn list<'a, T>(
    section: &mut Section<'a>,
    name: &'static str,
    means: &'static str,
    read: fn(&mut Section<'a>) -> Option<T>,
) -> Vec<T> {
    let setting = section.structured(
        key::custom(name, Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .restart()
            .means(means),
        |section| drop(read(section)),
    );
    let (mut checks, mut shown) = (Vec::new(), Vec::new());
    for item in setting.and_then(|list| list.items()).unwrap_or_default() {
        if let Some((check, effective)) = item.section(read) {
            shown.push(effective);
            checks.extend(check);
        }
    }
    section.show(name, Effective::List(shown));
    checks
}

fn poll(section: &mut Section<'_>) -> PollSettings {
    PollSettings {
        interval: interval(section),
        threshold: threshold(section),
    }
}

fn interval(section: &mut Section<'_>) -> Duration {
    section.get(
        key::duration("interval", SECOND / 10..=DAY)
            .means("how long between two checks")
            .default(10 * SECOND),
    )
}

fn threshold(section: &mut Section<'_>) -> u32 {
    section.get(
        key::number("threshold", 0..=1000)
            .means("how many checks in a row must fail before it counts")
            .default(0),
    )
}

fn timeout(section: &mut Section<'_>) -> Duration {
    section.get(
        key::duration("timeout", SECOND / 10..=600 * SECOND)
            .means("how long an answer may take")
            .default(5 * SECOND),
    )
}

fn uri(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "must be a URL".to_owned())?;
    let authority = uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        // The check is called by its URL, as in Distribution.
        return Err(
            "must have no login, because the log and /debug/health show it: write the header \
             Authorization"
                .to_owned(),
        );
    }
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("must begin with http:// or https://, and name a host".to_owned()),
    }
}

/// 0 is the usual status, as for Distribution.
fn status(text: &str) -> Result<StatusCode, String> {
    if text == "0" {
        return Ok(StatusCode::OK);
    }
    let status = text.parse::<StatusCode>().ok();
    let status = status.filter(|status| (100..=599).contains(&status.as_u16()));
    status.ok_or_else(|| "must be a status from 100 to 599, such as 200".to_owned())
}

fn read_headers(section: &mut Section<'_>) -> HeaderMap {
    let setting = section.setting(
        key::custom("headers", headers::kind())
            .secret()
            .means("headers of the request; they may be secrets, and are not shown")
            .otherwise("`{}`"),
    );
    let mut headers = headers::read(setting);
    for value in headers.values_mut() {
        value.set_sensitive(true);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_that_a_server_can_send() {
        let read = |text| status(text).map(|status| status.as_u16()).ok();
        assert_eq!(
            ["0", "100", "204", "599"].map(read),
            [200, 100, 204, 599].map(Some)
        );
        assert_eq!(
            ["", "-1", "99", "600", "999", "1000", "ok"].map(read),
            [None; 7]
        );
    }

    #[test]
    fn a_url_has_a_host_and_no_login() {
        assert!(uri("https://status.example.com/?x=y").is_ok());
        for wrong in [
            "",
            "/",
            "ftp://a/",
            "http://ann:secret@a/",
            "https://ann@a/",
        ] {
            let error = uri(wrong).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
