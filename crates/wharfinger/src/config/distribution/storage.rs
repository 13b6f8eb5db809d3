//! The section `storage`: where content is stored, and what may happen to it.

use std::time::Duration;

use common::{parse_duration, print_duration};

use super::translation::{Effect, Translator, nothing_else};
use crate::config::diagnostics::Problem;
use crate::config::setting::Setting;

/// The directory of the driver `filesystem`, unless another is set.
const DEFAULT_ROOT: &str = "/var/lib/registry";

/// Uploads that are never removed stay ten years, the longest that our schema knows.
const NEVER: &str = "3650d";

/// The shortest time that an upload is kept here.
const SHORTEST: Duration = Duration::from_secs(3600);

/// The longest, which is that of [`NEVER`].
const LONGEST: Duration = Duration::from_secs(3650 * 24 * 3600);

pub(super) const WRITE: &str = "write storage: {filesystem: {rootdirectory: /var/lib/registry}}";

const ROOT: &str = "registry.storage.filesystem.root";
const IN_MEMORY: &str = "registry.storage.inmemory";
const EXPIRE: &str = "registry.uploads.expire";

pub(super) fn read(storage: &Setting<'_>, translator: &mut Translator) {
    if storage.is_null() {
        return;
    }
    translator.section(storage, "storage", true, |section, translator| {
        let filesystem = section.present("filesystem");
        if let Some(filesystem) = &filesystem {
            translator.section(filesystem, "storage.filesystem", false, nothing_else);
            let position = filesystem.position();
            translator.default(ROOT, &DEFAULT_ROOT, "storage.filesystem", position);
        }
        let in_memory = section.present("inmemory");
        if let Some(in_memory) = &in_memory {
            translator.section(in_memory, "storage.inmemory", false, nothing_else);
            translator.word(IN_MEMORY, &true, in_memory);
        }
        let s3 = section.present("s3");
        if let Some(s3) = &s3 {
            translator.section(s3, "storage.s3", false, nothing_else);
        }
        // Distribution deletes nothing unless it is told to.
        translator.default(
            "registry.storage.delete",
            &false,
            "storage.delete",
            section.position,
        );
        let mut drivers: Vec<_> = translator
            .names_in("storage")
            .into_iter()
            .filter(|name| is_other_driver(translator, name) && section.present(name).is_some())
            .collect();
        drivers.extend(filesystem.map(|_| "filesystem"));
        drivers.extend(in_memory.map(|_| "inmemory"));
        drivers.extend(s3.map(|_| "s3"));
        match drivers[..] {
            [] => section.error(Problem::Missing, format!("no driver is chosen; {WRITE}")),
            [_] => {}
            _ => {
                let message = format!("only one driver is allowed, not {}", drivers.join(", "));
                section.error(Problem::Conflict, message);
            }
        }
    });
}

/// Whether `name` is a driver that stores content elsewhere.
fn is_other_driver(translator: &Translator, name: &str) -> bool {
    let row = translator.find(&format!("storage.{name}"));
    row.is_some_and(|row| matches!(row.effect, Effect::Refused(_)))
}

/// Only drivers with redirects read it, in Distribution too.
pub(super) fn read_redirect(disable: &Setting<'_>, translator: &mut Translator) {
    if disable.is_null() {
        return;
    }
    if let Some(is_off) = disable.flag() {
        translator.word("registry.storage.redirect.enabled", &!is_off, disable);
    }
}

/// In Distribution nothing but `true` without quotes switches deletion on.
pub(super) fn read_delete(enabled: &Setting<'_>, translator: &mut Translator) {
    if enabled.is_null() {
        return;
    }
    let is_on = enabled.known_flag();
    if is_on.is_none() {
        let message = "nothing is deleted: only `true` without quotes allows it";
        enabled.warn(Problem::NoEffect, message);
    }
    translator.word(
        "registry.storage.delete",
        &is_on.unwrap_or_default(),
        enabled,
    );
}

pub(super) fn read_purging(purging: &Setting<'_>, translator: &mut Translator) {
    if purging.is_null() {
        return;
    }
    let path = "storage.maintenance.uploadpurging";
    translator.section(purging, path, false, |section, translator| {
        let something = |setting: &Setting<'_>| !setting.is_null();
        let [age, enabled, dry_run] =
            ["age", "enabled", "dryrun"].map(|name| section.present(name).filter(something));
        let is = |setting: &Option<Setting<'_>>| setting.as_ref().and_then(Setting::flag);
        let (is_off, is_dry) = (is(&enabled) == Some(false), is(&dry_run) == Some(true));
        if let Some(setting) = dry_run.as_ref().filter(|_| is_dry && !is_off) {
            let message = "no upload is removed, and none is listed";
            setting.warn(Problem::NoEffect, message);
        }
        // Of a purge that is off, Distribution does not read the age.
        let expire = age.as_ref().filter(|_| !is_off).and_then(expiry);
        let kept = enabled.filter(|_| is_off).or(dry_run.filter(|_| is_dry));
        match (kept, age, expire) {
            (Some(kept), ..) => translator.text(EXPIRE, NEVER, &kept),
            (None, Some(age), Some(expire)) => translator.text(EXPIRE, expire, &age),
            (None, ..) => {}
        }
    });
}

/// Go's lengths of time have a unit: a bare number is refused there, too.
fn expiry(age: &Setting<'_>) -> Option<String> {
    let length = age.parse(|text| match parse_duration(text) {
        Ok(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("`{text}` has no unit; write 2h10m or 168h"))
        }
        other => other.map_err(|error| error.to_string()),
    })?;
    if length < SHORTEST {
        age.warn(Problem::NoEffect, "uploads are kept for at least an hour");
    } else if length > LONGEST {
        age.warn(Problem::NoEffect, "uploads are kept for ten years at most");
    }
    Some(print_duration(length.clamp(SHORTEST, LONGEST)))
}
