//! What an endpoint gets: Distribution's envelope, to the byte.
//!
//! Each event is written into the body as it happens, because a registry has more pulls than anything
//! else, and nearly all of what is written is text that is known beforehand.

use serde::{Deserialize, Serialize};
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::json_text::{put_escaped, put_json};
use crate::{DescriptorRecord, Notification};

/// The media type of an envelope.
pub const ENVELOPE_MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";

/// What stands before the first event of an envelope, between two, and after the last.
const BEGIN: &[u8] = b"{\n   \"events\": [\n      ";
const BETWEEN: &[u8] = b",\n      ";
const END: &[u8] = b"\n   ]\n}";

/// How far the members of a target are indented.
const MEMBER_INDENT: &[u8] = b"\n            ";

/// The body of a request that tells of `notifications`.
#[must_use]
pub fn envelope(notifications: &[&Notification<'_>]) -> Vec<u8> {
    let mut envelope = EnvelopeBody::default();
    for notification in notifications {
        envelope.push(&event_text(notification));
    }
    envelope.finish()
}

/// The events of an envelope.
pub(crate) fn events(body: &[u8]) -> Result<Vec<Notification<'static>>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Envelope {
        events: Vec<Notification<'static>>,
    }
    serde_json::from_slice(body).map(|envelope: Envelope| envelope.events)
}

/// The body of a request, while events are added to it.
#[derive(Debug, Default)]
pub(crate) struct EnvelopeBody {
    bytes: Vec<u8>,
    events: usize,
}

impl EnvelopeBody {
    /// Adds an event, written by [`event_text`].
    pub(crate) fn push(&mut self, event: &[u8]) {
        let before = if self.events == 0 { BEGIN } else { BETWEEN };
        self.bytes.reserve(before.len() + event.len() + END.len());
        self.bytes.extend_from_slice(before);
        self.bytes.extend_from_slice(event);
        self.events += 1;
    }

    /// How many events it has.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// How many bytes it has, without its end.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The whole body.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(END);
        self.bytes
    }
}

/// The text between a member of an event and its value. `$indent` is that of the member.
macro_rules! key {
    ($before:literal, $name:literal) => {
        concat!($before, "\"", $name, "\": ").as_bytes()
    };
}

/// An event as it stands in an envelope.
pub(crate) fn event_text(notification: &Notification<'_>) -> Vec<u8> {
    let Notification {
        id,
        timestamp,
        action,
        target,
        request,
        actor,
        source,
    } = notification;
    let mut out = Vec::with_capacity(1280);
    out.push(b'{');
    let mut separator: &[u8] = b"\n         ";
    if !id.is_empty() {
        out.extend_from_slice(separator);
        put(&mut out, key!("", "id"), id);
        separator = b",\n         ";
    }
    out.extend_from_slice(separator);
    put(&mut out, key!("", "timestamp"), timestamp);
    put(&mut out, key!(",\n         ", "action"), action.word());

    out.extend_from_slice(b",\n         \"target\": {");
    put(
        &mut out,
        key!("\n            ", "mediaType"),
        &target.media_type,
    );
    put(&mut out, key!(",\n            ", "digest"), &target.digest);
    put_number(&mut out, key!(",\n            ", "size"), target.size);
    if target.length != 0 {
        put_number(&mut out, key!(",\n            ", "length"), target.length);
    }
    let repository = key!(",\n            ", "repository");
    put_if_any(&mut out, repository, &target.repository);
    let from = key!(",\n            ", "fromRepository");
    put_if_any(&mut out, from, &target.from_repository);
    put_if_any(&mut out, key!(",\n            ", "url"), &target.url);
    put_if_any(&mut out, key!(",\n            ", "tag"), &target.tag);
    if !target.references.is_empty() {
        out.extend_from_slice(key!(",\n            ", "references"));
        put_references(&mut out, &target.references);
    }

    out.extend_from_slice(b"\n         },\n         \"request\": {");
    put(&mut out, key!("\n            ", "id"), &request.id);
    put_if_any(&mut out, key!(",\n            ", "addr"), &request.addr);
    put_if_any(&mut out, key!(",\n            ", "host"), &request.host);
    put(&mut out, key!(",\n            ", "method"), &request.method);
    let useragent = key!(",\n            ", "useragent");
    put(&mut out, useragent, &request.useragent);

    out.extend_from_slice(b"\n         },\n         \"actor\": {");
    put_if_any(&mut out, key!("\n            ", "name"), &actor.name);
    if !actor.name.is_empty() {
        out.extend_from_slice(b"\n         ");
    }
    out.extend_from_slice(b"},\n         \"source\": {");
    put_if_any(&mut out, key!("\n            ", "addr"), &source.addr);
    if !source.instance_id.is_empty() {
        let comma: &[u8] = if source.addr.is_empty() { b"" } else { b"," };
        out.extend_from_slice(comma);
        let instance_id = key!("\n            ", "instanceID");
        put(&mut out, instance_id, &source.instance_id);
    }
    if !source.addr.is_empty() || !source.instance_id.is_empty() {
        out.extend_from_slice(b"\n         ");
    }
    out.extend_from_slice(b"}\n      }");
    out
}

