//! Names of hosts.

/// Whether `host` is `domain` or a host below it. ASCII letters are equal in both cases.
///
/// Go's HTTP client sends an `Authorization` header along to such a host when it follows a redirect
/// (`shouldCopyHeaderOnRedirect` in its `net/http`).
///
/// ```
/// use common::is_same_or_subdomain;
///
/// assert!(is_same_or_subdomain("images.example.com", "Example.com"));
/// assert!(!is_same_or_subdomain("notexample.com", "example.com"));
/// ```
#[must_use]
pub fn is_same_or_subdomain(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let above = host.strip_suffix(&domain);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}
