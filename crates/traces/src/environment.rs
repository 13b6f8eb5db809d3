//! The standard variables of OpenTelemetry.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::Sampler;

/// What the variables `OTEL_*` say (OpenTelemetry, "Environment variable specification", "OTLP
/// exporter configuration").
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Where spans are sent: a URL, with its path.
    pub endpoint: Uri,
    /// Headers of each request, such as a login. They may be secrets.
    pub headers: HeaderMap,
    /// How long a request may take.
    pub timeout: Duration,
    /// PEM: the authorities that the collector's certificate must be signed by. `None`: the system's.
    pub certificate_file: Option<String>,
    /// What is said of this process.
    pub resource: Vec<(String, String)>,
    /// Which traces are sent.
    pub sampler: Sampler,
    /// How long finished spans wait for more.
    pub delay: Duration,
    /// How many finished spans may wait.
    pub queue: usize,
    /// How many are sent at once.
    pub batch: usize,
}

/// Why the variables cannot be used. It names the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TraceSettingsError(String);

impl TraceSettingsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The service's name, unless a variable gives another.
const SERVICE: &str = "wharfinger";

/// Where a collector usually is.
const ENDPOINT: &str = "http://localhost:4318";

/// The most spans that may wait, and be sent at once.
const LARGEST_QUEUE: u64 = 1 << 16;

impl TraceSettings {
    /// What the variables say, of which `variable` gives each by its name. `None`: there are no traces.
    /// They are on if a variable names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) or says `OTEL_TRACES_EXPORTER=otlp`.
    ///
    /// # Errors
    /// When traces are on, and a variable has a value that is not understood.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TraceSettingsError> {
        // An empty value is as good as none.
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // Of those for traces only, and for all signals, the former counts.
        let of_exporter = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let is_disabled =
            variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = variable("OTEL_TRACES_EXPORTER");
        let is_on = match exporter.as_deref() {
            None => of_exporter("ENDPOINT").is_some(),
            Some("none") => false,
            Some("otlp") => true,
            Some(other) => {
                return match is_disabled {
                    true => Ok(None),
                    false => Err(error(format!(
                        "OTEL_TRACES_EXPORTER={other} is not supported: use otlp or none"
                    ))),
                };
            }
        };
        if is_disabled || !is_on {
            return Ok(None);
        }
        match of_exporter("PROTOCOL").as_deref() {
            None | Some("http/protobuf") => {}
            Some(other) => {
                return Err(error(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL={other} is not supported: use http/protobuf"
                )));
            }
        }
        let sampler = variable("OTEL_TRACES_SAMPLER");
        let sampler = sampler.as_deref().unwrap_or("parentbased_always_on");
        let argument = variable("OTEL_TRACES_SAMPLER_ARG");
        let milliseconds = |name: &str, default: u64| {
            number(name, variable(name), default, 24 * 3600 * 1000).map(Duration::from_millis)
        };
        let queue = "OTEL_BSP_MAX_QUEUE_SIZE";
        let batch = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
        let timeout = number(
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            of_exporter("TIMEOUT"),
            10_000,
            600_000,
        )?;
        let spans = |name: &str, default: u64| {
            let number = number(name, variable(name), default, LARGEST_QUEUE)?.max(1);
            usize::try_from(number).map_err(|_| error(format!("{name} is too large")))
        };
        Ok(Some(Self {
            endpoint: endpoint(&variable)?,
            headers: headers(&of_exporter("HEADERS").unwrap_or_default())?,
            timeout: Duration::from_millis(timeout),
            certificate_file: of_exporter("CERTIFICATE"),
            resource: resource(&variable)?,
            sampler: Sampler::parse(sampler, argument.as_deref()).map_err(error)?,
            delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5000)?,
            queue: spans(queue, 2048)?,
            batch: spans(batch, 512)?,
        }))
    }
}

fn error(message: impl Into<String>) -> TraceSettingsError {
    TraceSettingsError::new(message)
}

/// The URL for traces as it is; the one for all signals with the path of traces.
fn endpoint(variable: &impl Fn(&str) -> Option<String>) -> Result<Uri, TraceSettingsError> {
    let name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    let (name, url) = match variable(name) {
        Some(url) => (name, url),
        None => {
            let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
            let url = variable(name).unwrap_or_else(|| ENDPOINT.to_owned());
            (
                name,
                format!("{}/v1/traces", url.trim().trim_end_matches('/')),
            )
        }
    };
    let uri = url.trim().parse::<Uri>().ok();
    let uri = uri
        .filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    uri.ok_or_else(|| {
        error(format!(
            "{name} must be a URL that begins with http:// or https://"
        ))
    })
}

