//! `wharfinger check`: whether a configuration can be used, without using it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Diagnostic, Severity};
use crate::failure::Failure;

/// Check a configuration and every file that it names, without starting anything.
///
/// Everything that is wrong is told at once, as FILE:LINE:COLUMN: error: …, and the exit code is 1. Warnings are told,
/// too, and do not fail.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration's file.
    file: PathBuf,
    /// Print what is in effect, defaults filled in and passwords left out.
    #[arg(long)]
    print: bool,
    /// Print the findings as one JSON object: {file, fine, findings: [{severity, file, line, column, message}]}.
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = config::load(&arguments.file);
    let (report, code) = match &loaded {
        Ok(loaded) if arguments.json => (json(arguments, true, loaded.warnings.iter()), ExitCode::SUCCESS),
        Err(wrong) if arguments.json => (json(arguments, false, wrong.iter()), ExitCode::FAILURE),
        Ok(loaded) if arguments.print => {
            // On standard output stands nothing but the configuration, which a program may read.
            loaded.warnings.iter().for_each(|warning| eprintln!("{warning}"));
            (loaded.config.to_string(), ExitCode::SUCCESS)
        }
        Ok(loaded) => {
            let fine = format!("{}: fine{}\n", arguments.file.display(), but(loaded.warnings.len()));
            (lines(loaded.warnings.iter()) + &fine, ExitCode::SUCCESS)
        }
        Err(wrong) => (lines(wrong.iter()) + &summary(wrong.iter()), ExitCode::FAILURE),
    };
    // Whoever reads it may have seen enough.
    match io::stdout().write_all(report.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::trouble("cannot write the report").caused_by(&error))
        }
        _ => Ok(code),
    }
}

fn lines<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    findings.map(|finding| format!("{finding}\n")).collect()
}

/// How many errors and warnings there are.
fn summary<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.partition(|finding| finding.severity == Severity::Error);
    format!("{}{}\n", count(errors.len(), "error"), but(warnings.len()))
}

fn but(warnings: usize) -> String {
    if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn json<'a>(arguments: &Arguments, fine: bool, findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    let findings = findings.map(|finding| {
        serde_json::json!({
            "severity": finding.severity.to_string(),
            "file": finding.location.file.display().to_string(),
            "line": finding.location.position.line,
            "column": finding.location.position.column,
            "message": finding.message,
        })
    });
    let findings: Vec<_> = findings.collect();
    let file = arguments.file.display().to_string();
    format!("{}\n", serde_json::json!({ "file": file, "fine": fine, "findings": findings }))
}
