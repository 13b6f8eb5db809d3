//! The section `storage`: where content lies, and what may happen to it.

use std::time::Duration;

use super::draft::Draft;
use super::without_effect;
use crate::config::section::Section;
use crate::config::setting::Setting;
use crate::duration::{parse_duration, print_duration};

/// Where the `filesystem` driver keeps everything unless it is told where.
const DEFAULT_ROOT: &str = "/var/lib/registry";

/// Unfinished uploads that shall never be purged last ten years, the longest that our schema knows.
const NEVER: &str = "3650d";

/// The shortest time that an upload is kept here.
const SHORTEST: Duration = Duration::from_secs(3600);

const TUNING: [(&str, &str); 3] = [
    ("cache", "what a cache would hold is in the database"),
    ("tag", "the tags of a manifest are found by one query"),
    ("redirect", "content is always sent by the registry itself"),
];

/// Drivers of Distribution 2 and 3 that keep content elsewhere.
const ELSEWHERE: [(&str, &str); 6] = [
    ("s3", "S3"),
    ("gcs", "Google Cloud Storage"),
    ("azure", "Azure"),
    ("swift", "OpenStack Swift"),
    ("oss", "Alibaba Cloud OSS"),
    ("inmemory", "memory"),
];

const WRITE: &str = "write storage: {filesystem: {rootdirectory: /var/lib/registry}}";

pub(super) fn read(root: &mut Section<'_>, draft: &mut Draft<'_>) {
    let Some(storage) = root.setting("storage") else {
        root.context
            .error(root.position, format!("storage is missing: {WRITE}"));
        return;
    };
    storage.section(|storage| {
        read_section(storage, draft);
        Some(())
    });
}

fn read_section(storage: &mut Section<'_>, draft: &mut Draft<'_>) {
    let mut drivers = Vec::new();
    for (driver, place) in ELSEWHERE {
        if let Some(setting) = storage.present(driver) {
            setting.error(format_args!(
                "content cannot be kept in {place} yet; {WRITE}"
            ));
            drivers.push(driver);
        }
    }
    if let Some(filesystem) = storage.present("filesystem") {
        drivers.push("filesystem");
        read_filesystem(&filesystem, draft);
    }
    match drivers[..] {
        [] => storage.context.error(
            storage.position,
            format!("storage: no driver is chosen; {WRITE}"),
        ),
        [_] => {}
        _ => {
            let message = format!(
                "storage: there must be one driver, and here are {}",
                drivers.join(", ")
            );
            storage.context.error(storage.position, message);
        }
    }
    storage.section("delete", |delete| {
        let enabled = delete.setting("enabled")?;
        draft.word(
            "registry.storage.delete",
            &enabled.flag()?,
            enabled.position(),
        );
        Some(())
    });
    if !draft.has("registry.storage.delete") {
        draft.word("registry.storage.delete", &false, storage.position);
    }
    storage.section("maintenance", |maintenance| {
        maintenance.section("readonly", |readonly| {
            let enabled = readonly.setting("enabled")?;
            draft.word(
                "registry.storage.maintenance.readonly",
                &enabled.flag()?,
                enabled.position(),
            );
            Some(())
        });
        maintenance.section("uploadpurging", |purging| read_purging(purging, draft));
        Some(())
    });
    without_effect(storage, &TUNING);
}

/// The driver with its folder; `filesystem:` alone means the default one.
fn read_filesystem(filesystem: &Setting<'_>, draft: &mut Draft<'_>) {
    const ROOT: &str = "registry.storage.filesystem.root";
    if !filesystem.is_null() {
        filesystem.section(|section| {
            if let Some(root) = section.setting("rootdirectory")
                && let Some(text) = root.text().filter(|text| !text.is_empty())
            {
                draft.text(ROOT, text, root.position());
            }
            without_effect(
                section,
                &[(
                    "maxthreads",
                    "as many threads are used as there is work for",
                )],
            );
            Some(())
        });
    }
    if !draft.has(ROOT) {
        draft.text(ROOT, DEFAULT_ROOT, filesystem.position());
    }
}

fn read_purging(purging: &mut Section<'_>, draft: &mut Draft<'_>) -> Option<()> {
    const EXPIRE: &str = "registry.uploads.expire";
    let age = purging.setting("age");
    let expire = age.as_ref().and_then(|setting| expiry(setting));
    let (enabled, dry) = (purging.setting("enabled"), purging.setting("dryrun"));
    without_effect(
        purging,
        &[("interval", "an upload is purged as soon as it is too old")],
    );
    let is = |setting: &Option<Setting<'_>>| setting.as_ref().and_then(Setting::flag);
    let (off, only_said) = (is(&enabled) == Some(false), is(&dry) == Some(true));
    if let Some(setting) = dry.as_ref().filter(|_| only_said && !off) {
        setting.warn("nothing is said of uploads that would be purged, and none is purged");
    }
    match (
        enabled.filter(|_| off).or(dry.filter(|_| only_said)),
        age,
        expire,
    ) {
        (Some(kept), _, _) => draft.text(EXPIRE, NEVER, kept.position()),
        (None, Some(age), Some(expire)) => draft.text(EXPIRE, expire, age.position()),
        (None, _, _) => {}
    }
    Some(())
}

/// Go's lengths have a unit: a bare number is refused there, too.
fn expiry(age: &Setting<'_>) -> Option<String> {
    let length = age.parse(|text| match parse_duration(text) {
        Ok(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("`{text}` has no unit; write 2h10m or 168h"))
        }
        other => other.map_err(|error| error.to_string()),
    })?;
    if length < SHORTEST {
        age.warn("uploads are kept for an hour at least");
    }
    Some(print_duration(length.max(SHORTEST)))
}
