//! `registry.headers`: headers that every response has besides its own.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

/// Headers with a value or several each, as Distribution writes them.
pub(super) fn read_headers(section: &mut Section<'_>) -> HeaderMap {
    let kind = Kind::Names(Box::new(Kind::OneOrMany(Box::new(Kind::Text))));
    let setting = section.setting(
        key::custom("headers", kind)
            .means("headers that every response carries besides its own")
            .otherwise("`{}`"),
    );
    let mut headers = HeaderMap::new();
    let entries = setting.and_then(|setting| setting.entries());
    for (entry, value) in entries.unwrap_or_default() {
        let name = HeaderName::try_from(entry.key.as_str());
        let name = value.checked(name.map_err(|_| "not a header's name"));
        for value in value.one_or_many().unwrap_or_default() {
            let value = value
                .parse(|text| HeaderValue::from_str(text).map_err(|_| "not allowed in a header"));
            if let (Some(name), Some(value)) = (&name, value) {
                headers.append(name, value);
            }
        }
    }
    let shown = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values = values.map(|value| Effective::quoted(text(value)));
        (name.to_string(), Effective::List(values.collect()))
    });
    section.show("headers", Effective::names(shown));
    headers
}
