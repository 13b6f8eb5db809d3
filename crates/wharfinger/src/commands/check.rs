//! `wharfinger check`: whether a configuration can be used, without using it.

mod connect;
mod database;
mod storage;
mod tried_connection;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::escape_json;

use self::tried_connection::TriedConnection;
use super::runtime;
use crate::config::{self, Diagnostic, Diagnostics, LoadedConfig, Severity};
use crate::failure::Failure;
use crate::output;

/// Check a configuration and every file that it names, without starting anything
///
/// All errors are printed at once, as FILE:LINE:COLUMN: error: KEY: …, and the exit code is 1.
/// Warnings and notes are printed, too, and do not fail.
///
/// With --connect, a configuration that is right is also tried: the database, the bucket, the ACME
/// server, and each server and program that logins and rules need are asked once. Nothing in them is
/// changed, but an object is written to the bucket and removed. The exit code is 1 if one fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration's file
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Print what is in effect, defaults filled in and secrets left out
    #[arg(long)]
    print: bool,
    /// Print the findings as one JSON object: {file, fine, findings: [{severity, kind, key, file,
    /// line, column, message}]}; with --connect also connections: [{section, fine, found}]
    #[arg(long, conflicts_with = "print")]
    json: bool,
    /// Ask each server and program of the configuration, and say what was found
    #[arg(long, conflicts_with_all = ["print", "schema"])]
    connect: bool,
    /// Print the JSON Schema of a configuration, for editors, and check nothing
    #[arg(long, conflicts_with_all = ["file", "print", "json"])]
    schema: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Some(file) = &arguments.file else {
        output::print_json(&config::json_schema())?;
        return Ok(ExitCode::SUCCESS);
    };
    let loaded = config::load(file);
    if let (true, Ok(loaded)) = (arguments.print, &loaded) {
        // Standard output has nothing but the configuration, which a program may read.
        loaded.warnings.iter().for_each(output::note);
    }
    let tried = match (&loaded, arguments.connect) {
        (Ok(loaded), true) => Some(runtime::block_on(connect::try_all(&loaded.config))??),
        _ => None,
    };
    output::print(&report(file, arguments, &loaded, tried.as_deref()))?;
    let is_fine = tried.iter().flatten().all(|tried| tried.fine);
    Ok(if loaded.is_ok() && is_fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(
    file: &Path,
    arguments: &Arguments,
    loaded: &Result<LoadedConfig, Diagnostics>,
    tried: Option<&[TriedConnection]>,
) -> String {
    match loaded {
        Ok(loaded) if arguments.json => json(file, true, loaded.warnings.iter(), tried),
        Err(wrong) if arguments.json => json(file, false, wrong.iter(), tried),
        Ok(loaded) if arguments.print => loaded.effective.to_string(),
        Ok(loaded) => {
            let warnings = but(of(Severity::Warning, loaded.warnings.iter()));
            let fine = format!("{}: fine{warnings}\n", file.display());
            let tried = tried.map(connections).unwrap_or_default();
            lines(loaded.warnings.iter()) + &fine + &tried
        }
        Err(wrong) => lines(wrong.iter()) + &summary(wrong),
    }
}

fn lines<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    findings.map(|finding| format!("{finding}\n")).collect()
}

/// A line for each backend that was tried.
fn connections(tried: &[TriedConnection]) -> String {
    if tried.is_empty() {
        return "nothing to connect to: there is no token server, and the database and the content are \
                files of this machine\n"
            .to_owned();
    }
    tried.iter().map(|tried| format!("{tried}\n")).collect()
}

/// How many errors and warnings there are.
fn summary(wrong: &Diagnostics) -> String {
    let errors = count(of(Severity::Error, wrong.iter()), "error");
    let warnings = but(of(Severity::Warning, wrong.iter()));
    format!("{errors}{warnings}\n")
}

fn of<'a>(severity: Severity, findings: impl Iterator<Item = &'a Diagnostic>) -> usize {
    findings
        .filter(|finding| finding.severity == severity)
        .count()
}

fn but(warnings: usize) -> String {
    if warnings == 0 {
        String::new()
    } else {
        format!(", {}", count(warnings, "warning"))
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn json<'a>(
    file: &Path,
    fine: bool,
    findings: impl Iterator<Item = &'a Diagnostic>,
    tried: Option<&[TriedConnection]>,
) -> String {
    let findings = findings.map(|finding| {
        serde_json::json!({
            "severity": finding.severity.to_string(),
            "kind": finding.problem.to_string(),
            "key": finding.key,
            "file": finding.location.file.display().to_string(),
            "line": finding.location.position.line,
            "column": finding.location.position.column,
            "message": finding.text(),
        })
    });
    let findings: Vec<_> = findings.collect();
    let file = file.display().to_string();
    let mut report = serde_json::json!({ "file": file, "fine": fine, "findings": findings });
    if let Some(tried) = tried {
        report["connections"] = serde_json::json!(tried);
    }
    escape_json(&format!("{report}\n")).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is reported about a file of this content, the file being `c.yml`.
    fn reported(content: &str, print: bool, json: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yml");
        let arguments = Arguments {
            file: Some(file.clone()),
            print,
            json,
            connect: false,
            schema: false,
        };
        fs::write(&file, content).unwrap();
        let text = report(&file, &arguments, &config::load(&file), None);
        text.replace(&format!("{}/", folder.path().display()), "")
    }

    const WRONG: &str =
        "server: {addr: 5001}\ntoken: {issuer: I, expiration: 9}\nusers: {}\nacl: []\n";

    #[test]
    fn findings_are_counted() {
        let report = reported(WRONG, false, false);
        assert!(
            report.starts_with("c.yml:1:16: error: server.addr: `5001` has no port;"),
            "{report}"
        );
        assert!(report.ends_with("\n2 errors, 1 warning\n"), "{report}");
        assert_eq!(
            report,
            reported(WRONG, true, false),
            "what is wrong has nothing in effect to print"
        );
    }

    #[test]
    fn findings_as_json() {
        let report: serde_json::Value =
            serde_json::from_str(&reported(WRONG, false, true)).unwrap();
        assert_eq!(
            (&report["file"], &report["fine"]),
            (&"c.yml".into(), &false.into())
        );
        let first = &report["findings"][0];
        assert_eq!(
            (&first["severity"], &first["line"], &first["column"]),
            (&"error".into(), &1.into(), &16.into())
        );
        assert_eq!(
            (&first["key"], &first["kind"]),
            (&"server.addr".into(), &"invalid".into())
        );
        assert_eq!(report["findings"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_file_that_is_fine_is_called_so() {
        let folder = tempfile::tempdir().unwrap();
        let key = token::PrivateKey::generate(token::KeyKind::P256)
            .unwrap()
            .to_pkcs8_pem()
            .unwrap();
        fs::write(folder.path().join("k.key"), key.as_bytes()).unwrap();
        let token = format!(
            "token: {{issuer: I, expiration: 900, key: \"{}/k.key\"}}",
            folder.path().display()
        );
        let content =
            format!("server: {{addr: \":5001\"}}\n{token}\nusers: {{ann: {{}}}}\nacl: []\n");
        let report = reported(&content, false, false);
        assert_eq!(
            report,
            "c.yml:3:9: warning: users.ann: no password: anyone can log in as ann\nc.yml: fine, 1 warning\n"
        );
        assert!(reported(&content, true, false).starts_with("server:\n  addr: [\":5001\"]\n"));
    }
}
