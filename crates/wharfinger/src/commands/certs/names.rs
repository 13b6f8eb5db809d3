//! The names in a certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::failure::Failure;

/// What a certificate is for: at least one host or address, for clients look nowhere else (RFC 9110
/// §4.3.4).
#[derive(Clone, Debug)]
pub(in crate::commands) struct Names {
    pub(in crate::commands) hosts: Vec<String>,
    pub(in crate::commands) addresses: Vec<IpAddr>,
}

impl Names {
    pub(in crate::commands) fn new(
        hosts: &[String],
        addresses: &[IpAddr],
    ) -> Result<Self, Failure> {
        let mut names = Self {
            hosts: Vec::new(),
            addresses: addresses.to_vec(),
        };
        for host in hosts {
            match host.parse() {
                // Clients ignore an address among the host names.
                Ok(address) => names.addresses.push(address),
                Err(_) if is_host(host) => names.hosts.push(host.clone()),
                Err(_) => {
                    return Err(Failure::usage(format!("{host:?} is not a host name"))
                        .hint("write registry.example.com: without https://, without a port, in ASCII (xn--…)"));
                }
            }
        }
        if names.hosts.is_empty() && names.addresses.is_empty() {
            return Err(Failure::usage("a certificate needs a name")
                .hint("--host registry.example.com or --ip 192.0.2.7"));
        }
        Ok(names)
    }

    /// Adds the names by which a machine reaches itself.
    pub(in crate::commands) fn add_this_machine(&mut self) {
        let localhost = "localhost".to_owned();
        if !self.hosts.contains(&localhost) {
            self.hosts.push(localhost);
        }
        for address in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }

    /// The first name: hosts before addresses.
    fn first(&self) -> String {
        self.hosts
            .first()
            .cloned()
            .or_else(|| self.addresses.first().map(ToString::to_string))
            .unwrap_or_default()
    }

    /// For the certificate's subject, which holds 64 characters (RFC 5280 appendix A.1).
    pub(in crate::commands) fn common_name(&self) -> String {
        self.first().chars().take(64).collect()
    }

    /// For the files, when nothing else was asked for.
    pub(super) fn file_name(&self) -> String {
        self.first().replace('*', "_").replace(':', "-")
    }
}

/// RFC 1123 §2.1, with underscores as they occur and a wildcard as first label (RFC 6125 §6.4.3).
fn is_host(text: &str) -> bool {
    let text = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("registry.example.com", true),
            ("localhost", true),
            ("*.example.com", true),
            ("a_b.internal", true),
            ("https://registry", false),
            ("registry:5000", false),
            ("re*.example.com", false),
            ("-a.example", false),
            ("höst", false),
            ("a..b", false),
            ("", false),
        ] {
            assert_eq!(is_host(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_one_wherever_it_is_given() {
        let names = Names::new(&["::1".to_owned(), "*.example.com".to_owned()], &[]).unwrap();
        assert_eq!((names.hosts.len(), names.addresses.len()), (1, 1));
        assert_eq!(names.file_name(), "_.example.com");
        assert!(Names::new(&[], &[]).is_err());
    }
}
