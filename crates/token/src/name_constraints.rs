//! Name constraints (RFC 5280 §4.2.1.10): the names that an authority's certificate allows below it.
//!
//! Checked as Go's `crypto/x509` checks them, its words included: the constraints of a certificate
//! hold for the names of every certificate below it in the path.

use std::net::{Ipv4Addr, Ipv6Addr};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree};

/// Checks a path from the leaf to the root.
///
/// # Errors
/// What Go says of the first name that is not allowed.
pub(crate) fn check(path: &[&X509Certificate<'_>]) -> Result<(), String> {
    for (index, authority) in path.iter().enumerate() {
        let constraints = authority
            .name_constraints()
            .map_err(|_| "x509: invalid NameConstraints extension".to_owned())?;
        let Some(constraints) = constraints.map(|extension| extension.value) else {
            continue;
        };
        let permitted = bases(constraints.permitted_subtrees.as_deref());
        let excluded = bases(constraints.excluded_subtrees.as_deref());
        for below in &path[..index] {
            let names = below
                .subject_alternative_name()
                .map_err(|_| "x509: invalid subject alternative names".to_owned())?;
            for name in names.iter().flat_map(|names| &names.value.general_names) {
                check_name(name, &permitted, &excluded)?;
            }
        }
    }
    Ok(())
}

fn bases<'a>(subtrees: Option<&'a [GeneralSubtree<'a>]>) -> Vec<&'a GeneralName<'a>> {
    let subtrees = subtrees.unwrap_or_default();
    subtrees.iter().map(|subtree| &subtree.base).collect()
}

fn check_name(
    name: &GeneralName<'_>,
    permitted: &[&GeneralName<'_>],
    excluded: &[&GeneralName<'_>],
) -> Result<(), String> {
    let Some(name) = ConstrainedName::of(name)? else {
        return Ok(());
    };
    let mut allowing = permitted
        .iter()
        .filter(|base| name.is_kind_of(base))
        .peekable();
    let constrained = allowing.peek().is_some();
    if constrained && !allowing.any(|base| name.is_within(base, false)) {
        return Err(format!("{name} is not permitted by any constraint"));
    }
    match excluded.iter().find(|base| name.is_within(base, true)) {
        Some(base) => Err(format!(
            "{name} is excluded by constraint {:?}",
            shown(base)
        )),
        None => Ok(()),
    }
}

/// A name of one of the four kinds that constraints are checked for, as in Go.
enum ConstrainedName<'a> {
    Dns(&'a str),
    Email {
        text: &'a str,
        local: &'a str,
        domain: &'a str,
    },
    Uri {
        text: &'a str,
        host: &'a str,
    },
    Address(&'a [u8]),
}

impl<'a> ConstrainedName<'a> {
    /// `None` for the kinds that Go does not look at.
    fn of(name: &GeneralName<'a>) -> Result<Option<Self>, String> {
        Ok(Some(match name {
            GeneralName::DNSName(text) if is_domain_name(text) => Self::Dns(text),
            GeneralName::DNSName(text) => {
                return Err(format!("x509: cannot parse dnsName {text:?}"));
            }
            GeneralName::RFC822Name(text) => match text.rsplit_once('@') {
                Some((local, domain))
                    if !local.is_empty() && !local.starts_with('"') && is_domain_name(domain) =>
                {
                    Self::Email {
                        text,
                        local,
                        domain,
                    }
                }
                _ => return Err(format!("cannot parse rfc822Name {text:?}")),
            },
            GeneralName::URI(text) => match host_of(text) {
                Some(host) if is_address(host) => {
                    let reason = "cannot be matched against constraints";
                    return Err(format!("URI with IP ({text:?}) {reason}"));
                }
                Some(host) if is_domain_name(host) => Self::Uri { text, host },
                _ => {
                    let reason = "cannot be matched against constraints";
                    return Err(format!("URI with empty host ({text:?}) {reason}"));
                }
            },
            GeneralName::IPAddress(bytes) => Self::Address(bytes),
            _ => return Ok(None),
        }))
    }

    fn is_kind_of(&self, base: &GeneralName<'_>) -> bool {
        matches!(
            (self, base),
            (Self::Dns(_), GeneralName::DNSName(_))
                | (Self::Email { .. }, GeneralName::RFC822Name(_))
                | (Self::Uri { .. }, GeneralName::URI(_))
                | (Self::Address(_), GeneralName::IPAddress(_))
        )
    }

    /// Whether the name lies within `base`. For an exclusion a wildcard counts as every name that
    /// it may stand for.
    fn is_within(&self, base: &GeneralName<'_>, exclusion: bool) -> bool {
        match (self, base) {
            (Self::Dns(name), GeneralName::DNSName(base)) => {
                has_suffix(base, name)
                    || exclusion && name.starts_with('*') && is_same_parent(base, name)
            }
            (Self::Email { local, domain, .. }, GeneralName::RFC822Name(base)) => {
                match base.rsplit_once('@') {
                    Some((base_local, base_domain)) => {
                        base_local == *local && base_domain.eq_ignore_ascii_case(domain)
                    }
                    None => has_suffix(base, domain),
                }
            }
            (Self::Uri { host, .. }, GeneralName::URI(base)) => has_suffix(base, host),
            (Self::Address(address), GeneralName::IPAddress(base)) => is_in_network(address, base),
            _ => false,
        }
    }
}

impl std::fmt::Display for ConstrainedName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS name {name:?}"),
            Self::Email { text, .. } => write!(f, "email address {text:?}"),
            Self::Uri { text, .. } => write!(f, "URI {text:?}"),
            Self::Address(bytes) => write!(f, "IP address {:?}", address(bytes)),
        }
    }
}

fn shown(base: &GeneralName<'_>) -> String {
    match base {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            (*text).to_owned()
        }
        GeneralName::IPAddress(bytes) => {
            let (network, mask) = bytes.split_at(bytes.len() / 2);
            let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
            format!("{}/{bits}", address(network))
        }
        _ => String::new(),
    }
}

