//! The section `login`: limits on passwords.

use std::time::Duration;

use identity::LoginSettings;

use super::effective::Effective;
use super::schema::Kind;
use super::schema::key::{self, from_str};
use super::section::Section;
use super::setting::Setting;

/// A remembered login survives a change of the password for that long.
const LONGEST_MEMORY: Duration = Duration::from_secs(3600);

/// `order`, a list whose names are checked when all sections were read.
pub(super) fn read_order<'a>(login: &mut Section<'a>) -> Option<Setting<'a>> {
    let order = login.setting(
        key::custom("order", Kind::List(Box::new(Kind::Text)))
            .means("the backends of logins in the order in which they are asked, each of the file once")
            .otherwise(
                "`users`, `users_htpasswd`, `accounts`, `ext_auth`, `http_auth`, `google_auth`, \
                 `github_auth`, `oidc_auth`, `gitlab_auth`, `ldap_auth`, `mongo_auth`, `xorm_auth`",
            ),
    )?;
    if let Some(names) = order.texts() {
        login.show(
            "order",
            Effective::List(names.iter().map(Effective::plain).collect()),
        );
    }
    Some(order)
}

/// The defaults are those of the crate `identity`.
pub(super) fn read(login: &mut Section<'_>) -> LoginSettings {
    let default = LoginSettings::default();
    LoginSettings {
        parallel: login.get(
            key::count("parallel", 256)
                .means("password verifications at once")
                .otherwise("the cores")
                .default(default.parallel),
        ),
        remember: login.get(
            key::duration("remember", Duration::ZERO..=LONGEST_MEMORY)
                .means(
                    "how long a successful login is remembered (in memory, under a keyed hash, \
                     until a reload); 0 turns it off",
                )
                .default(default.remember),
        ),
        per_address: login.get(
            key::parsed("per_address", "rate", from_str)
                .means(
                    "failures from one address (of IPv6, 64 bits), then 429 with `Retry-After`: \
                     `20/min`, `N/s`, `N/h` or `off`",
                )
                .default(default.per_address),
        ),
        per_account: login.get(
            key::parsed("per_account", "rate", from_str)
                .means(
                    "failures on one account from one address; case and blanks of its name do not \
                     count. If clients can make up the address, or it is a proxy's, on the account \
                     alone",
                )
                .default(default.per_account),
        ),
    }
}
