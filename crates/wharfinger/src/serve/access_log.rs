//! The access log: a line for each request of the registry.
//!
//! A line is written when the response has been sent or broken off: as a `tracing` event of the target
//! [`TARGET`], or in the combined format that web servers have. It holds no secret: it has the path
//! without the query, and no header but `User-Agent`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use common::{Clock, RequestContext, SystemClock, rfc3339, unix_seconds};
use http::header::USER_AGENT;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::config::{AccessLogFormat, AccessLogLevel};
use crate::log;

/// The target of access lines.
const TARGET: &str = "wharfinger::access";

/// The longest path and user agent that a line has, in bytes.
const FIELD_LIMIT: usize = 512;

/// Decides which requests have a line.
#[derive(Debug)]
pub(super) struct AccessLog {
    level: AccessLogLevel,
    format: AccessLogFormat,
    /// Of successful reads, one of so many has a line.
    sample: u64,
    reads: AtomicU64,
}

/// What is known of a request when it arrives.
pub(super) struct AccessRequest {
    began: SystemTime,
    method: Method,
    path: String,
    version: Version,
    user_agent: String,
}

/// A line that is written when this is dropped.
pub(super) struct AccessRecord {
    format: AccessLogFormat,
    request: AccessRequest,
    context: RequestContext,
    trace_id: Option<String>,
    status: StatusCode,
    /// The length of the body, if it is known.
    expected: Option<u64>,
    sent: u64,
}

impl AccessLog {
    pub(super) fn new(level: AccessLogLevel, format: AccessLogFormat, sample: u64) -> Self {
        Self {
            level,
            format,
            sample,
            reads: AtomicU64::new(0),
        }
    }

    /// Notes a request that may get a line.
    pub(super) fn request(
        &self,
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Option<AccessRequest> {
        if self.level == AccessLogLevel::Off
            || !tracing::enabled!(target: TARGET, tracing::Level::INFO)
        {
            return None;
        }
        let user_agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes);
        Some(AccessRequest {
            began: SystemClock.now(),
            method: method.clone(),
            path: shortened(uri.path()),
            version,
            user_agent: shortened(&String::from_utf8_lossy(user_agent.unwrap_or_default())),
        })
    }

    /// The line of a request whose response begins now, if it has one.
    pub(super) fn record(
        &self,
        request: AccessRequest,
        context: RequestContext,
        trace_id: Option<String>,
        status: StatusCode,
        expected: Option<u64>,
    ) -> Option<AccessRecord> {
        let is_error = status.is_client_error() || status.is_server_error();
        let is_wanted = match self.level {
            AccessLogLevel::Off => false,
            AccessLogLevel::Errors => is_error,
            AccessLogLevel::All => {
                let is_read = matches!(request.method, Method::GET | Method::HEAD);
                is_error
                    || !is_read
                    || self
                        .reads
                        .fetch_add(1, Ordering::Relaxed)
                        .is_multiple_of(self.sample)
            }
        };
        is_wanted.then(|| AccessRecord {
            format: self.format,
            request,
            context,
            trace_id,
            status,
            expected,
            sent: 0,
        })
    }
}

