//! The pages as HTML: no script, nothing from another host.

use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;

/// A response with its whole body.
pub type SignInResponse = Response<Full<Bytes>>;

/// The style of every page. Its hash is in the policy, so no other style applies.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A page that links each way to sign in.
#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct IndexPage<'a> {
    pub(super) style: &'a str,
    /// The title and the address of each.
    pub(super) ways: Vec<SignInLink<'a>>,
}

/// A way to sign in.
pub(super) struct SignInLink<'a> {
    pub(super) title: &'a str,
    pub(super) address: String,
}

/// The page on which a sign-in begins.
#[derive(Template)]
#[template(path = "start.html")]
pub(super) struct StartPage<'a> {
    pub(super) style: &'a str,
    pub(super) title: &'a str,
    pub(super) address: &'a str,
}

/// The page of a user who has signed in.
#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct AccountPage<'a> {
    pub(super) style: &'a str,
    pub(super) title: &'a str,
    pub(super) address: &'a str,
    pub(super) account: &'a str,
    pub(super) form_token: &'a str,
    /// A new password, which this page shows and no other.
    pub(super) new_password: Option<ShownPassword>,
    pub(super) passwords: Vec<ListedPassword>,
    pub(super) max_name: usize,
}

/// A new password with ready commands.
pub(super) struct ShownPassword {
    pub(super) password: String,
    /// The program's name, and the command.
    pub(super) commands: Vec<(&'static str, String)>,
}

/// A password in the list.
pub(super) struct ListedPassword {
    pub(super) id: String,
    pub(super) name: String,
    /// When it was made; empty if that is not known.
    pub(super) created: String,
}

/// A page that says what went wrong.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) style: &'a str,
    pub(super) title: &'a str,
    pub(super) message: &'a str,
    /// Where to begin again.
    pub(super) address: &'a str,
}

/// A page as a response.
pub(super) fn page(status: StatusCode, template: &impl Template) -> SignInResponse {
    let Ok(html) = template.render() else {
        return with_headers(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new());
    };
    with_headers(status, html.into())
}

/// A response that sends the browser elsewhere with a GET.
pub(super) fn redirect(to: &str) -> Option<SignInResponse> {
    let location = HeaderValue::from_str(to).ok()?;
    let mut response = with_headers(StatusCode::SEE_OTHER, Bytes::new());
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

fn with_headers(status: StatusCode, body: Bytes) -> SignInResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        // The page may show a password, and its address may have a code.
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (OPENER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Nothing but our own style, and forms that go to this server only.
fn policy() -> String {
    let hash = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

/// `text` as a word of a POSIX shell.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        for (text, word) in [
            ("ann", "ann"),
            ("ann@example.com", "ann@example.com"),
            ("", "''"),
            ("a b", "'a b'"),
            ("o'neil", r"'o'\''neil'"),
            ("$(id)", "'$(id)'"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn what_others_write_is_escaped() {
        let html = ErrorPage {
            style: STYLE,
            title: "<b>",
            message: "</p><script>alert(1)</script>",
            address: "/oidc_auth?a=\"b\"",
        };
        let html = html.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(!html.contains("a=\"b\""), "{html}");
    }

    /// WCAG 2.2 §1.4.3 and §1.4.11, for light and dark: 4.5 for texts, 3 for what marks a field.
    #[test]
    fn colours_have_enough_contrast() {
        let light = STYLE.split(":root {").nth(1).unwrap();
        let dark = STYLE.split(":root {").nth(2).unwrap();
        // A browser's own canvas.
        for (colours, canvas) in [(light, "#ffffff"), (dark, "#121212")] {
            let colour = |name: &str| {
                let (_, rest) = colours.split_once(&format!("--{name}: ")).unwrap();
                rest.split(';').next().unwrap()
            };
            for (name, least) in [("ink", 4.5), ("link", 4.5), ("warn", 4.5), ("edge", 3.0)] {
                for behind in [canvas, colour("soft")] {
                    let found = contrast(colour(name), behind);
                    assert!(found >= least, "{name} on {behind}: {found}");
                }
            }
        }
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// The relative luminance of `#rrggbb`.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
            match f64::from(value) / 255.0 {
                low if low <= 0.04045 => low / 12.92,
                high => ((high + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }
}