fn put(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    out.push(b'"');
    put_escaped(out, value.as_bytes());
    out.push(b'"');
}

fn put_if_any(out: &mut Vec<u8>, key: &[u8], value: &str) {
    if !value.is_empty() {
        put(out, key, value);
    }
}

fn put_number(out: &mut Vec<u8>, key: &[u8], number: u64) {
    out.extend_from_slice(key);
    let (mut digits, mut rest, mut begin) = ([0; 20], number, 20);
    loop {
        begin -= 1;
        digits[begin] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[begin..]);
}

/// A list of descriptors. It is rare, and has the form of the general writer, moved to its place.
fn put_references(out: &mut Vec<u8>, references: &[DescriptorRecord]) {
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"   "));
    // It has only texts and numbers, and goes to memory.
    if references.serialize(&mut writer).is_err() {
        text = b"[]".to_vec();
    }
    // Within a string, a line feed is escaped.
    for (place, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if place > 0 {
            out.extend_from_slice(MEMBER_INDENT);
        }
        put_json(out, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ActorRecord, NotificationAction, NotificationTarget, RequestRecord, SourceRecord};

    fn pushed() -> Notification<'static> {
        Notification {
            id: "asdf-asdf-asdf-asdf-0".into(),
            timestamp: "2006-01-02T15:04:05Z".into(),
            action: NotificationAction::Push,
            target: NotificationTarget {
                media_type: "application/vnd.docker.distribution.manifest.v2+json".into(),
                digest: "sha256:0123456789abcdef0".into(),
                size: 1,
                length: 1,
                repository: "library/test".into(),
                url: "http://example.com/v2/library/test/manifests/latest".into(),
                ..NotificationTarget::default()
            },
            request: RequestRecord {
                id: "asdfasdf".into(),
                addr: "client.local".into(),
                host: "registrycluster.local".into(),
                method: "PUT".into(),
                useragent: "test/0.1".into(),
            },
            actor: ActorRecord {
                name: "test-actor".into(),
            },
            source: SourceRecord {
                addr: "hostname.local:port".into(),
                instance_id: "".into(),
            },
        }
    }

    /// The bytes that Distribution's own test expects of its first event.
    #[test]
    fn it_is_distributions_to_the_byte() {
        let expected = r#"{
   "events": [
      {
         "id": "asdf-asdf-asdf-asdf-0",
         "timestamp": "2006-01-02T15:04:05Z",
         "action": "push",
         "target": {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "digest": "sha256:0123456789abcdef0",
            "size": 1,
            "length": 1,
            "repository": "library/test",
            "url": "http://example.com/v2/library/test/manifests/latest"
         },
         "request": {
            "id": "asdfasdf",
            "addr": "client.local",
            "host": "registrycluster.local",
            "method": "PUT",
            "useragent": "test/0.1"
         },
         "actor": {
            "name": "test-actor"
         },
         "source": {
            "addr": "hostname.local:port"
         }
      }
   ]
}"#;
        assert_eq!(String::from_utf8(envelope(&[&pushed()])).unwrap(), expected);
    }

    #[test]
    fn what_is_empty_is_left_out_where_distribution_leaves_it_out() {
        let deleted = Notification {
            action: NotificationAction::Delete,
            target: NotificationTarget {
                repository: "a".into(),
                tag: "1".into(),
                ..NotificationTarget::default()
            },
            request: RequestRecord::default(),
            actor: ActorRecord::default(),
            source: SourceRecord::default(),
            ..pushed()
        };
        let expected = r#"{"id":"asdf-asdf-asdf-asdf-0","timestamp":"2006-01-02T15:04:05Z","action":"delete","target":{"mediaType":"","digest":"","size":0,"repository":"a","tag":"1"},"request":{"id":"","method":"","useragent":""},"actor":{},"source":{}}"#;
        assert_eq!(serde_json::to_string(&deleted).unwrap(), expected);
    }

    #[test]
    fn it_escapes_as_go_does() {
        let mut notification = pushed();
        notification.request.useragent = "<a&b>\u{2028}\u{2029}\u{1}\"é".into();
        let body = String::from_utf8(envelope(&[&notification])).unwrap();
        let escaped = r#""useragent": "\u003ca\u0026b\u003e\u2028\u2029\u0001\"é""#;
        assert!(body.contains(escaped), "{body}");
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        let read: Notification = serde_json::from_value(read["events"][0].clone()).unwrap();
        assert_eq!(read, notification);
    }
}
