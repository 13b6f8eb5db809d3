//! URLs that are signed with version 4 of AWS's signatures (SigV4), as a client may use them without
//! a key.
//!
//! `object_store` signs with the time of now, so every URL would be another one. Here the time is a
//! parameter: all URLs of one window are equal, in every process that has the key. So caches hit.

use aws_lc_rs::{digest, hmac};
use data_encoding::HEXLOWER;
use object_store::aws::AwsCredential;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters (RFC 3986 §2.3), as signatures demand.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for a path.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What URLs lead to, besides the key of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BucketAddress {
    /// `https://HOST:PORT`.
    origin: String,
    /// The bucket, if it is in the path: `/BUCKET`.
    path: String,
}

/// Signs the URLs of one window.
pub(crate) struct UrlSigner {
    key: hmac::Key,
    /// The time of the signature: `20130524T000000Z`.
    time: String,
    /// `20130524/us-east-1/s3/aws4_request`.
    scope: String,
    /// The parameters before the signature, in the order of their names.
    query: String,
}

/// For how long, and for what, URLs are signed.
pub(crate) struct UrlTerms<'a> {
    pub(crate) region: &'a str,
    /// The time of the signature, in seconds since the Unix epoch.
    pub(crate) signed_at: u64,
    /// How long after that URLs are valid, in seconds.
    pub(crate) expires: u64,
    /// What the store's response says, such as `response-content-type`: names in alphabetical order.
    pub(crate) response: &'a [(&'a str, &'a str)],
}

impl BucketAddress {
    /// Of a URL with or without a path. `None` if it is not a URL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, path.trim_end_matches('/')),
            None => (rest, ""),
        };
        // Clients leave away the scheme's own port, and the signature has the host as they send it.
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(own_port).unwrap_or(authority);
        Some(Self {
            origin: format!("{scheme}://{}", authority.to_ascii_lowercase()),
            path: match path {
                "" => String::new(),
                path => format!("/{path}"),
            },
        })
    }

    /// The same path at another host.
    pub(crate) fn at(self, endpoint: Option<&str>) -> Self {
        match endpoint.and_then(Self::parse) {
            Some(Self { origin, .. }) => Self { origin, ..self },
            None => self,
        }
    }

    /// `HOST:PORT`.
    pub(crate) fn authority(&self) -> &str {
        self.origin.split_once("://").unwrap_or_default().1
    }
}

impl UrlSigner {
    pub(crate) fn new(credential: &AwsCredential, terms: &UrlTerms<'_>) -> Self {
        let time: String = common::rfc3339(terms.signed_at)
            .chars()
            .filter(|c| !matches!(c, '-' | ':'))
            .collect();
        let date = time.split('T').next().unwrap_or_default();
        let scope = format!("{date}/{}/s3/aws4_request", terms.region);
        let mut query = String::from("X-Amz-Algorithm=AWS4-HMAC-SHA256");
        let credential_scope = format!("{}/{scope}", credential.key_id);
        push(&mut query, "X-Amz-Credential", &credential_scope);
        push(&mut query, "X-Amz-Date", &time);
        push(&mut query, "X-Amz-Expires", &terms.expires.to_string());
        if let Some(token) = &credential.token {
            push(&mut query, "X-Amz-Security-Token", token);
        }
        push(&mut query, "X-Amz-SignedHeaders", "host");
        for (name, value) in terms.response {
            push(&mut query, name, value);
        }
        let secret = format!("AWS4{}", credential.secret_key);
        let parts = [date, terms.region, "s3", "aws4_request"];
        let key = parts.iter().fold(hmac_key(secret.as_bytes()), |key, part| {
            hmac_key(hmac::sign(&key, part.as_bytes()).as_ref())
        });
        Self {
            key,
            time,
            scope,
            query,
        }
    }

    /// The URL of an object, for `GET` alone.
    pub(crate) fn sign(&self, address: &BucketAddress, key: &str) -> String {
        let path = format!(
            "{}/{}",
            address.path,
            utf8_percent_encode(key, RESERVED_IN_PATH)
        );
        let canonical = format!(
            "GET\n{path}\n{}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD",
            self.query,
            address.authority()
        );
        let canonical = digest::digest(&digest::SHA256, canonical.as_bytes());
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.time,
            self.scope,
            HEXLOWER.encode(canonical.as_ref())
        );
        let signature = hmac::sign(&self.key, to_sign.as_bytes());
        format!(
            "{}{path}?{}&X-Amz-Signature={}",
            address.origin,
            self.query,
            HEXLOWER.encode(signature.as_ref())
        )
    }
}

fn hmac_key(value: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, value)
}

fn push(query: &mut String, name: &str, value: &str) {
    query.extend(["&", name, "="]);
    query.extend(utf8_percent_encode(value, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's documentation, "Authenticating Requests: Using Query Parameters".
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let credential = AwsCredential {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let signer = UrlSigner::new(
            &credential,
            &UrlTerms {
                region: "us-east-1",
                signed_at: 1_369_353_600,
                expires: 86_400,
                response: &[],
            },
        );
        let address = BucketAddress::parse("https://examplebucket.s3.amazonaws.com:443").unwrap();
        assert_eq!(
            signer.sign(&address, "test.txt"),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn another_host_keeps_the_path() {
        let address = BucketAddress::parse("http://127.0.0.1:9000/content").unwrap();
        assert_eq!(address.authority(), "127.0.0.1:9000");
        let elsewhere = address.clone().at(Some("https://Images.example"));
        assert_eq!(elsewhere.origin, "https://images.example");
        assert_eq!(elsewhere.path, "/content");
        assert_eq!(address.clone().at(None), address);
    }
}