impl AccessRecord {
    /// Counts bytes of the body that were given out.
    pub(super) fn add(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The line in the combined format, as Apache and nginx write it: host, identity, user, date,
    /// request, status, bytes, referrer, user agent.
    fn combined(&self) -> String {
        let AccessRequest {
            began,
            method,
            path,
            version,
            user_agent,
        } = &self.request;
        let address = self.context.shown_address().map(|ip| ip.to_string());
        let user = match self.context.account() {
            "" => "-".to_owned(),
            // A space would end the field.
            account => escaped(account).replace(' ', "%20"),
        };
        format!(
            "{} - {user} [{}] \"{} {} {version:?}\" {} {} \"-\" \"{}\"\n",
            address.as_deref().unwrap_or("-"),
            common_log_date(*began),
            method.as_str(),
            escaped(path),
            self.status.as_u16(),
            self.sent,
            escaped(user_agent)
        )
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        if self.format == AccessLogFormat::Combined {
            return log::write_access_line(&self.combined());
        }
        let AccessRequest {
            began,
            method,
            path,
            user_agent,
            ..
        } = &self.request;
        let took = SystemClock.now().duration_since(*began);
        // As strings, not `%`: names are a client's choice, and a string is escaped in every
        // format.
        tracing::info!(
            target: TARGET,
            address = self.context.shown_address().map(|ip| ip.to_string()),
            account = self.context.account(),
            method = method.as_str(),
            path,
            repository = repository(path),
            status = self.status.as_u16(),
            bytes = self.sent,
            complete = self.expected.is_none_or(|expected| self.sent >= expected),
            took_ms = u64::try_from(took.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX),
            request_id = self.context.request_id,
            trace_id = self.trace_id,
            user_agent,
        );
    }
}

/// A date such as `30/Nov/2026:01:02:03 +0000`.
fn common_log_date(time: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    // `2026-11-30T01:02:03Z`
    let date = rfc3339(unix_seconds(time));
    let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month.wrapping_sub(1)).copied().unwrap_or("-");
    format!(
        "{}/{month}/{}:{} +0000",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

/// A text of a client within quotes. Control characters are escaped when the line is written; a line
/// feed would end it before.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n").replace('\t', "\\t")
}

/// The repository that a path of the registry's API names.
fn repository(path: &str) -> Option<&str> {
    // A prefix may stand before it.
    let (_, name) = path.split_once("/v2/")?;
    let end = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .filter_map(|part| name.rfind(part))
        .max()?;
    let name = &name[..end];
    // `/v2/<name>/_wharfinger/tags/history`. No component of a name begins with an underscore.
    Some(name.strip_suffix("/_wharfinger").unwrap_or(name))
}

/// The beginning of a text that a client chose.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(FIELD_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_repository() {
        for (path, expected) in [
            ("/v2/a/manifests/latest", Some("a")),
            ("/v2/a/b/blobs/sha256:00", Some("a/b")),
            ("/v2/a/blobs/uploads/", Some("a")),
            ("/v2/blobs/tags/list", Some("blobs")),
            ("/v2/a/tags/b/manifests/x", Some("a/tags/b")),
            ("/v2/a/referrers/sha256:00", Some("a")),
            ("/v2/a/b/_wharfinger/tags/history", Some("a/b")),
            ("/registry/v2/a/manifests/latest", Some("a")),
            ("/v2/", None),
            ("/v2/_catalog", None),
            ("/", None),
        ] {
            assert_eq!(repository(path), expected, "{path}");
        }
    }

    #[test]
    fn the_combined_format_has_its_fields() {
        let log = AccessLog::new(AccessLogLevel::All, AccessLogFormat::Combined, 1);
        let agent = "docker/28 \"x\" \\ \n";
        let request = AccessRequest {
            began: std::time::UNIX_EPOCH + Duration::from_secs(1_796_000_523),
            method: Method::GET,
            path: "/v2/app/manifests/1".to_owned(),
            version: Version::HTTP_11,
            user_agent: agent.to_owned(),
        };
        let origin = common::Origin {
            scheme: "http",
            host: None,
            prefix: String::new(),
            certain: true,
        };
        let client = common::ClientAddress::direct("192.0.2.7".parse().ok());
        let context = RequestContext::new(None, Ok(client), origin, "id-1".to_owned());
        context.set_account("ann b");
        let mut record = log
            .record(request, context, None, StatusCode::OK, None)
            .unwrap();
        record.add(1042);
        assert_eq!(
            record.combined(),
            "192.0.2.7 - ann%20b [30/Nov/2026:01:02:03 +0000] \"GET /v2/app/manifests/1 HTTP/1.1\" \
             200 1042 \"-\" \"docker/28 \\\"x\\\" \\\\ \\n\"\n"
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("docker/27"), "docker/27");
        let cut = shortened(&"é".repeat(FIELD_LIMIT));
        assert_eq!(cut, "é".repeat(FIELD_LIMIT / 2));
    }
}
