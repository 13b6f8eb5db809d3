//! Reading the forms of the pages, and cookies.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use common::Secret;
use http::header::{CONTENT_TYPE, COOKIE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;

/// The largest form, in bytes.
const LIMIT: usize = 4096;
/// How long a form may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a form says. An absent field is empty.
pub(super) struct PageForm {
    /// The proof that the form is of our page.
    pub(super) form_token: String,
    pub(super) action: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) user_code: String,
    pub(super) username: String,
    pub(super) password: Secret,
}

impl PageForm {
    fn empty() -> Self {
        Self {
            form_token: String::new(),
            action: String::new(),
            id: String::new(),
            name: String::new(),
            user_code: String::new(),
            username: String::new(),
            password: Secret::from(""),
        }
    }
}

/// Reads a form, within its bounds.
pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> Result<PageForm, StatusCode>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next());
    let is_form = media_type.is_some_and(|media_type| {
        let media_type = media_type.trim();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    if !is_form {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let collected = Box::pin(Limited::new(body, LIMIT).collect());
    let body = match tokio::time::timeout(PATIENCE, collected).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return Err(StatusCode::REQUEST_TIMEOUT),
    };
    let mut form = PageForm::empty();
    for (name, value) in form_urlencoded::parse(&body) {
        let field = match &*name {
            "form_token" => &mut form.form_token,
            "action" => &mut form.action,
            "id" => &mut form.id,
            "name" => &mut form.name,
            "user_code" => &mut form.user_code,
            "username" => &mut form.username,
            "password" => {
                form.password = value.into_owned().into();
                continue;
            }
            _ => continue,
        };
        *field = value.into_owned();
    }
    Ok(form)
}

/// The value of the cookie `name` (RFC 6265 §4.2).
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let headers = headers.get_all(COOKIE).iter();
    let mut pairs = headers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Whether the browser says that another site sent the request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(COOKIE, "a=1; __Host-b=2;c=3=4");
        assert_eq!(cookie(&headers, "__Host-b"), Some("2"));
        assert_eq!(cookie(&headers, "c"), Some("3=4"));
        assert_eq!(cookie(&headers, "b"), None);
    }

    #[tokio::test]
    async fn only_small_forms_are_read() {
        let form_type = headers(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        let form = read(&form_type, Full::from("action=create&name=a+b&other=x")).await;
        let form = form.unwrap();
        assert_eq!(
            (form.action.as_str(), form.name.as_str()),
            ("create", "a b")
        );
        let long = "x".repeat(LIMIT + 1);
        let refused = read(&form_type, Full::from(long)).await.err().unwrap();
        assert_eq!(refused, StatusCode::PAYLOAD_TOO_LARGE);
        let json = headers(CONTENT_TYPE, "application/json");
        let refused = read(&json, Full::from("{}")).await.err().unwrap();
        assert_eq!(refused, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
