//! The section `ldap_auth`: logins against a directory.
//!
//! - here: the servers, the limits; [`names`]: who searches, and which name an account has;
//!   [`labels`]: labels from attributes and groups.

mod labels;
mod names;

use std::time::Duration;

use identity::tls::{ClientTls, ServerVerification};
use ldap::{
    DirectoryAddress, DirectoryServer, DirectoryTimeouts, FilterTemplate, LdapSettings, TlsMode,
};

use super::backend_keys;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::key::Words;
use super::schema::{Kind, key};
use super::section::Section;

const SECOND: Duration = Duration::from_secs(1);

/// The key `tls`. docker_auth takes the empty text for its default.
#[derive(Clone, Copy, PartialEq)]
enum TlsWord {
    Default,
    Mode(TlsMode),
}

impl Words for TlsWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::Mode(TlsMode::None)),
        ("starttls", Self::Mode(TlsMode::StartTls)),
        ("always", Self::Mode(TlsMode::Always)),
        ("", Self::Default),
    ];
}

/// Reads the section. All keys are asked for before one can be missing.
pub(super) fn read(section: &mut Section<'_>) -> Option<LdapSettings> {
    let servers = read_servers(section);
    let search_as = names::read_search_identity(section);
    let base = section.find(
        key::text("base")
            .docker_auth()
            .required("write where accounts are, such as ou=people,dc=example,dc=com")
            .means("where accounts are searched, with all that is below"),
    );
    let filter = section.locate(
        key::parsed("filter", "filter", |text| {
            FilterTemplate::of_account(text).map_err(|error| error.to_string())
        })
        .docker_auth()
        .required("write what finds an account, such as (uid=${account})")
        .means("finds the entry of `${account}`, which is escaped"),
    );
    let account_attribute = names::read_account_attribute(section, filter.as_ref());
    let labels = labels::read(section);
    let groups = labels::read_groups(section);
    if let (Some(labels), Some(groups)) = (&labels, &groups)
        && labels.iter().any(|rule| rule.label == groups.label)
    {
        let message = format!("`labels` has a label {} already", groups.label);
        section.error_about("group_search.label", Problem::Conflict, message);
    }
    let timeouts = DirectoryTimeouts {
        connect: section.get(
            key::duration("connect_timeout", SECOND / 10..=60 * SECOND)
                .means("how long connecting to a server may take, with TLS")
                .default(5 * SECOND),
        ),
        operation: section.get(
            key::duration("timeout", SECOND / 10..=600 * SECOND)
                .means("how long a bind or a search may take; a login waits as long for its turn")
                .default(10 * SECOND),
        ),
    };
    let meaning = "how many logins are checked at once; four times as many may wait";
    let concurrency = backend_keys::concurrency(section, meaning);
    Some(LdapSettings {
        servers: servers?,
        search_as: search_as?,
        base: base?,
        filter: filter?.value,
        account_attribute,
        labels: labels?,
        groups,
        timeouts,
        concurrency,
    })
}

fn read_servers(section: &mut Section<'_>) -> Option<Vec<DirectoryServer>> {
    let addresses = read_addresses(section);
    let skips_verification = section.get(
        key::switch("insecure_tls_skip_verify")
            .docker_auth()
            .means("whether any certificate is accepted; then anyone in between reads passwords")
            .default(false),
    );
    let authorities = section.locate(
        key::path("ca_certificate")
            .docker_auth()
            .means("the authorities that are trusted, PEM; read again when it changes")
            .otherwise("the system's"),
    );
    let uses_tls = |addresses: &Vec<DirectoryAddress>| {
        let mut modes = addresses.iter().map(DirectoryAddress::tls);
        modes.any(|mode| mode != TlsMode::None)
    };
    let has_no_tls = addresses.as_ref().is_some_and(|it| !uses_tls(it));
    let tls = match authorities {
        Some(file) if !skips_verification => {
            if has_no_tls {
                let message = "no effect: no server in addr uses TLS";
                file.setting.warn(Problem::NoEffect, message);
            }
            let tls = ClientTls::default().trusting(&file.read()?);
            file.setting.checked_file(&file.value, tls)?
        }
        None if !skips_verification => ClientTls::default(),
        authorities => {
            let message = "certificates are not verified: any server in between can read passwords";
            section.warn_about("insecure_tls_skip_verify", Problem::Insecure, message);
            if let Some(file) = authorities {
                let message = "no effect with insecure_tls_skip_verify";
                file.setting.warn(Problem::NoEffect, message);
            }
            ClientTls::default().verifying(ServerVerification::Nothing)
        }
    };
    let servers = addresses?
        .into_iter()
        .map(|address| DirectoryServer::new(address, &tls));
    match servers.collect() {
        Ok(servers) => Some(servers),
        Err(error) => {
            section.error(Problem::Invalid, format!("TLS cannot be set up: {error}"));
            None
        }
    }
}

fn read_addresses(section: &mut Section<'_>) -> Option<Vec<DirectoryAddress>> {
    let setting = section.setting(
        key::custom("addr", Kind::OneOrMany(Box::new(Kind::Form("address"))))
            .docker_auth()
            .required("write where the directory is, such as ldaps://ldap.example.com")
            .means(
                "`HOST:PORT`, + `HOST`, `ldap://HOST` or `ldaps://HOST`; + several as a list, \
                 tried in order",
            ),
    );
    let tls: Option<TlsWord> = section.find(
        key::word("tls")
            .docker_auth()
            .means("`always` begins with TLS, `starttls` changes to it, `none` sends clear text")
            .otherwise("`always` for `ldaps://` and port 636, else `none`"),
    );
    let tls = tls.and_then(|word| match word {
        TlsWord::Default => None,
        TlsWord::Mode(mode) => Some(mode),
    });
    let setting = setting?;
    let mut addresses: Vec<DirectoryAddress> = Vec::new();
    let mut is_readable = true;
    for item in setting.one_or_many()? {
        match item.parse(|text| DirectoryAddress::parse(text, tls)) {
            Some(address) if addresses.contains(&address) => {
                item.error("this address is in the list already");
                is_readable = false;
            }
            Some(address) => {
                if address.tls() == TlsMode::None && !address.is_loopback() {
                    let message = "passwords cross the network in clear text; set tls: starttls, \
                                   or write ldaps://";
                    item.warn(Problem::Insecure, message);
                }
                addresses.push(address);
            }
            None => is_readable = false,
        }
    }
    if addresses.is_empty() && is_readable {
        setting.error("the list is empty; write an address, such as ldaps://ldap.example.com");
        return None;
    }
    let shown = addresses.iter().map(Effective::quoted).collect();
    section.show("addr", Effective::List(shown));
    is_readable.then_some(addresses)
}
