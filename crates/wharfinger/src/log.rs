//! Where the log goes and in what form.
//!
//! A thread of its own writes the lines: a slow disk or a stopped pipe must not delay a response.
//! Lines that cannot be written for too long are dropped, and the next line says how many.
//!
//! (Not `tracing-appender`: it wakes its thread for every line, counts lines instead of bytes, and
//! does not write into the log how many it lost.)

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use common::{escape_json, escape_lines};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, filter::LevelFilter};

use crate::failure::Failure;
use crate::log_fields::TextFields;

/// How many bytes of lines may wait to be written.
const MAX_WAITING: usize = 8 << 20;

/// How long the writer rests after it has written. Under load it then writes hundreds of lines at
/// once, and a request need not wake it for each.
const REST: Duration = Duration::from_millis(5);

/// How long the writer may take to write what waits when the program ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people to read.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// Where the log goes, and how much of it.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
    /// Whether lines go to standard error.
    pub(crate) stderr: bool,
    /// The folder of the file `wharfinger.log`, to which lines are appended.
    pub(crate) folder: Option<PathBuf>,
}

/// The running log. When it is dropped, the lines that wait are written.
pub(crate) struct Log {
    queue: Arc<LineQueue>,
    writer: std::thread::JoinHandle<()>,
}

impl Log {
    /// Starts the log and makes it the one of the whole program.
    pub(crate) fn start(settings: &LogSettings) -> Result<Self, Failure> {
        let mut outputs = LogOutputs {
            stderr: settings.stderr,
            file: None,
            format: settings.format,
        };
        if let Some(folder) = &settings.folder {
            let path = folder.join("wharfinger.log");
            // Names of accounts and repositories are not for everyone on the machine.
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path);
            let file = file.map_err(|error| {
                Failure::usage(format!("cannot open the log file {}", path.display()))
                    .caused_by(&error)
            })?;
            outputs.file = Some(file);
        }
        let queue = Arc::new(LineQueue::default());
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(QueueWriter(Arc::clone(&queue)));
        let layer = match settings.format {
            LogFormat::Text => layer.fmt_fields(TextFields).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let level = LevelFilter::from_level(settings.level);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(level));
        tracing::subscriber::set_global_default(subscriber)
            .map_err(|error| Failure::system("cannot start the log").caused_by(&error))?;
        let writer = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name("log".to_owned())
                .spawn(move || queue.write_to(&mut outputs))
        };
        let writer = writer
            .map_err(|error| Failure::system("cannot start the log's thread").caused_by(&error))?;
        Ok(Self { queue, writer })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.close();
        // A writer that hangs on a stopped pipe must not keep the program from ending.
        let tries = SHUTDOWN_LIMIT.as_millis() / REST.as_millis();
        for _ in 0..tries {
            if self.writer.is_finished() {
                return;
            }
            std::thread::sleep(REST);
        }
    }
}

/// Lines on their way to the writer.
#[derive(Default)]
struct LineQueue {
    waiting: Mutex<QueuedLines>,
    arrived: Condvar,
    closing: Condvar,
}

#[derive(Default)]
struct QueuedLines {
    lines: Vec<u8>,
    dropped: u64,
    closed: bool,
    writer_sleeps: bool,
}

impl LineQueue {
    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + line.len() > MAX_WAITING {
            waiting.dropped += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        // A writer that writes or rests looks again by itself before it sleeps.
        let asleep = waiting.writer_sleeps;
        drop(waiting);
        if asleep {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.arrived.notify_one();
        self.closing.notify_one();
    }

    fn write_to(&self, outputs: &mut LogOutputs) {
        let mut lines = Vec::new();
        loop {
            let dropped;
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.writer_sleeps = true;
                while waiting.lines.is_empty() && waiting.dropped == 0 && !waiting.closed {
                    waiting = self
                        .arrived
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                waiting.writer_sleeps = false;
                std::mem::swap(&mut lines, &mut waiting.lines);
                dropped = std::mem::take(&mut waiting.dropped);
                if lines.is_empty() && dropped == 0 {
                    return;
                }
            }
            outputs.write(&lines);
            if dropped > 0 {
                outputs.write_loss(dropped);
            }
            lines.clear();
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Only the end wakes it early.
            let _ = self
                .closing
                .wait_timeout_while(waiting, REST, |waiting| !waiting.closed);
        }
    }
}

struct LogOutputs {
    stderr: bool,
    file: Option<File>,
    format: LogFormat,
}

impl LogOutputs {
    fn write_loss(&mut self, lines: u64) {
        let message = format!("the log could not keep up: {lines} lines are lost");
        self.write(
            match self.format {
                LogFormat::Text => format!("{message}\n"),
                LogFormat::Json => format!("{{\"level\":\"WARN\",\"message\":\"{message}\"}}\n"),
            }
            .as_bytes(),
        );
    }

    /// Writes to every output that works. Lines hold what clients sent, so they are made safe here.
    fn write(&mut self, lines: &[u8]) {
        let text = match std::str::from_utf8(lines) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(lines),
        };
        let safe = match self.format {
            LogFormat::Text => escape_lines(&text),
            LogFormat::Json => escape_json(&text),
        };
        let lines = safe.as_bytes();
        if self.stderr {
            let _ = io::stderr().write_all(lines);
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(lines);
        }
    }
}

/// Gives each event a place to be written to.
struct QueueWriter(Arc<LineQueue>);

impl<'a> MakeWriter<'a> for QueueWriter {
    type Writer = &'a LineQueue;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

/// The formatter hands over whole lines, one call each.
impl Write for &LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let queue = LineQueue::default();
        let line = vec![b'x'; MAX_WAITING / 2];
        for _ in 0..4 {
            queue.push(&line);
        }
        queue.close();
        let path = std::env::temp_dir().join(format!("wharfinger-log-{}", std::process::id()));
        let mut outputs = LogOutputs {
            stderr: false,
            file: Some(File::create(&path).unwrap()),
            format: LogFormat::Text,
        };
        queue.write_to(&mut outputs);
        let written = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(
            written.len(),
            MAX_WAITING + "the log could not keep up: 2 lines are lost\n".len()
        );
        assert!(written.ends_with("2 lines are lost\n"));
    }

    #[test]
    fn what_clients_send_is_escaped_in_both_formats() {
        for (format, expected) in [
            (LogFormat::Text, "a \\u{1b}[2J\\u{9b}\\u{202e}\n"),
            (LogFormat::Json, "a \\u001b[2J\\u009b\\u202e\n"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("log");
            let mut outputs = LogOutputs {
                stderr: false,
                file: Some(File::create(&path).unwrap()),
                format,
            };
            outputs.write("a \u{1b}[2J\u{9b}\u{202e}\n".as_bytes());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }
}