/// `name=value,name=value`, with values as in URLs (W3C Baggage).
fn pairs(text: &str) -> impl Iterator<Item = Option<(String, String)>> {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items.map(|item| {
        let (name, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let name = percent_decode_str(name.trim()).decode_utf8().ok()?;
        (!name.is_empty()).then(|| (name.into_owned(), value.into_owned()))
    })
}

/// The error names no value, which may be a secret.
fn headers(text: &str) -> Result<HeaderMap, TraceSettingsError> {
    let malformed =
        || error("OTEL_EXPORTER_OTLP_HEADERS must be a list such as name=value,name=value");
    let mut headers = HeaderMap::new();
    for pair in pairs(text) {
        let (name, value) = pair.ok_or_else(malformed)?;
        let name = HeaderName::try_from(name).map_err(|_| malformed())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| malformed())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn resource(
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, TraceSettingsError> {
    let text = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let attributes = pairs(&text).collect::<Option<Vec<_>>>();
    let mut attributes = attributes.ok_or_else(|| {
        error("OTEL_RESOURCE_ATTRIBUTES must be a list such as name=value,name=value")
    })?;
    let service = "service.name";
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        attributes.retain(|(known, _)| known != service);
        attributes.push((service.to_owned(), name));
    }
    if !attributes.iter().any(|(known, _)| known == service) {
        attributes.push((service.to_owned(), SERVICE.to_owned()));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    attributes.push(("service.version".to_owned(), version));
    Ok(attributes)
}

fn number(
    name: &str,
    value: Option<String>,
    default: u64,
    most: u64,
) -> Result<u64, TraceSettingsError> {
    let Some(value) = value else {
        return Ok(default);
    };
    let value = value.trim().parse().ok();
    value
        .filter(|value| *value <= most)
        .ok_or_else(|| error(format!("{name} must be a number from 0 to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, TraceSettingsError> {
        TraceSettings::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_on_without_a_collector() {
        for variables in [
            &[][..],
            &[
                ("OTEL_SERVICE_NAME", "x"),
                ("OTEL_TRACES_SAMPLER", "nonsense"),
            ],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[
                ("OTEL_TRACES_EXPORTER", "none"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ],
            &[
                ("OTEL_SDK_DISABLED", "TRUE"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            ],
            &[
                ("OTEL_SDK_DISABLED", "true"),
                ("OTEL_TRACES_EXPORTER", "zipkin"),
            ],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_url_for_all_signals_gets_the_path_of_traces() {
        for (variables, url) in [
            (
                &[("OTEL_TRACES_EXPORTER", "otlp")][..],
                "http://localhost:4318/v1/traces",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/")],
                "http://c:1/v1/traces",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c/base")],
                "https://c/base/v1/traces",
            ),
            (
                &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:1/")],
                "http://c:1/",
            ),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/x"),
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
                ],
                "http://t/x",
            ),
        ] {
            assert_eq!(read(variables).unwrap().unwrap().endpoint.to_string(), url);
        }
    }

    #[test]
    fn everything_is_read() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20x, x-tenant=7",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_SERVICE_NAME", "registry"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,zone=a%2Cb"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.headers["authorization"], "Bearer x");
        assert_eq!(settings.headers["x-tenant"], "7");
        assert!(!format!("{settings:?}").contains("Bearer"));
        assert_eq!(settings.timeout, Duration::from_millis(250));
        assert_eq!(settings.delay, Duration::from_millis(100));
        assert_eq!((settings.queue, settings.batch), (10, 512));
        assert_eq!(settings.sampler, Sampler::Ratio(0.25));
        let resource: Vec<_> = settings
            .resource
            .iter()
            .map(|(n, v)| (&**n, &**v))
            .collect();
        assert_eq!(
            resource[..2],
            [("zone", "a,b"), ("service.name", "registry")]
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error_without_secrets() {
        for (name, value) in [
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret-without-a-name"),
            ("OTEL_RESOURCE_ATTRIBUTES", "x"),
            ("OTEL_TRACES_SAMPLER", "x"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ] {
            let all = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), (name, value)];
            let error = read(&all).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("OTEL_"), "{error}");
        }
    }
}
