//! Headers with a value or several each, as Distribution writes them.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::schema::Kind;
use super::setting::Setting;

/// The kind of a setting that has headers.
pub(super) fn kind() -> Kind {
    Kind::Names(Box::new(Kind::OneOrMany(Box::new(Kind::Text))))
}

/// The headers of a setting. Those that cannot be sent are reported.
pub(super) fn read(setting: Option<Setting<'_>>) -> HeaderMap {
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
    headers
}
