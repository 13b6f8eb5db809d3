//! The section `notifications`: who is told of what happens in the registry. Its keys are
//! Distribution's, and a few of ours.

use std::collections::HashSet;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue};
use notifications::{
    EndpointSettings, EndpointUrl, EventBatching, NotificationAction, NotificationFilter,
    NotificationSettings, SIGNATURE_HEADER, SigningSecret,
};

use super::backend_keys;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::Kind;
use super::schema::key::{self, Words};
use super::section::Section;
use super::setting::Setting;
use super::yaml::Value;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Distribution's defaults (`notifications/endpoint.go` there).
const THRESHOLD: u32 = 10;

/// Headers that the client sets itself.
const OWN_HEADERS: [HeaderName; 5] = [
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    SIGNATURE_HEADER,
    TRANSFER_ENCODING,
];

impl Words for NotificationAction {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("pull", Self::Pull),
        ("push", Self::Push),
        ("mount", Self::Mount),
        ("delete", Self::Delete),
    ];
}

impl Words for EventBatching {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("pulls_and_blobs", Self::PullsAndBlobs),
        ("all", Self::All),
    ];
}

/// On if there is an endpoint that is not disabled, and a registry.
pub(super) fn read(root: &mut Section<'_>, has_registry: bool) -> Option<NotificationSettings> {
    let key = key::mapping("notifications")
        .restart()
        .means("servers that are told of each push, pull and deletion, below")
        .otherwise("off");
    let settings = root.optional(key, read_section)?;
    if settings.endpoints.is_empty() {
        if let Some(setting) = root.present("notifications")
            && !has_endpoint(&setting)
        {
            let message = "no effect: there is no endpoint, so no server is told";
            setting.warn(Problem::NoEffect, message);
        }
        return None;
    }
    if !has_registry {
        let message = "there is no registry, so there is nothing to tell of";
        root.warn_about("notifications", Problem::NoEffect, message);
        return None;
    }
    Some(settings)
}

/// Whether the section has an endpoint, which may be disabled.
fn has_endpoint(section: &Setting<'_>) -> bool {
    let mut entries = section.entries_of_section().into_iter().flatten();
    entries.any(|entry| match &entry.value.value {
        Value::Null => false,
        Value::Sequence(items) => entry.key == "endpoints" && !items.is_empty(),
        Value::Scalar(_) | Value::Mapping(_) => entry.key == "endpoints",
    })
}

fn read_section(section: &mut Section<'_>) -> Option<NotificationSettings> {
    let include_references = section.always(
        key::mapping("events").restart().means("what they are told"),
        |events| {
            events.get(
                key::switch("includereferences")
                    .restart()
                    .means("whether the event of a manifest lists what the manifest refers to")
                    .default(false),
            )
        },
    );
    let batching = section.get(
        key::word("batching")
            .restart()
            .means(
                "which events may share a request if several wait: `pulls_and_blobs`, `all`, or \
                 `none` for receivers that read only the first event",
            )
            .default(EventBatching::PullsAndBlobs),
    );
    let secret = section.locate(
        key::text("secret")
            .restart()
            .secret()
            .means(
                "a secret that the endpoints know: each body is signed with it, in the header \
                 `X-Hub-Signature-256`",
            )
            .otherwise("bodies are not signed"),
    );
    let authorities = section.locate(
        key::path("ca_certificate")
            .restart()
            .means(
                "PEM: only endpoints with one of these certificates, or one that they signed, are \
                 trusted",
            )
            .otherwise("the system's authorities"),
    );
    let tls = backend_keys::trusting(authorities.as_ref());
    let queue = section.get(
        key::number("queue", 100..=10_000_000)
            .restart()
            .means(
                "how many notifications may wait for an endpoint in the database: if there are more, \
                 the oldest are set aside; as many that were delivered, and as many that were set \
                 aside, are kept",
            )
            .default(100_000_usize),
    );
    let memory_queue = section.get(
        key::number("memory_queue", 10..=1_000_000)
            .restart()
            .means(
                "how many notifications of pulls and of blobs may wait for an endpoint in memory; \
                 what does not fit is lost, and counted",
            )
            .default(10_000_usize),
    );
    let give_up = section.get(
        key::duration("give_up", MINUTE..=365 * DAY)
            .restart()
            .means("how long a notification in the database is tried before it is set aside")
            .default(7 * DAY),
    );
    let keep = section.get(
        key::duration("keep", HOUR..=365 * DAY)
            .restart()
            .means("how long notifications that were delivered or set aside are listed")
            .default(7 * DAY),
    );
    let endpoints = read_endpoints(section);
    let secret = match secret {
        Some(secret) if secret.value.is_empty() => {
            secret.setting.error("must not be empty");
            return None;
        }
        secret => secret.map(|secret| SigningSecret::new(secret.value.as_bytes())),
    };
    Some(NotificationSettings {
        endpoints,
        include_references,
        batching,
        secret,
        tls: tls?,
        queue,
        memory_queue,
        give_up,
        keep,
    })
}

