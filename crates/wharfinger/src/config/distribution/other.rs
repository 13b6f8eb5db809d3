//! What is left: the version, the log, the catalog, and what is refused.

use super::http::is_used_list;
use super::translation::Translator;
use crate::config::diagnostics::Problem;
use crate::config::setting::Setting;

/// Distribution's only version.
const VERSION: &str = "0.1";

/// The most that a page of our catalog may have.
const MOST_ENTRIES: i64 = 100_000;

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

const LEVEL: &str = "server.log.level";

const SPARSE: &str = "registry.sparse";
const PLATFORMS: &str = "registry.validation.platforms";

pub(super) fn read_version(setting: &Setting<'_>, _: &mut Translator) {
    setting.parse(|text| match text {
        VERSION => Ok(()),
        _ => Err("must be 0.1, the only version that Distribution's files have"),
    });
}

/// Lower case, and the default for an empty text, as Distribution has it.
pub(super) fn read_level(setting: &Setting<'_>, translator: &mut Translator) {
    let level = setting.parse(|text| match text.to_lowercase() {
        level if level.is_empty() => Ok("info".to_owned()),
        level if LEVELS.contains(&level.as_str()) => Ok(level),
        _ => Err(format!("must be one of {}", LEVELS.join(", "))),
    });
    if let Some(level) = level {
        translator.text(LEVEL, level, setting);
    }
}

/// Deprecated there; `log.level` counts more.
pub(super) fn read_old_level(setting: &Setting<'_>, translator: &mut Translator) {
    if !translator.has(LEVEL) {
        read_level(setting, translator);
    }
}

pub(super) fn read_formatter(setting: &Setting<'_>, translator: &mut Translator) {
    let format = setting.parse(|text| match text {
        "" | "text" => Ok("text"),
        "json" | "logstash" => Ok("json"),
        _ => Err("must be text, json or logstash"),
    });
    if let Some(format) = format {
        translator.text("server.log.format", format, setting);
    }
}

pub(super) fn read_access_log(setting: &Setting<'_>, translator: &mut Translator) {
    if !setting.is_null() && setting.flag() == Some(true) {
        translator.text("server.log.access", "off", setting);
    }
}

/// Zero and less mean the default there.
pub(super) fn read_max_entries(setting: &Setting<'_>, translator: &mut Translator) {
    if setting.is_null() {
        return;
    }
    if let Some(number) = setting.integer().filter(|number| *number > 0) {
        translator.word("registry.catalog.max", &number.min(MOST_ENTRIES), setting);
    }
}

pub(super) fn refuse_middleware(setting: &Setting<'_>, _: &mut Translator) {
    if has_active_item(setting) {
        setting.report(
            Problem::Unsupported,
            "middleware is code of Distribution and cannot run here; remove it",
        );
    }
}

pub(super) fn refuse_proxy(setting: &Setting<'_>, _: &mut Translator) {
    let entries = if setting.is_null() {
        Vec::new()
    } else {
        setting.entries().unwrap_or_default()
    };
    let remote = entries.iter().find(|(entry, _)| entry.key == "remoteurl");
    let Some((_, remote)) = remote.filter(|(_, remote)| !remote.is_null()) else {
        return;
    };
    if remote.text().is_none_or(|text| !text.is_empty()) {
        remote.report(
            Problem::Unsupported,
            "a cache of another registry is not supported yet; remove proxy to serve what is \
             pushed here, and run the cache beside it",
        );
    }
}

pub(super) fn refuse_classes(setting: &Setting<'_>, _: &mut Translator) {
    if is_used_list(setting) {
        setting.report(
            Problem::Unsupported,
            "classes of repositories are not supported; let the token server decide who may push \
             where",
        );
    }
}

pub(super) fn read_schema1(setting: &Setting<'_>, _: &mut Translator) {
    if !setting.is_null() && setting.flag() == Some(true) {
        setting.warn(
            Problem::NoEffect,
            "manifests of schema 1 are refused all the same; push such images again with a \
             current tool",
        );
    }
}

pub(super) fn read_validation_disabled(setting: &Setting<'_>, translator: &mut Translator) {
    translator.is_validation_disabled = !setting.is_null() && setting.flag() == Some(true);
}

/// Which URLs layers may have. Nothing in it allows none, as there.
pub(super) fn read_urls(setting: &Setting<'_>, translator: &mut Translator) {
    if !setting.is_null() && !translator.is_validation_disabled {
        translator.whole("registry.validation.urls", setting);
    }
}

/// Whether an index needs its images, and of which platforms.
pub(super) fn read_indexes(setting: &Setting<'_>, translator: &mut Translator) {
    if setting.is_null() || translator.is_validation_disabled {
        return;
    }
    let entries = setting.entries().unwrap_or_default();
    let find = |name: &str| {
        let found = entries.iter().find(|(entry, _)| entry.key == name);
        found
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    };
    let platforms = find("platforms");
    let word = platforms.and_then(Setting::text).unwrap_or_default();
    let from = platforms.unwrap_or(setting);
    match word.to_lowercase().as_str() {
        "" | "all" => translator.text(SPARSE, "none", from),
        "none" => translator.text(SPARSE, "indexes", from),
        "list" => {
            translator.text(SPARSE, "none", from);
            if let Some(list) = find("platformlist") {
                translator.texts(PLATFORMS, platforms_of(list), list);
            }
        }
        _ => from.error("must be all, none or list"),
    }
}

/// `OS/ARCHITECTURE` of each item.
fn platforms_of(list: &Setting<'_>) -> Vec<String> {
    let items = list.items().unwrap_or_default();
    let platforms = items.iter().map(|item| {
        let entries = item.entries().unwrap_or_default();
        let text = |name: &str| {
            let found = entries.iter().find(|(entry, _)| entry.key == name);
            found
                .and_then(|(_, value)| value.text())
                .unwrap_or_default()
        };
        format!("{}/{}", text("os"), text("architecture"))
    });
    platforms.collect()
}

/// Whether any item of the list is in use. A value that cannot be read is.
fn has_active_item(list: &Setting<'_>) -> bool {
    if list.is_null() {
        return false;
    }
    let Some(items) = list.items() else {
        return true;
    };
    items
        .iter()
        .any(|item| !item.is_mapping() || !is_disabled(item))
}

fn is_disabled(item: &Setting<'_>) -> bool {
    let entries = item.entries().unwrap_or_default();
    entries
        .iter()
        .any(|(entry, setting)| entry.key == "disabled" && setting.flag() == Some(true))
}
