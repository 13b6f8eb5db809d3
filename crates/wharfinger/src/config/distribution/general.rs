//! What is left: the log, limits of lists, and sections that stand for things of Distribution's
//! own.

use super::draft::Draft;
use super::without_effect;
use crate::config::section::Section;
use crate::config::setting::Setting;

const LOG_TUNING: [(&str, &str); 3] = [
    ("fields", "lines carry the program's own fields"),
    ("hooks", "lines are sent nowhere but to standard error"),
    (
        "reportcaller",
        "lines name the part of the program that they come from",
    ),
];

const TUNING: [(&str, &str); 4] = [
    ("redis", "there is no cache outside of this process"),
    ("health", "/healthz answers health checks"),
    ("reporting", "errors are in the log, and are sent nowhere"),
    ("tags", "how many tags a page may have is fixed"),
];

/// The most that a page of our catalog may have.
const MOST_ENTRIES: i64 = 100_000;

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

pub(super) fn read(root: &mut Section<'_>, draft: &mut Draft<'_>) {
    let old_level = root.setting("loglevel");
    let level = root.section("log", |log| {
        let level = log.setting("level");
        if let Some(formatter) = log.setting("formatter")
            && let Some(format) = formatter.parse(format)
        {
            draft.text("server.log.format", format, formatter.position());
        }
        log.section("accesslog", |access| {
            let disabled = access.setting("disabled")?;
            if disabled.flag() == Some(true) {
                draft.text("server.log.access", "off", disabled.position());
            }
            Some(())
        });
        without_effect(log, &LOG_TUNING);
        level
    });
    if let Some(setting) = level.or(old_level)
        && let Some(level) = setting.parse(level_of)
    {
        draft.text("server.log.level", level, setting.position());
    }
    root.section("catalog", |catalog| {
        let most = catalog.setting("maxentries")?;
        // Nothing and less than nothing stand for the default there.
        if let Some(number) = most.integer().filter(|number| *number > 0) {
            draft.word(
                "registry.catalog.max",
                &number.min(MOST_ENTRIES),
                most.position(),
            );
        }
        Some(())
    });
    without_effect(root, &TUNING);
    refuse(root);
}

/// Lower case and nothing for the default, as Distribution has it.
fn level_of(text: &str) -> Result<String, String> {
    let level = text.to_lowercase();
    if LEVELS.contains(&level.as_str()) {
        Ok(level)
    } else {
        Err(format!("this must be one of {}", LEVELS.join(", ")))
    }
}

fn format(text: &str) -> Result<&'static str, &'static str> {
    match text {
        "" | "text" => Ok("text"),
        "json" | "logstash" => Ok("json"),
        _ => Err("this must be text, json or logstash"),
    }
}

/// What would be missed, or what somebody relies on.
fn refuse(root: &mut Section<'_>) {
    root.section("notifications", |notifications| {
        notifications.setting("events");
        if let Some(endpoints) = notifications.setting("endpoints").filter(has_active_item) {
            endpoints.error("nothing would be announced: notifications are not supported yet; remove the endpoints");
        }
        Some(())
    });
    root.section("proxy", |proxy| {
        let remote = proxy.setting("remoteurl");
        for key in ["username", "password", "ttl", "exec"] {
            proxy.setting(key);
        }
        let remote = remote.filter(|remote| remote.text().is_none_or(|text| !text.is_empty()))?;
        remote.error(
            "a cache of another registry is not supported yet; remove proxy to serve what is pushed here, and run the \
             cache beside it",
        );
        Some(())
    });
    root.section("middleware", |middleware| {
        for kind in ["registry", "repository", "storage"] {
            if let Some(list) = middleware.setting(kind).filter(has_active_item) {
                list.error(
                    "middleware is code of Distribution's own and cannot run here; remove it",
                );
            }
        }
        Some(())
    });
    root.section("policy", |policy| {
        policy.section("repository", |repository| {
            let classes =
                repository.setting("classes").filter(|list| list.items().is_none_or(|items| !items.is_empty()))?;
            classes.error("classes of repositories are not supported; let the token server decide who may push where");
            Some(())
        })
    });
    root.section("compatibility", |compatibility| {
        compatibility.section("schema1", |schema1| {
            for key in ["signingkeyfile", "trustkey"] {
                schema1.setting(key);
            }
            let enabled = schema1.setting("enabled")?;
            if enabled.flag()? {
                enabled.warn(
                    "manifests of schema 1 are refused all the same; push such images again with a tool of today",
                );
            }
            Some(())
        })
    });
    root.section("validation", read_validation);
}

fn read_validation(validation: &mut Section<'_>) -> Option<()> {
    let disabled = validation.flag("disabled") == Some(true);
    validation.flag("enabled");
    validation.section("manifests", |manifests| {
        manifests.section("urls", |urls| {
            for key in ["allow", "deny"] {
                let list = urls.setting(key).filter(|list| list.items().is_none_or(|items| !items.is_empty()));
                if let Some(list) = list.filter(|_| !disabled) {
                    list.error("URLs in manifests are kept as they are, never followed and never checked; remove this");
                }
            }
            Some(())
        });
        without_effect(manifests, &[("indexes", "an index is accepted with or without its images")]);
        Some(())
    })
}

/// Whether any item of the list is in use; what cannot be read is.
fn has_active_item(list: &Setting<'_>) -> bool {
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
