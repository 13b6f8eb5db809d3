//! JSON as Go writes it, for what `docker_auth`'s programs and policies read.

use serde::Serialize;

/// `value` as Go's `encoding/json` writes it: without spaces, and with `<`, `>`, `&` and the two line
/// separators escaped. Those occur only inside strings.
pub(super) fn go_json(value: &impl Serialize) -> String {
    #[expect(
        clippy::expect_used,
        reason = "strings and maps with string keys always have a JSON form"
    )]
    let json = serde_json::to_string(value).expect("plain data");
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}
