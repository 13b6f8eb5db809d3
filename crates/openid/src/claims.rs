//! Finding a claim by a path.

use serde_json::{Map, Value};

/// The claim called `path`, or the member that it leads to: `realm_access.roles`.
///
/// The name of a claim may have dots itself, so the longest name counts first:
/// `kubernetes.io.namespace` is `namespace` in `kubernetes.io`.
///
/// ```
/// let claims = serde_json::json!({"kubernetes.io": {"namespace": "ci"}, "a": {"b": 1}, "a.b": 2});
/// let claims = claims.as_object().unwrap();
/// assert_eq!(openid::claim(claims, "kubernetes.io.namespace").unwrap(), "ci");
/// assert_eq!(openid::claim(claims, "a.b").unwrap(), 2);
/// assert_eq!(openid::claim(claims, "a.c"), None);
/// ```
#[must_use]
pub fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut ends = path.rmatch_indices('.').map(|(end, _)| end);
    ends.find_map(|end| claim(claims.get(&path[..end])?.as_object()?, &path[end + 1..]))
}
