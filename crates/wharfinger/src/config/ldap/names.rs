//! Who searches the directory, and which name an account has.

use common::Secret;
use ldap::{BindNameTemplate, FilterTemplate, ReaderCredentials, SearchIdentity};

use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::{Located, Section};

pub(super) fn read_search_identity(section: &mut Section<'_>) -> Option<SearchIdentity> {
    let as_account = section.get(
        key::switch("initial_bind_as_user")
            .docker_auth()
            .means(
                "whether the account itself binds first, as `bind_dn`, and searches. Its sessions \
                 cannot be checked again",
            )
            .default(false),
    );
    let name = section.locate(
        key::text("bind_dn")
            .docker_auth()
            .means("the reader, who searches; with `initial_bind_as_user` a name with `${account}`")
            .otherwise("searches are anonymous"),
    );
    let password = section.locate(
        key::parsed_as(
            "bind_password",
            Kind::Text,
            |text| Ok(Secret::from(text.trim())),
            |_: &Secret| Effective::hidden(),
        )
        .docker_auth()
        .secret()
        .means("the reader's password, without blanks around it (docker_auth: from a file only)"),
    );
    let name = name.filter(|name| !name.value.is_empty());
    match (as_account, name, password) {
        (true, Some(name), password) => {
            if let Some(password) = password {
                let message = "no effect with initial_bind_as_user: there is no reader";
                password.setting.warn(Problem::NoEffect, message);
            }
            let template = name.setting.checked(BindNameTemplate::parse(&name.value))?;
            Some(SearchIdentity::Account(template))
        }
        (true, None, _) => {
            let message = "write the name that an account binds with, such as \
                           uid=${account},ou=people,dc=example,dc=com";
            section.error_about("bind_dn", Problem::Missing, message);
            None
        }
        (false, Some(name), Some(password)) if password.value.is_empty() => {
            let message = format!("{} has no password", name.value);
            password.setting.error(format!("empty, and {message}"));
            None
        }
        (false, Some(name), Some(password)) => Some(SearchIdentity::Reader(ReaderCredentials {
            bind_dn: name.value,
            password: password.value,
        })),
        (false, Some(_), None) => {
            if !section.has("bind_password") {
                let message = "bind_dn needs a password: write bind_password_file";
                section.error_about("bind_password", Problem::Missing, message);
            }
            None
        }
        (false, None, Some(password)) => {
            password
                .setting
                .report(Problem::Conflict, "whose password is it? write bind_dn");
            None
        }
        (false, None, None) => Some(SearchIdentity::Anonymous),
    }
}

pub(super) fn read_account_attribute(
    section: &mut Section<'_>,
    filter: Option<&Located<'_, FilterTemplate>>,
) -> Option<String> {
    let attribute = section.locate(
        key::text("account_attribute")
            .means(
                "the attribute whose value is the account for rules and tokens, such as `uid` or \
                 `sAMAccountName`",
            )
            .otherwise("the account is what the client wrote"),
    );
    let Some(attribute) = attribute.filter(|it| !it.value.is_empty()) else {
        if filter.is_some() {
            let message = "without it `ALICE` logs in beside `alice`, and rules for `alice` do not \
                           match it; write account_attribute: uid (Active Directory: sAMAccountName)";
            section.warn_about("account_attribute", Problem::Doubtful, message);
        }
        return None;
    };
    if let Some(filter) = filter
        && !filter.value.mentions(&attribute.value)
    {
        let message = format!(
            "the filter does not compare {}, so sessions of accounts with another name end",
            attribute.value
        );
        attribute.setting.warn(Problem::Doubtful, message);
    }
    Some(attribute.value)
}