/// The endpoints that are not disabled.
fn read_endpoints(section: &mut Section<'_>) -> Vec<EndpointSettings> {
    let list = section.structured(
        key::custom("endpoints", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .restart()
            .means("the servers that are told, below"),
        |section| drop(read_endpoint(section)),
    );
    let Some(items) = list.as_ref().and_then(Setting::items) else {
        return Vec::new();
    };
    let (mut endpoints, mut shown, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for item in &items {
        let Some((endpoint, effective)) = item.section(read_endpoint) else {
            continue;
        };
        shown.push(effective);
        let Some(endpoint) = endpoint else { continue };
        if !names.insert(endpoint.name.clone()) {
            let message = format!("another endpoint has the name {:?}, too", endpoint.name);
            item.report(Problem::Duplicate, message);
        }
        endpoints.push(endpoint);
    }
    section.show("endpoints", Effective::List(shown));
    endpoints
}

/// `None` if it is disabled, or cannot be used, which is reported.
fn read_endpoint(section: &mut Section<'_>) -> Option<EndpointSettings> {
    let name = section.find(
        key::parsed("name", "name", non_empty)
            .restart()
            .required("write what the log and the list of deliveries call it")
            .means("what the log and the list of deliveries call it"),
    );
    let is_disabled = section.get(
        key::switch("disabled")
            .restart()
            .means("whether it is told nothing")
            .default(false),
    );
    let url = section.locate(
        key::parsed("url", "URL", key::from_str::<EndpointUrl>)
            .restart()
            .means("what gets a `POST` with one or more events: `https` or `http`; a user name and a password in it are sent as `Authorization: Basic`"),
    );
    let headers = read_headers(section);
    let timeout = section.get(
        key::duration("timeout", MILLISECOND..=10 * MINUTE)
            .restart()
            .means("how long an attempt may take")
            .default(SECOND),
    );
    let threshold = section.get(
        key::number("threshold", 1..=1000)
            .restart()
            .means("after how many failures in a row there is a pause before each attempt")
            .default(THRESHOLD),
    );
    let backoff = section.get(
        key::duration("backoff", MILLISECOND..=HOUR)
            .restart()
            .means("how long this pause is")
            .default(SECOND),
    );
    let filter = read_filter(section);
    if is_disabled {
        return None;
    }
    let actions = NotificationAction::WORDS.iter();
    let mut actions = actions.map(|(_, action)| action);
    if actions.all(|action| filter.ignored_actions.contains(action)) {
        let message = "every action is ignored, so the endpoint is told nothing; write \
                       `disabled: true` if that is meant";
        section.warn_about("ignore", Problem::NoEffect, message);
    }
    let Some(url) = url else {
        if !section.has("url") && !section.context.is_describing() {
            let hint = "write the URL that is told, such as https://listener.example.com/event";
            section.error_about("url", Problem::Missing, hint);
        }
        return None;
    };
    let has_login = headers.contains_key(AUTHORIZATION) || url.value.has_login();
    if has_login && !url.value.is_encrypted() && !url.value.is_loopback() {
        let message = "the login of the endpoint is sent unencrypted; use https";
        url.setting.warn(Problem::Insecure, message);
    }
    Some(EndpointSettings {
        name: name?,
        url: url.value,
        headers,
        timeout,
        threshold,
        backoff,
        filter,
    })
}

fn read_filter(section: &mut Section<'_>) -> NotificationFilter {
    let mut ignored_media_types = section.get(
        key::texts("ignoredmediatypes")
            .restart()
            .means("the same as `ignore.mediatypes`; both lists count")
            .default(Vec::new()),
    );
    let key = key::mapping("ignore")
        .restart()
        .means("what it is not told; either list is enough");
    let (media_types, ignored_actions) = section.always(key, |ignore| {
        let media_types = ignore.get(
            key::texts("mediatypes")
                .restart()
                .means("media types of targets, as they are written in events")
                .default(Vec::new()),
        );
        let actions = ignore.get(
            key::one_or_many_words("actions")
                .restart()
                .means("actions")
                .default(Vec::new()),
        );
        (media_types, actions)
    });
    ignored_media_types.extend(media_types);
    NotificationFilter {
        ignored_media_types,
        ignored_actions,
    }
}

/// Headers with a value or several each, as Distribution writes them.
fn read_headers(section: &mut Section<'_>) -> HeaderMap {
    let kind = Kind::Names(Box::new(Kind::OneOrMany(Box::new(Kind::Text))));
    let setting = section.setting(
        key::custom("headers", kind)
            .restart()
            .means("further headers of each request, `NAME: [VALUE]`; the values are never shown")
            .otherwise("`{}`"),
    );
    let mut headers = HeaderMap::new();
    let entries = setting.and_then(|setting| setting.entries());
    let mut shown = Vec::new();
    for (entry, value) in entries.unwrap_or_default() {
        shown.push((entry.key.clone(), Effective::hidden()));
        let name = value.checked(header_name(&entry.key));
        for value in value.one_or_many().unwrap_or_default() {
            let value = value
                .parse(|text| HeaderValue::from_str(text).map_err(|_| "not allowed in a header"));
            if let (Some(name), Some(mut value)) = (&name, value) {
                value.set_sensitive(true);
                headers.append(name, value);
            }
        }
    }
    if !shown.is_empty() {
        section.show("headers", Effective::names(shown));
    }
    headers
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let name = HeaderName::try_from(name).map_err(|_| "not a header's name")?;
    match OWN_HEADERS.contains(&name) {
        true => Err(format!("{name} is set by the server; remove it")),
        false => Ok(name),
    }
}

fn non_empty(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(text.to_owned()),
    }
}
