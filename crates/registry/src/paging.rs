//! Lists in pages: `n` and `last`, and the `Link` to the next page.

use http::header::LINK;

use crate::error::RegistryError;
use crate::query::with_parameters;
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

/// How long a page may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The size if the request does not say.
    pub(crate) default: u32,
    pub(crate) max: u32,
    /// Whether it is an error to ask for more. If not, the page is shorter and has a `Link`.
    pub(crate) strict: bool,
}

impl Bounds {
    /// The page size that `n` asks for.
    pub(crate) fn page_size(&self, n: Option<&str>) -> Result<u32, RegistryError> {
        let Some(text) = n else {
            return Ok(self.default);
        };
        let error = || RegistryError::PageSize {
            max: if self.strict { self.max } else { u32::MAX },
        };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        // Digits that overflow are more than any maximum.
        let size = text.parse().unwrap_or(u32::MAX);
        match size {
            size if size <= self.max => Ok(size),
            _ if self.strict => Err(error()),
            _ => Ok(self.max),
        }
    }
}

/// Adds the address of the next page (RFC 8288; OCI distribution-spec, "Listing Tags"): at `path`, with
/// these parameters.
pub(crate) fn link(
    response: &mut HttpResponse,
    call: &ApiRequest<'_>,
    path: &str,
    parameters: &[(&str, &str)],
) {
    let target = with_parameters(&call.context.origin.path(path), parameters);
    response::set(response, LINK, &format!("<{target}>; rel=\"next\""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_size_that_was_asked_for_within_bounds() {
        let strict = Bounds {
            default: 100,
            max: 1000,
            strict: true,
        };
        let loose = Bounds {
            strict: false,
            ..strict
        };
        for (n, size) in [
            (None, 100),
            (Some("0"), 0),
            (Some("5"), 5),
            (Some("1000"), 1000),
        ] {
            assert_eq!(strict.page_size(n).unwrap(), size, "{n:?}");
            assert_eq!(loose.page_size(n).unwrap(), size, "{n:?}");
        }
        for n in ["1001", "99999999999999999999999"] {
            assert!(
                matches!(
                    strict.page_size(Some(n)),
                    Err(RegistryError::PageSize { max: 1000 })
                ),
                "{n}"
            );
            assert_eq!(loose.page_size(Some(n)).unwrap(), 1000, "{n}");
        }
        for n in ["-1", "x", "1.5", "+5", " 5", "0x10"] {
            assert!(
                strict.page_size(Some(n)).is_err() && loose.page_size(Some(n)).is_err(),
                "{n}"
            );
        }
    }
}
