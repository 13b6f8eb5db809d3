//! `wharfinger check`: whether a configuration can be used, without using it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Diagnostic, Diagnostics, LoadedConfig, Severity};
use crate::failure::Failure;
use crate::output;

/// Check a configuration and every file that it names, without starting anything
///
/// Everything that is wrong is told at once, as FILE:LINE:COLUMN: error: …, and the exit code is 1.
/// Warnings are told, too, and do not fail.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The configuration's file
    file: PathBuf,
    /// Print what is in effect, defaults filled in and passwords left out
    #[arg(long)]
    print: bool,
    /// Print the findings as one JSON object: {file, fine, findings: [{severity, file, line,
    /// column, message}]}
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let loaded = config::load(&arguments.file);
    if let (true, Ok(loaded)) = (arguments.print, &loaded) {
        // On standard output stands nothing but the configuration, which a program may read.
        loaded.warnings.iter().for_each(output::note);
    }
    output::print(&report(arguments, &loaded))?;
    Ok(if loaded.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(arguments: &Arguments, loaded: &Result<LoadedConfig, Diagnostics>) -> String {
    match loaded {
        Ok(loaded) if arguments.json => json(arguments, true, loaded.warnings.iter()),
        Err(wrong) if arguments.json => json(arguments, false, wrong.iter()),
        Ok(loaded) if arguments.print => loaded.config.to_string(),
        Ok(loaded) => {
            let fine = format!(
                "{}: fine{}\n",
                arguments.file.display(),
                but(loaded.warnings.len())
            );
            lines(loaded.warnings.iter()) + &fine
        }
        Err(wrong) => lines(wrong.iter()) + &summary(wrong.iter()),
    }
}

fn lines<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    findings.map(|finding| format!("{finding}\n")).collect()
}

/// How many errors and warnings there are.
fn summary<'a>(findings: impl Iterator<Item = &'a Diagnostic>) -> String {
    let (errors, warnings): (Vec<_>, Vec<_>) =
        findings.partition(|finding| finding.severity == Severity::Error);
    format!("{}{}\n", count(errors.len(), "error"), but(warnings.len()))
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
    arguments: &Arguments,
    fine: bool,
    findings: impl Iterator<Item = &'a Diagnostic>,
) -> String {
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
    format!(
        "{}\n",
        serde_json::json!({ "file": file, "fine": fine, "findings": findings })
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is reported about a file of this content, the file being `c.yml`.
    fn reported(content: &str, print: bool, json: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let arguments = Arguments {
            file: folder.path().join("c.yml"),
            print,
            json,
        };
        fs::write(&arguments.file, content).unwrap();
        let text = report(&arguments, &config::load(&arguments.file));
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
            "c.yml:3:9: warning: users.ann: anybody may log in as ann, who has no password\nc.yml: fine, 1 warning\n"
        );
        assert!(reported(&content, true, false).starts_with("server:\n  addr: [\":5001\"]\n"));
    }
}
