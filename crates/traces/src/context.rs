//! Which trace a request belongs to: the header `traceparent`.

use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

/// The longest `tracestate` that is passed on, in bytes. The W3C requires 512 at least.
const TRACESTATE_LIMIT: usize = 512;

/// A span of a trace, as servers tell each other (W3C Trace Context §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) sampled: bool,
    /// What others say about the trace, which is passed on as it came.
    pub(crate) state: Option<Arc<str>>,
}

impl TraceContext {
    /// The span that the headers `traceparent` and `tracestate` name. A header of another form is
    /// ignored (§3.2.2.1 and §4.3).
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let (version, rest) = traceparent.split_at_checked(2)?;
        let version = hex::<1>(version)?[0];
        // Version 255 is not valid. Later versions may have more after the flags.
        let (rest, is_whole) = match rest.split_at_checked(53) {
            Some((rest, more)) => (rest, more.is_empty() || more.starts_with('-')),
            None => return None,
        };
        if version == 0xff || !is_whole || (version == 0 && traceparent.len() != 55) {
            return None;
        }
        let mut parts = rest.strip_prefix('-')?.split('-');
        let trace_id = hex::<16>(parts.next()?)?;
        let span_id = hex::<8>(parts.next()?)?;
        let flags = hex::<1>(parts.next()?)?[0];
        if trace_id == [0; 16] || span_id == [0; 8] || parts.next().is_some() {
            return None;
        }
        let state = tracestate.filter(|state| {
            !state.is_empty()
                && state.len() <= TRACESTATE_LIMIT
                && state
                    .bytes()
                    .all(|byte| matches!(byte, b'\t' | b' '..=b'~'))
        });
        Some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
            state: state.map(Arc::from),
        })
    }

    /// The header `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{}-{}-{:02x}",
            HEXLOWER.encode(&self.trace_id),
            HEXLOWER.encode(&self.span_id),
            u8::from(self.sampled)
        )
    }

    /// The header `tracestate`, if there is one.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the trace, in hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        HEXLOWER.encode(&self.trace_id)
    }

    /// Whether its spans are sent to a collector.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }
}

/// Bytes in lower case, which is the only form (§3.2.2.3).
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?
        .try_into()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_header_is_read_and_written() {
        let context = TraceContext::parse(HEADER, Some("congo=t61rcWkgMzE")).unwrap();
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.traceparent(), HEADER);
        assert_eq!(context.tracestate(), Some("congo=t61rcWkgMzE"));
        let unsampled = HEADER.replace("-01", "-00");
        let context = TraceContext::parse(&unsampled, None).unwrap();
        assert!(!context.is_sampled());
        // Flags that are not known are not passed on.
        let more = TraceContext::parse(&HEADER.replace("-01", "-ff"), None).unwrap();
        assert_eq!(more.traceparent(), HEADER);
    }

    #[test]
    fn a_later_version_may_have_more() {
        let later = HEADER.replacen("00", "01", 1);
        for header in [later.clone(), format!("{later}-what-comes")] {
            let context = TraceContext::parse(&header, None).unwrap();
            assert_eq!(context.traceparent(), HEADER);
        }
        assert_eq!(TraceContext::parse(&format!("{later}x"), None), None);
    }

    #[test]
    fn other_forms_are_ignored() {
        for header in [
            "",
            "00",
            "00-",
            &HEADER[..54],
            &format!("{HEADER}0"),
            &format!("{HEADER}-00"),
            &HEADER.to_uppercase(),
            &HEADER.replacen("00", "ff", 1),
            &HEADER.replacen("00", "0x", 1),
            &HEADER.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033310-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(header, None), None, "{header}");
        }
        for state in ["", &"x".repeat(513), "a=b\nc", "a=\u{e9}"] {
            let context = TraceContext::parse(HEADER, Some(state)).unwrap();
            assert_eq!(context.tracestate(), None, "{state}");
        }
    }

    #[test]
    fn fuzz_traceparent() {
        fuzz::target("traceparent", &[HEADER], |bytes| {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let Some(context) = TraceContext::parse(text, Some(text)) else {
                return false;
            };
            let again = TraceContext::parse(&context.traceparent(), context.tracestate());
            assert_eq!(again, Some(context));
            true
        });
    }
}
