//! The files and the stream to which the log is written.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use common::{escape_json, escape_lines};

use crate::failure::Failure;

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people to read.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// A file to which lines are appended.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        // Names of accounts and repositories are not for everyone on the machine.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path);
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => {
                let what = format!("cannot open the log file {}", path.display());
                Err(Failure::usage(what).caused_by(&error))
            }
        }
    }

    /// Opens the file again that is at the path now. If that fails, lines go where they went.
    fn reopen(&mut self) {
        match Self::open(self.path.clone()) {
            Ok(opened) => *self = opened,
            Err(failure) => tracing::error!(%failure, "the log goes on in the old file"),
        }
    }
}

/// Every place to which lines go.
pub(crate) struct LogOutputs {
    pub(crate) stderr: bool,
    pub(crate) file: Option<LogFile>,
    pub(crate) access_file: Option<LogFile>,
    pub(crate) format: LogFormat,
}

impl LogOutputs {
    pub(crate) fn reopen(&mut self) {
        for file in [&mut self.file, &mut self.access_file]
            .into_iter()
            .flatten()
        {
            file.reopen();
        }
    }

    /// Writes lines of the access log that have their own form.
    pub(crate) fn write_access(&mut self, lines: &[u8]) {
        let text = String::from_utf8_lossy(lines);
        let lines = escape_lines(&text);
        match &mut self.access_file {
            Some(file) => {
                let _ = file.file.write_all(lines.as_bytes());
            }
            None => self.write_safe(lines.as_bytes()),
        }
    }

    pub(crate) fn write_loss(&mut self, lines: u64) {
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
    pub(crate) fn write(&mut self, lines: &[u8]) {
        let text = match std::str::from_utf8(lines) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(lines),
        };
        let safe = match self.format {
            LogFormat::Text => escape_lines(&text),
            LogFormat::Json => escape_json(&text),
        };
        self.write_safe(safe.as_bytes());
    }

    fn write_safe(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.stderr {
            let _ = io::stderr().write_all(lines);
        }
        if let Some(file) = &mut self.file {
            let _ = file.file.write_all(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (main, access) = (folder.path().join("main"), folder.path().join("access"));
        let mut outputs = LogOutputs {
            stderr: false,
            file: Some(LogFile::open(main.clone()).unwrap()),
            access_file: Some(LogFile::open(access.clone()).unwrap()),
            format: LogFormat::Text,
        };
        outputs.write(b"1\n");
        outputs.write_access(b"a\n");
        for path in [&main, &access] {
            std::fs::rename(path, path.with_extension("old")).unwrap();
        }
        outputs.write(b"2\n");
        outputs.reopen();
        outputs.write(b"3\n");
        outputs.write_access(b"b \x1b\n");
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!(read(main.with_extension("old")), "1\n2\n");
        assert_eq!(read(main), "3\n");
        assert_eq!(read(access.with_extension("old")), "a\n");
        assert_eq!(read(access), "b \\u{1b}\n");
        // A folder that is gone costs no line.
        outputs.file.as_mut().unwrap().path = folder.path().join("missing/main");
        outputs.reopen();
        outputs.write(b"4\n");
        assert_eq!(read(folder.path().join("main")), "3\n4\n");
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
                file: Some(LogFile::open(path.clone()).unwrap()),
                access_file: None,
                format,
            };
            outputs.write("a \u{1b}[2J\u{9b}\u{202e}\n".as_bytes());
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
    }
}
