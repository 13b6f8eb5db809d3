//! The report as text.

use std::fmt::Write;

use common::{rfc3339, unix_seconds};
use compatibility::{PredictedRejection, Prediction, RegistryVersion};
use serde_json::{Map, Value};
use token::Access;

use super::report::{HeaderKey, Report, Signature};
use crate::when::relative;

/// The whole of it.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::from("header\n");
    members(&mut text, &report.header, &["jwk", "x5c"], report);
    for carried in &report.carried {
        key(&mut text, carried, report.now);
    }
    text.push_str("claims\n");
    members(&mut text, &report.claims, &["access"], report);
    access(&mut text, report);
    line(&mut text, "", "signature", &signature(&report.signature));
    verdicts(&mut text, &report.verdicts);
    for mismatch in &report.mismatches {
        line(&mut text, "", "mismatch", mismatch);
    }
    for option in &report.not_compared {
        let _ = writeln!(
            text,
            "note: {} was not compared: add {option}",
            option.trim_start_matches("--")
        );
    }
    if report.verdicts.is_empty() {
        text.push_str(
            "note: whether registries accept it depends on their keys: add --certificate or --jwks\n",
        );
    }
    text
}

/// The plain members of an object; dates are also relative to now.
fn members(text: &mut String, object: &Map<String, Value>, others: &[&str], report: &Report) {
    for (name, value) in object
        .iter()
        .filter(|(name, _)| !others.contains(&name.as_str()))
    {
        let value = match value {
            Value::String(word) if word.is_empty() && name == "sub" => "(anonymous)".to_owned(),
            Value::String(word) => word.clone(),
            Value::Number(number) if ["exp", "nbf", "iat"].contains(&name.as_str()) => {
                match number.as_u64() {
                    Some(seconds) => {
                        format!("{} ({})", rfc3339(seconds), relative(seconds, report.now))
                    }
                    None => number.to_string(),
                }
            }
            other => other.to_string(),
        };
        line(text, "  ", name, &value);
    }
}

fn key(text: &mut String, carried: &HeaderKey, now: u64) {
    match &carried.key {
        Ok(key) => {
            let ids = key.ids();
            line(text, "  ", carried.member, &key.kind().to_string());
            line(text, "    ", "libtrust id", &ids.libtrust);
            line(text, "    ", "thumbprint", &ids.thumbprint);
            // Only if a registry computes something else.
            match &ids.registry_3_0 {
                Some(id) if *id != ids.thumbprint => line(text, "    ", "registry 3.0", id),
                Some(_) => {}
                None => line(text, "    ", "registry 3.0", "none"),
            }
            if ids.registry_3_1 != ids.thumbprint {
                line(text, "    ", "registry 3.1", &ids.registry_3_1);
            }
        }
        Err(error) => line(text, "  ", carried.member, error),
    }
    if let Some(certificate) = &carried.certificate {
        line(text, "    ", "certificate", certificate.subject());
        let until = unix_seconds(certificate.not_after());
        line(
            text,
            "    ",
            "valid until",
            &format!("{} ({})", rfc3339(until), relative(until, now)),
        );
    }
}

fn access(text: &mut String, report: &Report) {
    match (&report.read, report.claims.get("access")) {
        (_, None) => line(text, "  ", "access", "missing: registries grant nothing"),
        (Some(claims), _) if claims.access.is_empty() => line(text, "  ", "access", "none"),
        (Some(claims), _) => {
            for Access {
                resource_type,
                name,
                actions,
            } in &claims.access
            {
                let actions = if actions.is_empty() {
                    "nothing".to_owned()
                } else {
                    actions.join(", ")
                };
                line(
                    text,
                    "  ",
                    "access",
                    &format!("{resource_type} {name}: {actions}"),
                );
            }
        }
        (None, Some(raw)) => line(text, "  ", "access", &raw.to_string()),
    }
}

fn signature(signature: &Signature) -> String {
    match signature {
        Signature::Trusted { thumbprint } => {
            format!("valid, made with the key {thumbprint} that you gave")
        }
        Signature::Carried { thumbprint } => {
            format!("valid, made with the key {thumbprint} that the token carries (unverified)")
        }
        Signature::Unknown => "not verified: no matching key given".to_owned(),
        Signature::NotChecked => "not verified: no key given".to_owned(),
    }
}

/// Neighbouring registries with the same result share a line.
fn verdicts(text: &mut String, verdicts: &[(RegistryVersion, Prediction)]) {
    for group in verdicts.chunk_by(|one, other| one.1 == other.1) {
        let names: Vec<_> = group
            .iter()
            .map(|(registry, _)| registry.to_string())
            .collect();
        let Some((_, verdict)) = group.first() else {
            continue;
        };
        let name = format!("registry {}", names.join(", "));
        match verdict {
            Prediction::Accepted => line(text, "", &name, "accepted"),
            Prediction::Rejected(refusal) => refused(text, &name, "refused", refusal),
            Prediction::DoesNotStart(refusal) => {
                refused(text, &name, "would not start with these keys", refusal);
            }
            Prediction::NotApplicable => {
                line(
                    text,
                    "",
                    &name,
                    "reads no JWKS: give its rootcertbundle with --certificate",
                );
            }
            Prediction::Undecided(why) => {
                line(text, "", &name, &format!("cannot be predicted: {why}"));
            }
        }
    }
}

fn refused(text: &mut String, name: &str, what: &str, refusal: &PredictedRejection) {
    line(text, "", name, what);
    line(text, "  ", "it logs", &refusal.logged);
    if let Some(advice) = &refusal.advice {
        line(text, "  ", "to change", advice);
    }
}

/// A name and a value in columns. A token may come from any source, so its control characters are
/// escaped.
fn line(text: &mut String, indent: &str, name: &str, value: &str) {
    let width = if indent.is_empty() {
        0
    } else {
        16 - indent.len()
    };
    let separator = if indent.is_empty() { ": " } else { " " };
    let _ = writeln!(
        text,
        "{indent}{:<width$}{separator}{}",
        printable(name),
        printable(value)
    );
}

fn printable(text: &str) -> String {
    let escaped = text.chars().map(|c| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    });
    escaped.collect()
}
