//! `server.hsts`: the header `Strict-Transport-Security`.

use std::time::Duration;

use http::HeaderValue;

use super::diagnostics::Problem;
use super::schema::{Kind, key};
use super::section::Section;

const DAY: Duration = Duration::from_secs(86_400);

/// What `Strict-Transport-Security` says (RFC 6797 §6.1).
struct Hsts {
    max_age: Duration,
    include_subdomains: bool,
    preload: bool,
    enabled: bool,
}

impl Hsts {
    /// Each default is what `docker_auth` sends for `hsts: true`.
    fn read(hsts: &mut Section<'_>) -> Self {
        Self {
            max_age: hsts.get(
                key::duration("max_age", Duration::ZERO..=1000 * 365 * DAY)
                    .means("how long browsers keep to HTTPS")
                    .default(730 * DAY),
            ),
            include_subdomains: hsts.get(
                key::switch("include_subdomains")
                    .means("for subdomains, too")
                    .default(true),
            ),
            preload: hsts.get(
                key::switch("preload")
                    .means("asks for the browsers' preload lists")
                    .default(false),
            ),
            enabled: hsts.get(
                key::switch("enabled")
                    .means("false sends no header")
                    .default(true),
            ),
        }
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = format!("max-age={}", self.max_age.as_secs());
        if self.include_subdomains {
            value += "; includeSubDomains";
        }
        if self.preload {
            value += "; preload";
        }
        HeaderValue::from_str(&value).ok().filter(|_| self.enabled)
    }
}

/// Reads `server.hsts`: `true`, or what the header is to say.
pub(super) fn read(server: &mut Section<'_>) -> Option<HeaderValue> {
    let kind = Kind::Either(vec![Kind::Switch, Kind::Mapping(Vec::new())]);
    let key = key::custom("hsts", kind)
        .docker_auth()
        .means(
            "`true` sends `Strict-Transport-Security` for two years, with subdomains; or a \
             mapping, below",
        )
        .otherwise("false");
    let setting = server.structured(key, Hsts::read)?;
    if !setting.is_mapping() && setting.flag() != Some(true) {
        return None;
    }
    let (hsts, effective) = if setting.is_mapping() {
        setting.section(Hsts::read)?
    } else {
        // The defaults, as an empty mapping would have them.
        let mut section = Section::new(
            setting.context,
            &setting.name,
            setting.position(),
            Vec::new(),
        );
        (Hsts::read(&mut section), section.finish())
    };
    server.show("hsts", effective);
    // https://hstspreload.org takes no other.
    if hsts.preload && (hsts.max_age < 365 * DAY || !hsts.include_subdomains) {
        setting.warn(
            Problem::Doubtful,
            "preload lists ask for include_subdomains and a max_age of a year or more",
        );
    }
    hsts.header()
}
