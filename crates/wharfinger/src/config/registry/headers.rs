//! `registry.headers`: headers that every response has besides its own.

use http::{HeaderMap, HeaderValue};

use crate::config::effective::Effective;
use crate::config::headers;
use crate::config::schema::key;
use crate::config::section::Section;

/// Declares `registry.headers`.
pub(super) fn read_headers(section: &mut Section<'_>) -> HeaderMap {
    let setting = section.setting(
        key::custom("headers", headers::kind())
            .means("headers that every response carries besides its own")
            .otherwise("`{}`"),
    );
    let headers = headers::read(setting);
    let shown = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values = values.map(|value| Effective::quoted(text(value)));
        (name.to_string(), Effective::List(values.collect()))
    });
    section.show("headers", Effective::names(shown));
    headers
}
