//! Spans as OTLP has them: a message `ExportTraceServiceRequest` in Protocol Buffers.
//!
//! (OpenTelemetry protocol 1.x, `opentelemetry/proto/trace/v1/trace.proto`; Protocol Buffers,
//! "Encoding".)

use std::time::{SystemTime, UNIX_EPOCH};

use crate::finished::{AttributeValue, FinishedSpan, SpanKind};

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

/// The types of values on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    fn tag(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut message = Self::default();
        write(&mut message);
        self.bytes(field, &message.0);
    }

    fn time(&mut self, field: u64, time: SystemTime) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&nanoseconds.to_le_bytes());
    }

    /// A `KeyValue`, whose `value` is an `AnyValue`.
    fn attribute(&mut self, field: u64, name: &str, value: &AttributeValue) {
        self.message(field, |pair| {
            pair.text(1, name);
            pair.message(2, |any| match value {
                AttributeValue::Text(text) => any.bytes(1, text.as_bytes()),
                AttributeValue::Boolean(flag) => any.number(2, u64::from(*flag)),
                AttributeValue::Integer(number) => any.number(3, number.cast_unsigned()),
            });
        });
    }
}

/// The request that carries `spans`, of a process with these attributes.
pub(crate) fn export_request(resource: &[(String, String)], spans: &[FinishedSpan]) -> Vec<u8> {
    let mut request = Message::default();
    // resource_spans
    request.message(1, |all| {
        all.message(1, |message| {
            for (name, value) in resource {
                message.attribute(1, name, &AttributeValue::from(value.clone()));
            }
        });
        // scope_spans
        all.message(2, |scoped| {
            scoped.message(1, |scope| {
                scope.text(1, "wharfinger");
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for span in spans {
                scoped.message(2, |message| write_span(message, span));
            }
        });
    });
    request.0
}

fn write_span(message: &mut Message, span: &FinishedSpan) {
    message.bytes(1, &span.context.trace_id);
    message.bytes(2, &span.context.span_id);
    message.text(3, span.context.tracestate().unwrap_or_default());
    if let Some(parent) = &span.parent {
        message.bytes(4, parent);
    }
    message.text(5, &span.name);
    message.number(
        6,
        match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
    );
    message.time(7, span.begin);
    message.time(8, span.end);
    for (name, value) in &span.attributes {
        message.attribute(9, name, value);
    }
    if span.failed {
        // status: STATUS_CODE_ERROR
        message.message(15, |status| status.number(3, 2));
    }
    // flags: the trace is sampled, and it is not said whether the parent is elsewhere.
    message.tag(16, FIXED32);
    message.0.extend_from_slice(&1_u32.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::*;
    use crate::TraceContext;

    #[test]
    fn a_number_has_seven_bits_in_each_byte() {
        // The examples of Protocol Buffers, "Encoding".
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        assert_eq!(message.0, b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn a_span_has_its_fields_in_their_order() {
        let header = "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01";
        let span = FinishedSpan {
            context: TraceContext::parse(header, None).unwrap(),
            parent: Some([9; 8]),
            name: Cow::Borrowed("n"),
            kind: SpanKind::Server,
            begin: UNIX_EPOCH + Duration::from_nanos(1),
            end: UNIX_EPOCH + Duration::from_nanos(2),
            attributes: vec![("a", AttributeValue::Integer(-1))],
            failed: true,
        };
        let mut message = Message::default();
        write_span(&mut message, &span);
        let expected = [
            b"\x0a\x10\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10".as_slice(),
            b"\x12\x08\x11\x12\x13\x14\x15\x16\x17\x18",
            b"\x22\x08\x09\x09\x09\x09\x09\x09\x09\x09",
            b"\x2a\x01n\x30\x02",
            b"\x39\x01\x00\x00\x00\x00\x00\x00\x00\x41\x02\x00\x00\x00\x00\x00\x00\x00",
            b"\x4a\x10\x0a\x01a\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x7a\x02\x18\x02",
            b"\x85\x01\x01\x00\x00\x00",
        ];
        assert_eq!(message.0, expected.concat());
    }
}
