//! The section `auth`: who gets in.

use std::path::Path;

use super::translation::{Translator, variable_of};
use crate::config::diagnostics::Problem;
use crate::config::section::Section;
use crate::config::setting::Setting;

/// Where `autoredirect` sends clients unless a path is set.
const REDIRECT: &str = "/auth/token";

/// What tokens may be signed with. HMAC is not accepted: a key that verifies such a token can also
/// make one.
const ALGORITHMS: [&str; 10] = [
    "EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
];
const SYMMETRIC: [&str; 3] = ["HS256", "HS384", "HS512"];

const PROVIDERS: [&str; 4] = ["token", "htpasswd", "silly", "none"];

pub(super) fn read(auth: &Setting<'_>, translator: &mut Translator) {
    if auth.is_null() {
        return;
    }
    translator.section(auth, "auth", true, |section, translator| {
        let given = PROVIDERS.map(|name| Some((name, section.present(name)?)));
        let given: Vec<_> = given.into_iter().flatten().collect();
        if translator.has_own_auth && !given.is_empty() {
            auth.report(
                Problem::Conflict,
                "set here and in the block wharfinger; only one of them is allowed",
            );
        }
        match &given[..] {
            [] if translator.has_own_auth => {}
            [] => refuse(
                auth,
                translator,
                "no provider is chosen; write auth: {token: {…}} or auth: {htpasswd: {…}}",
            ),
            [(name, setting)] => match *name {
                "token" => translator.section(setting, "auth.token", false, read_token),
                "htpasswd" => translator.section(setting, "auth.htpasswd", false, read_htpasswd),
                "none" => translator.word("registry.auth.none", &true, setting),
                // Its row has refused it.
                _ => translator.refuse("registry.auth"),
            },
            several => {
                let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
                let message = format!("only one provider is allowed, not {}", names.join(", "));
                refuse(auth, translator, &message);
            }
        }
    });
}

fn refuse(auth: &Setting<'_>, translator: &mut Translator, message: &str) {
    auth.report(Problem::Conflict, message);
    translator.refuse("registry.auth");
}

/// Reports all that is missing at once, with the variables that would set it.
fn require(section: &Section<'_>, translator: &mut Translator, keys: &[(&str, &str)]) {
    let missing: Vec<_> = keys
        .iter()
        .filter(|(key, _)| !key.split(' ').any(|key| section.has(key)))
        .collect();
    if missing.is_empty() {
        return;
    }
    translator.refuse("registry.auth");
    let first = |keys: &str| keys.split(' ').next().unwrap_or_default().to_owned();
    if let [(keys, hint)] = missing[..] {
        return section.error_about(&first(keys), Problem::Missing, *hint);
    }
    let names: Vec<_> = missing
        .iter()
        .map(|(keys, _)| keys.replace(' ', " or "))
        .collect();
    let variables = missing
        .iter()
        .map(|(keys, _)| variable_of(&format!("{}.{}", section.name, first(keys))));
    let message = format!(
        "missing {}; set them in the file, or as {}",
        names.join(", "),
        variables.collect::<Vec<_>>().join(", ")
    );
    section.error(Problem::Invalid, message);
}

fn read_token(token: &mut Section<'_>, translator: &mut Translator) {
    require(
        token,
        translator,
        &[
            (
                "realm",
                "write where clients get tokens, such as https://auth.example.com/auth",
            ),
            (
                "service",
                "write the name under which the token server knows this registry",
            ),
            ("issuer", "write the issuer, as the token server has it"),
            (
                "rootcertbundle jwks",
                "write the file of the token server's certificate, or of its keys as jwks",
            ),
        ],
    );
    let something = |setting: &Setting<'_>| !setting.is_null();
    let [realm, path, redirects] = ["realm", "autoredirectpath", "autoredirect"]
        .map(|name| token.present(name).filter(something));
    const REALM: &str = "registry.auth.token.realm";
    let redirects = redirects.and_then(|setting| Some((setting.flag()?, setting)));
    if let Some((true, redirects)) = redirects {
        let set = path.as_ref().and_then(Setting::text);
        let text = set.filter(|path| !path.is_empty());
        let text = text.unwrap_or_else(|| REDIRECT.to_owned());
        translator.text(REALM, text, path.as_ref().unwrap_or(&redirects));
    } else if let Some(realm) = realm
        && let Some(text) = realm.text().filter(|text| !text.is_empty())
    {
        translator.text(REALM, text, &realm);
    }
}

/// A key belongs to one family of algorithms, and the keys that are trusted decide. The list can
/// only leave nothing.
pub(super) fn check_algorithms(list: &Setting<'_>, _: &mut Translator) {
    if list.is_null() {
        return;
    }
    let Some(items) = list.items() else { return };
    let names: Vec<_> = items
        .iter()
        .filter_map(|item| Some((item, item.text()?)))
        .collect();
    let is_usable = |name: &str| ALGORITHMS.contains(&name);
    for (item, name) in &names {
        if SYMMETRIC.contains(&name.as_str()) {
            let message = format!(
                "{name} is never accepted: a key that verifies such a token can also make one"
            );
            item.warn(Problem::NoEffect, message);
        } else if !is_usable(name) {
            let known = ALGORITHMS.join(", ");
            item.error(format_args!(
                "unknown algorithm `{name}`; known are {known}"
            ));
        }
    }
    let usable = names.iter().filter(|(_, name)| is_usable(name)).count();
    if usable == 0 && !names.is_empty() {
        list.error("no token could be accepted; use a public-key algorithm, such as ES256");
    } else if usable > 0 && usable < ALGORITHMS.len() {
        list.warn(
            Problem::NoEffect,
            "no effect here: the key that a token names decides which algorithm it must have",
        );
    }
}

fn read_htpasswd(htpasswd: &mut Section<'_>, translator: &mut Translator) {
    require(
        htpasswd,
        translator,
        &[
            (
                "realm",
                "write what clients show when they ask for a password",
            ),
            (
                "path",
                "write the file with names and bcrypt hashes, as htpasswd -B makes it",
            ),
        ],
    );
    let Some(setting) = htpasswd.present("path") else {
        return;
    };
    let Some(text) = setting.text().filter(|text| !text.is_empty()) else {
        return;
    };
    let path = accounts_file(Path::new(&text), &setting);
    translator.text(
        "registry.auth.htpasswd.path",
        path.to_string_lossy(),
        &setting,
    );
}

/// The file with the accounts. A directory has none (Debian's file names the directory it is in),
/// and Distribution starts all the same, to refuse every login.
fn accounts_file<'p>(path: &'p Path, setting: &Setting<'_>) -> &'p Path {
    const NO_ACCOUNTS: &str = "/dev/null";
    if path.is_dir() {
        let message = format!(
            "{} is a directory, so no one can log in; name the file with the passwords",
            path.display()
        );
        setting.warn(Problem::Doubtful, message);
    } else if !path.exists() {
        let message = format!(
            "{0} does not exist, so no one can log in; make it with: wharfinger hash --user NAME \
             > {0}",
            path.display()
        );
        setting.warn(Problem::Doubtful, message);
    } else {
        return path;
    }
    setting.context.watch(path);
    Path::new(NO_ACCOUNTS)
}
