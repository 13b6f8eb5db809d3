//! A browser for the page of device logins.

use peers::http::{self, Answer};

/// A browser without scripts: it keeps the page's cookie.
pub(super) struct Browser {
    /// The address of the page of device logins.
    pub(super) page: String,
    cookie: String,
}

impl Browser {
    /// Opens the page at this address.
    pub(super) fn open(address: &str) -> (Self, Answer) {
        let answer = http::get(address);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut browser = Self {
            page: address.split('?').next().unwrap().to_owned(),
            cookie: String::new(),
        };
        browser.keep(&answer);
        (browser, answer)
    }

    pub(super) fn keep(&mut self, answer: &Answer) {
        let cookies = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        for (_, cookie) in cookies {
            let pair = cookie.split(';').next().unwrap();
            // The page of the provider has a cookie of its own.
            if pair.starts_with("device=") {
                pair.clone_into(&mut self.cookie);
            }
        }
    }

    fn get(&mut self, address: &str) -> Answer {
        let cookie = format!("Cookie: {}", self.cookie);
        let answer = http::request(&["-H", &cookie, address]);
        self.keep(&answer);
        answer
    }

    /// Presses a button of `page`.
    pub(super) fn press(&mut self, page: &Answer, action: &str, more: &str) -> Answer {
        let field = |name: &str| {
            let (_, rest) = page
                .body
                .split_once(&format!("name=\"{name}\" value=\""))
                .unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let (_, code) = page.body.split_once("user_code\" value=\"").unwrap();
        let code = code.split('"').next().unwrap();
        let token = field("form_token");
        let form = format!("form_token={token}&user_code={code}&action={action}{more}");
        let cookie = format!("Cookie: {}", self.cookie);
        let answer = http::request(&["-H", &cookie, "-d", &form, &self.page]);
        self.keep(&answer);
        answer
    }

    /// Enters the code and signs in; gives the page with the decision.
    pub(super) fn sign_in(&mut self, first: &Answer, user: &str) -> Answer {
        let second = self.press(first, "code", "");
        assert_eq!(second.status, 200, "{}", second.body);
        let more = format!("&username={user}&password=badmin");
        let sent = self.press(&second, "sign_in", &more);
        assert_eq!(sent.status, 303, "{}", sent.body);
        let path = sent.header("location").unwrap();
        let (origin, _) = self.page.split_once("/tokens/").unwrap();
        self.get(&format!("{origin}{path}"))
    }
}