/// Whether `base` is a suffix of `name` by whole labels, in any case. `.example.com` takes only
/// names below `example.com`; the empty base takes everything.
fn has_suffix(base: &str, name: &str) -> bool {
    let Some(split) = name.len().checked_sub(base.len()) else {
        return false;
    };
    let (before, end) = name.as_bytes().split_at(split);
    base.is_empty()
        || end.eq_ignore_ascii_case(base.as_bytes())
            && (base.starts_with('.') || before.is_empty() || before.ends_with(b"."))
}

/// Whether `base` is one of the names that the wildcard `name` stands for.
fn is_same_parent(base: &str, name: &str) -> bool {
    match (base.find('.'), name.find('.')) {
        (Some(first), Some(second)) => base[first..].eq_ignore_ascii_case(&name[second..]),
        _ => false,
    }
}

/// `base` is an address and a mask of the same length.
fn is_in_network(address: &[u8], base: &[u8]) -> bool {
    base.len() == 2 * address.len() && {
        let (network, mask) = base.split_at(address.len());
        let masked = address.iter().zip(mask).map(|(byte, mask)| byte & mask);
        masked.eq(network.iter().zip(mask).map(|(byte, mask)| byte & mask))
    }
}

/// The host of `scheme://user@host:port/…`.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    if host.starts_with('[') {
        return Some(host);
    }
    host.split(':').next().filter(|host| !host.is_empty())
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

fn address(bytes: &[u8]) -> String {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes)
            .map_or_else(|_| String::new(), |b| Ipv4Addr::from(b).to_string()),
        _ => <[u8; 16]>::try_from(bytes)
            .map_or_else(|_| "?".to_owned(), |b| Ipv6Addr::from(b).to_string()),
    }
}

/// Go's own measure: printable ASCII, labels of 1 to 63 bytes, 253 in all, no dot at the end.
fn is_domain_name(text: &str) -> bool {
    text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && text.split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_whole_labels() {
        assert!(has_suffix("example.com", "a.Example.com") && has_suffix("", "anything"));
        assert!(has_suffix("example.com", "example.com"));
        assert!(!has_suffix("example.com", "badexample.com"));
        assert!(!has_suffix(".example.com", "example.com"));
        assert!(has_suffix(".example.com", "a.b.example.com"));
        assert!(!has_suffix("a.example.com", "example.com"));
    }

    #[test]
    fn networks_have_a_mask_of_the_address_s_length() {
        let base = [10, 0, 0, 0, 255, 0, 0, 0];
        assert!(is_in_network(&[10, 1, 2, 3], &base));
        assert!(!is_in_network(&[11, 1, 2, 3], &base));
        assert!(!is_in_network(&[0; 16], &base));
    }

    #[test]
    fn a_uri_s_host_is_what_counts() {
        assert_eq!(host_of("https://user@a.example:80/x@y"), Some("a.example"));
        assert_eq!(host_of("urn:example"), None);
        assert!(is_address("[::1]") && is_address("10.0.0.1") && !is_address("a.example"));
    }
}
