//! Where the log goes and in what form.
//!
//! A thread of its own writes the lines: a slow disk or a stopped pipe must not delay a response.
//! Lines that cannot be written for too long are dropped, and the next line says how many.
//!
//! SIGHUP has the files opened again, so that another program can move them away before (logrotate).
//!
//! (Not `tracing-appender`: it wakes its thread for every line, counts lines instead of bytes, and
//! does not write into the log how many it lost.)

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use common::Counter;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, filter::LevelFilter};

use crate::failure::Failure;
use crate::log_fields::TextFields;
use crate::log_outputs::{LogFile, LogFormat, LogOutputs};

/// How many bytes of lines may wait to be written.
const MAX_WAITING: usize = 8 << 20;

/// How long the writer rests after it has written. Under load it then writes hundreds of lines at
/// once, and a request need not wake it for each.
const REST: Duration = Duration::from_millis(5);

/// How long the writer may take to write what waits when the program ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Where the log goes, and how much of it.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
    /// Whether lines go to standard error.
    pub(crate) stderr: bool,
    /// The file to which lines are appended.
    pub(crate) file: Option<PathBuf>,
    /// The file to which lines of the access log are appended that have their own form. `None`: they
    /// go where all lines go.
    pub(crate) access_file: Option<PathBuf>,
}

/// The queue of the running log.
static RUNNING: OnceLock<Arc<LineQueue>> = OnceLock::new();

/// Has the log's files opened again.
pub(crate) fn reopen() {
    if let Some(queue) = RUNNING.get() {
        queue.reopen();
    }
}

/// Writes a line of the access log that has its own form.
pub(crate) fn write_access_line(line: &str) {
    if let Some(queue) = RUNNING.get() {
        queue.push_access(line.as_bytes());
    }
}

/// How many lines could not be written.
pub(crate) fn lost_lines() -> u64 {
    RUNNING.get().map_or(0, |queue| queue.lost.value())
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
            file: settings.file.clone().map(LogFile::open).transpose()?,
            access_file: settings
                .access_file
                .clone()
                .map(LogFile::open)
                .transpose()?,
            format: settings.format,
        };
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
        let _ = RUNNING.set(Arc::clone(&queue));
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
    /// How many lines were dropped since the start.
    lost: Counter,
}

#[derive(Default)]
struct QueuedLines {
    lines: Vec<u8>,
    /// Lines of the access log that have their own form.
    access: Vec<u8>,
    dropped: u64,
    /// Whether the files are to be opened again.
    reopen: bool,
    closed: bool,
    writer_sleeps: bool,
}

impl LineQueue {
    fn push(&self, line: &[u8]) {
        self.push_to(line, |waiting| &mut waiting.lines);
    }

    fn push_access(&self, line: &[u8]) {
        self.push_to(line, |waiting| &mut waiting.access);
    }

    fn reopen(&self) {
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reopen = true;
        self.arrived.notify_one();
    }

    fn push_to(&self, line: &[u8], lines: fn(&mut QueuedLines) -> &mut Vec<u8>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.lines.len() + waiting.access.len() + line.len() > MAX_WAITING {
            waiting.dropped += 1;
            self.lost.increment();
            return;
        }
        lines(&mut waiting).extend_from_slice(line);
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
        let (mut lines, mut access) = (Vec::new(), Vec::new());
        loop {
            let (dropped, reopen);
            {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.writer_sleeps = true;
                while waiting.is_empty() && !waiting.closed {
                    waiting = self
                        .arrived
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                waiting.writer_sleeps = false;
                if waiting.is_empty() {
                    return;
                }
                std::mem::swap(&mut lines, &mut waiting.lines);
                std::mem::swap(&mut access, &mut waiting.access);
                dropped = std::mem::take(&mut waiting.dropped);
                reopen = std::mem::take(&mut waiting.reopen);
            }
            if reopen {
                outputs.reopen();
            }
            outputs.write(&lines);
            outputs.write_access(&access);
            if dropped > 0 {
                outputs.write_loss(dropped);
            }
            lines.clear();
            access.clear();
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Only the end wakes it early.
            let _ = self
                .closing
                .wait_timeout_while(waiting, REST, |waiting| !waiting.closed);
        }
    }
}

impl QueuedLines {
    /// Whether there is nothing to do.
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.access.is_empty() && self.dropped == 0 && !self.reopen
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
            file: Some(LogFile::open(path.clone()).unwrap()),
            access_file: None,
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
        assert_eq!(queue.lost.value(), 2);
    }
}
