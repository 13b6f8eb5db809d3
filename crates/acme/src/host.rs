//! Names of hosts for which certificates are asked.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name, in lower case and without a dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateHost(String);

/// Why a text is no host for which a certificate can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateHostError {
    /// A wildcard needs the challenge `dns-01` (RFC 8555 §7.1.3), which is not implemented.
    #[error(
        "a wildcard needs the challenge dns-01, which is not supported: list each host, or get the \
         certificate with certbot or lego and use certificate and key"
    )]
    Wildcard,
    /// An IP address.
    #[error("certificates for IP addresses are not supported: write a host name")]
    Address,
    /// A name that is not in ASCII.
    #[error("write an internationalized name in its ASCII form (xn--…)")]
    NotAscii,
    /// Not a host name (RFC 1123 §2.1).
    #[error(
        "not a host name: write it without scheme, port and path, such as registry.example.com"
    )]
    Invalid,
}

impl CertificateHost {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateHost {
    type Err = CertificateHostError;

    fn from_str(text: &str) -> Result<Self, CertificateHostError> {
        if text.contains('*') {
            return Err(CertificateHostError::Wildcard);
        }
        if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Err(CertificateHostError::Address);
        }
        if !text.is_ascii() {
            return Err(CertificateHostError::NotAscii);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        match name.len() <= 253 && name.split('.').all(is_label) {
            true => Ok(Self(name)),
            false => Err(CertificateHostError::Invalid),
        }
    }
}

impl fmt::Display for CertificateHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_of_letters_digits_and_hyphens() {
        use CertificateHostError::{Address, Invalid, NotAscii, Wildcard};
        for (text, expected) in [
            ("registry.example.com", Ok("registry.example.com")),
            ("Registry.Example.COM.", Ok("registry.example.com")),
            ("registry", Ok("registry")),
            ("xn--bcher-kva.example", Ok("xn--bcher-kva.example")),
            ("*.example.com", Err(Wildcard)),
            ("192.0.2.1", Err(Address)),
            ("[2001:db8::1]", Err(Address)),
            ("bücher.example", Err(NotAscii)),
            ("", Err(Invalid)),
            ("a..b", Err(Invalid)),
            ("-a.example", Err(Invalid)),
            ("a_b.example", Err(Invalid)),
            ("https://a.example", Err(Invalid)),
            ("a.example:443", Err(Invalid)),
            ("../etc", Err(Invalid)),
        ] {
            let found = text.parse::<CertificateHost>();
            assert_eq!(
                found.as_ref().map(CertificateHost::as_str),
                expected.as_ref().map(|t| *t),
                "{text}"
            );
        }
        assert_eq!("a".repeat(64).parse::<CertificateHost>(), Err(Invalid));
    }
}
