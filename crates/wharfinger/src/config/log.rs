//! `server.log`: what the log says, where it goes, and in which form.

use std::path::PathBuf;

use tracing::Level;

use super::diagnostics::Problem;
use super::schema::key::{self, Words};
use super::section::{Located, Section};
use crate::log_outputs::LogFormat;

/// What the log says and how.
#[derive(Clone, Debug)]
pub(crate) struct LogConfig {
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
    /// The file to which lines are appended, instead of standard error.
    pub(crate) file: Option<PathBuf>,
    /// Which requests of the registry have a line.
    pub(crate) access: AccessLogLevel,
    /// The form of these lines.
    pub(crate) access_format: AccessLogFormat,
    /// The file of these lines, if they have a form of their own.
    pub(crate) access_file: Option<PathBuf>,
    /// Of successful reads, one of so many has a line.
    pub(crate) access_sample: u64,
}

/// The form of a line of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogFormat {
    /// As all lines of the log, with fields.
    Fields,
    /// As web servers write it.
    Combined,
}

/// Which requests of the registry have a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLogLevel {
    /// Every request.
    All,
    /// Those that end with a status of 400 or above.
    Errors,
    /// None.
    Off,
}

impl LogConfig {
    /// Declares `server.log.*`.
    pub(super) fn read(log: &mut Section<'_>) -> Self {
        let config = Self::read_keys(log);
        if config.access_file.is_some() && config.access_format == AccessLogFormat::Fields {
            let message = "no effect without access_format: combined";
            log.warn_about("access_path", Problem::NoEffect, message);
        }
        if config.access == AccessLogLevel::Off {
            for name in ["access_format", "access_path", "access_sample"] {
                if log.has(name) {
                    log.warn_about(name, Problem::NoEffect, "no effect with access: off");
                }
            }
        }
        config
    }

    fn read_keys(log: &mut Section<'_>) -> Self {
        Self {
            level: log.get(
                key::word("level")
                    .means("the least severe lines to write; `-v=2` on the command line is `debug`")
                    .restart()
                    .default(Level::INFO),
            ),
            format: log.get(
                key::word("format")
                    .means("`json` writes one object a line")
                    .restart()
                    .default(LogFormat::Text),
            ),
            file: file(log.locate(
                key::path("file")
                    .means(
                        "the file to which lines are appended, instead of standard error; SIGHUP \
                         opens it again",
                    )
                    .restart()
                    .otherwise("standard error"),
            )),
            access: log.get(
                key::word("access")
                    .means(
                        "which requests of the registry have a line; `errors` are those with \
                         status 400 and above",
                    )
                    .default(AccessLogLevel::All),
            ),
            access_format: log.get(
                key::word("access_format")
                    .means(
                        "`combined` is the format of Apache and nginx; `fields` is that of all \
                         other lines",
                    )
                    .default(AccessLogFormat::Fields),
            ),
            access_file: file(log.locate(
                key::path("access_path")
                    .means("the file to which lines in the combined format are appended")
                    .restart()
                    .otherwise("where all lines go"),
            )),
            access_sample: log.get(
                key::number("access_sample", 1..=1_000_000)
                    .means("with `all`: of successful reads, only one of so many has a line")
                    .default(1),
            ),
        }
    }
}

/// The path of a file of the log, which need not exist.
fn file(located: Option<Located<'_, PathBuf>>) -> Option<PathBuf> {
    let located = located?;
    if located.value.is_dir() {
        let message = "is a directory: write the path of a file, such as \
                       /var/log/wharfinger/wharfinger.log";
        located.setting.report(Problem::File, message);
    }
    Some(located.value)
}

impl Words for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

impl Words for AccessLogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("errors", Self::Errors),
        ("off", Self::Off),
    ];
}

impl Words for AccessLogFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("fields", Self::Fields), ("combined", Self::Combined)];
}

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}
