//! The fields of a line of the log, as `tracing-subscriber` writes them in text, but faster.
//!
//! That formats each text with `{:?}`, character by character. Most texts are printable ASCII without
//! quotes and need no escaping.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{MakeVisitor, VisitFmt, VisitOutput};
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Writes `name="text" other=7`.
pub(crate) struct TextFields;

/// Writes the fields of one event.
pub(crate) struct TextVisitor<'a> {
    writer: Writer<'a>,
    is_empty: bool,
    result: fmt::Result,
}

impl<'a> MakeVisitor<Writer<'a>> for TextFields {
    type Visitor = TextVisitor<'a>;

    fn make_visitor(&self, writer: Writer<'a>) -> TextVisitor<'a> {
        TextVisitor {
            writer,
            is_empty: true,
            result: Ok(()),
        }
    }
}

impl TextVisitor<'_> {
    fn write_quoted(&mut self, name: &str, value: &str) -> fmt::Result {
        let space = if self.is_empty { "" } else { " " };
        for part in [space, name, "=\"", value, "\""] {
            self.writer.write_str(part)?;
        }
        Ok(())
    }

    fn by_default(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
        record(&mut visitor);
        let result = visitor.finish();
        self.result = self.result.and(result);
        self.is_empty = false;
    }
}

impl Visit for TextVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // Without an early end, many bytes are compared at once.
        let is_plain = value.bytes().fold(true, |is_plain, byte| {
            is_plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
        });
        let is_special = field.name() == "message" || field.name().contains(['.', '#']);
        if is_special || !is_plain {
            return self.by_default(|visitor| visitor.record_str(field, value));
        }
        let result = self.write_quoted(field.name(), value);
        self.result = self.result.and(result);
        self.is_empty = false;
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.by_default(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.by_default(|visitor| visitor.record_debug(field, value));
    }
}

impl VisitOutput<fmt::Result> for TextVisitor<'_> {
    fn finish(self) -> fmt::Result {
        self.result
    }
}

impl VisitFmt for TextVisitor<'_> {
    fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::FormatFields;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What several events become, written with these fields.
    fn lines<F>(fields: F) -> String
    where
        F: for<'a> FormatFields<'a> + Send + Sync + 'static,
    {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(fields)
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            for text in ["", "plain", "a b", "a\"b", "a\\b", "é", "\u{1b}[2J\n", "'"] {
                tracing::info!(
                    first = text,
                    count = 7,
                    is = true,
                    last = text,
                    "message {text}"
                );
                tracing::info!(
                    text,
                    none = None::<&str>,
                    some = Some(text),
                    owned = text.to_owned()
                );
                tracing::info!(message = text, r#type = text, dotted.name = text);
                let error = io::Error::other(text);
                tracing::info!(error = &error as &dyn Error, shown = %text, debugged = ?text);
            }
        });
        let lines = lines.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn every_line_is_as_by_default() {
        let expected = lines(DefaultFields::new());
        assert!(expected.lines().count() >= 32, "{expected}");
        assert_eq!(lines(TextFields), expected);
    }
}
