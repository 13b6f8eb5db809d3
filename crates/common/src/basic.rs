//! Credentials of the Basic scheme (RFC 7617).

use data_encoding::BASE64;

use crate::Secret;

/// A user name and a password, as a client sent them.
#[derive(Clone, Debug)]
pub struct BasicCredentials {
    /// The user name; it may be empty.
    pub user: String,
    /// The password; it may be empty.
    pub password: Secret,
}

/// Why an `Authorization: Basic` header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasicError {
    /// It is not base64, has no colon, or its user name is not UTF-8.
    #[error("the Authorization header does not have valid Basic credentials (RFC 7617)")]
    Malformed,
    /// The password is not UTF-8, whatever the client's terminal uses (RFC 7617 §2.1).
    #[error("the password is not in UTF-8")]
    Encoding,
}

impl BasicCredentials {
    /// Reads the value of an `Authorization` header; `None` if it is of another scheme.
    ///
    /// A client that sends credentials which cannot be read must not count as anonymous, so that is
    /// an error.
    ///
    /// ```
    /// use common::BasicCredentials;
    ///
    /// let credentials = BasicCredentials::parse(b"Basic YW5uOnNlY3JldA==")?.unwrap();
    /// assert_eq!(credentials.user, "ann");
    /// assert!(BasicCredentials::parse(b"Bearer abc")?.is_none());
    /// # Ok::<(), common::BasicError>(())
    /// ```
    ///
    /// # Errors
    /// The header is of the Basic scheme and cannot be read.
    pub fn parse(value: &[u8]) -> Result<Option<Self>, BasicError> {
        let end = value.iter().position(|&b| b == b' ').unwrap_or(value.len());
        // A scheme has no case (RFC 9110 §11.1).
        if !value[..end].eq_ignore_ascii_case(b"basic") {
            return Ok(None);
        }
        let decoded = BASE64
            .decode(value[end..].trim_ascii())
            .map_err(|_| BasicError::Malformed)?;
        let colon = decoded
            .iter()
            .position(|&b| b == b':')
            .ok_or(BasicError::Malformed)?;
        let user = std::str::from_utf8(&decoded[..colon]).map_err(|_| BasicError::Malformed)?;
        let password =
            std::str::from_utf8(&decoded[colon + 1..]).map_err(|_| BasicError::Encoding)?;
        Ok(Some(Self {
            user: user.to_owned(),
            password: Secret::from(password),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(credentials: &[u8]) -> Result<Option<(String, String)>, BasicError> {
        let header = format!("bAsIc  {} ", BASE64.encode(credentials));
        let parsed = BasicCredentials::parse(header.as_bytes())?;
        Ok(parsed.map(|parsed| (parsed.user, parsed.password.expose().to_owned())))
    }

    #[test]
    fn a_password_may_hold_colons_and_be_empty() {
        for (credentials, user, password) in [
            ("ann:secret", "ann", "secret"),
            ("ann:a:b", "ann", "a:b"),
            ("ann:", "ann", ""),
            (":token", "", "token"),
            ("josé:pässword", "josé", "pässword"),
        ] {
            let expected = Some((user.to_owned(), password.to_owned()));
            assert_eq!(parse(credentials.as_bytes()), Ok(expected), "{credentials}");
        }
    }

    #[test]
    fn credentials_that_cannot_be_read_are_an_error() {
        assert_eq!(parse(b"ann"), Err(BasicError::Malformed));
        assert_eq!(parse(b"\xff:x"), Err(BasicError::Malformed));
        assert_eq!(parse(b"ann:\xff"), Err(BasicError::Encoding));
        for header in ["Basic", "Basic ", "Basic !", "basic YW5u"] {
            let parsed = BasicCredentials::parse(header.as_bytes());
            assert!(
                matches!(parsed, Err(BasicError::Malformed)),
                "{header}: {parsed:?}"
            );
        }
        for header in ["", "Bearer YW5uOng=", "Basics YW5uOng="] {
            let parsed = BasicCredentials::parse(header.as_bytes());
            assert!(matches!(parsed, Ok(None)), "{header}: {parsed:?}");
        }
    }

    #[test]
    fn fuzz_basic() {
        let seeds = [
            "Basic YW5uOnNlY3JldA==",
            "basic  Og==",
            "Bearer abc",
            "Basic w7w6w7w=",
        ];
        fuzz::target("basic", &seeds, |bytes| {
            BasicCredentials::parse(bytes).is_ok_and(|credentials| credentials.is_some())
        });
    }
}
