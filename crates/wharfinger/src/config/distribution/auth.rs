//! The section `auth`: who may come in.

use std::path::Path;

use super::draft::Draft;
use crate::config::section::Section;
use crate::config::setting::Setting;

/// Where `autoredirect` sends clients unless it is told where.
const REDIRECT: &str = "/auth/token";

/// What means the same here.
const TAKEN: [(&str, &str); 4] = [
    ("service", "registry.auth.token.service"),
    ("issuer", "registry.auth.token.issuer"),
    ("rootcertbundle", "registry.auth.token.rootcertbundle"),
    ("jwks", "registry.auth.token.jwks"),
];

/// What tokens may be signed with. HMAC is none of ours: whoever can verify such a token can make
/// one.
const ALGORITHMS: [&str; 10] = [
    "EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
];
const SYMMETRIC: [&str; 3] = ["HS256", "HS384", "HS512"];

/// Reads the section; `own` says whether the block `wharfinger` has one, too.
pub(super) fn read(root: &mut Section<'_>, draft: &mut Draft<'_>, own: bool) {
    if let Some(auth) = root.setting("auth") {
        auth.section(|section| {
            read_section(&auth, section, draft, own);
            Some(())
        });
    } else if !own {
        let message = "auth is missing, so everybody may pull, push and delete everything; set auth.token or auth.htpasswd";
        root.context.warn(root.position, message);
        draft.word("registry.auth.none", &true, root.position);
    }
}

fn read_section(auth: &Setting<'_>, section: &mut Section<'_>, draft: &mut Draft<'_>, own: bool) {
    let providers = ["token", "htpasswd", "silly", "none"];
    let given = providers.map(|name| section.present(name).map(|setting| (name, setting)));
    let given: Vec<_> = given.into_iter().flatten().collect();
    if own && !given.is_empty() {
        auth.error("who may come in is said twice: here and in the block wharfinger; only one of them can count");
    }
    match &given[..] {
        [] => {
            auth.error("no provider is chosen; write auth: {token: {…}} or auth: {htpasswd: {…}}");
        }
        [(name, setting)] => match *name {
            "token" => within(setting, |token| read_token(token, draft)),
            "htpasswd" => within(setting, |htpasswd| read_htpasswd(htpasswd, draft)),
            "silly" => {
                setting.error("this lets everybody in who sends anything; use token or htpasswd");
            }
            _ => {
                draft.word("registry.auth.none", &true, setting.position());
            }
        },
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
            auth.error(format_args!(
                "there must be one provider, and here are {}",
                names.join(", ")
            ));
        }
    }
}

/// The settings of a provider; with nothing behind its colon it has none, and says what is missing.
fn within(provider: &Setting<'_>, read: impl FnOnce(&mut Section<'_>)) {
    if provider.is_null() {
        let mut section = Section::new(
            provider.context,
            &provider.name,
            provider.position(),
            Vec::new(),
        );
        return read(&mut section);
    }
    provider.section(|section| {
        read(section);
        Some(())
    });
}

fn read_token(token: &mut Section<'_>, draft: &mut Draft<'_>) {
    token.require(
        "realm",
        "where clients get tokens, as https://auth.example.com/auth",
    );
    token.require(
        "service",
        "what tokens are for: the name under which the token server knows this registry",
    );
    token.require(
        "issuer",
        "who issues the tokens, as the token server has it",
    );
    if !token.has("rootcertbundle") && !token.has("jwks") {
        let message = "auth.token.rootcertbundle is missing: the token server's certificate, or its keys under jwks";
        token.context.error(token.position, message);
    }
    let redirects = token.flag("autoredirect") == Some(true);
    let path = token.setting("autoredirectpath");
    let realm = token.setting("realm");
    if redirects {
        if let Some(setting) = path.as_ref().or(realm.as_ref()) {
            let path = path
                .as_ref()
                .and_then(Setting::text)
                .filter(|path| !path.is_empty());
            draft.text(
                "registry.auth.token.realm",
                path.unwrap_or_else(|| REDIRECT.to_owned()),
                setting.position(),
            );
        }
    } else if let Some(realm) = &realm {
        take(realm, draft, "registry.auth.token.realm");
    }
    for (key, path) in TAKEN {
        if let Some(setting) = token.setting(key) {
            take(&setting, draft, path);
        }
    }
    if let Some(list) = token.setting("signingalgorithms") {
        check_algorithms(&list);
    }
}

fn take(setting: &Setting<'_>, draft: &mut Draft<'_>, path: &'static str) {
    if let Some(text) = setting.text().filter(|text| !text.is_empty()) {
        draft.text(path, text, setting.position());
    }
}

/// A key belongs to one family of algorithms, and the keys that are trusted decide; the list can
/// only leave nothing.
fn check_algorithms(list: &Setting<'_>) {
    let Some(items) = list.items() else { return };
    let names: Vec<_> = items
        .iter()
        .filter_map(|item| Some((item, item.text()?)))
        .collect();
    for (item, name) in &names {
        if SYMMETRIC.contains(&name.as_str()) {
            item.warn(format_args!(
                "{name} is never accepted: whoever verifies such a token could make one"
            ));
        } else if !ALGORITHMS.contains(&name.as_str()) {
            item.error(format_args!(
                "`{name}` is no algorithm; known are {}",
                ALGORITHMS.join(", ")
            ));
        }
    }
    let usable = names
        .iter()
        .filter(|(_, name)| ALGORITHMS.contains(&name.as_str()))
        .count();
    if usable == 0 && !names.is_empty() {
        list.error(
            "no token could be accepted; use an algorithm with a public key, as ES256 or RS256",
        );
    } else if usable > 0 && usable < ALGORITHMS.len() {
        list.warn("this has no effect here: a token's algorithm must fit the key that it names, which decides");
    }
}

fn read_htpasswd(htpasswd: &mut Section<'_>, draft: &mut Draft<'_>) {
    htpasswd.require(
        "realm",
        "what browsers show when they ask for a password, as Registry",
    );
    htpasswd.require(
        "path",
        "the file with names and bcrypt hashes that htpasswd -B writes",
    );
    if let Some(realm) = htpasswd.setting("realm")
        && let Some(text) = realm.text()
    {
        draft.text("registry.auth.htpasswd.realm", text, realm.position());
    }
    let Some(file) = htpasswd.path("path") else {
        return;
    };
    let path = accounts_file(&file.path, &file.setting, draft);
    draft.text(
        "registry.auth.htpasswd.path",
        path.to_string_lossy(),
        file.setting.position(),
    );
}

/// Where the accounts are. A folder has none (Debian's file names the folder it lies in), and lets
/// Distribution start all the same, to refuse everybody.
fn accounts_file<'p>(path: &'p Path, setting: &Setting<'_>, draft: &Draft<'_>) -> &'p Path {
    const NOBODY: &str = "/dev/null";
    if path.is_dir() {
        setting.warn(format_args!(
            "{} is a folder, so nobody can log in; name the file with the passwords",
            path.display()
        ));
    } else if !path.exists() {
        setting.warn(format_args!(
            "{0} is not there, so nobody can log in; make it with: wharfinger hash --user NAME > {0}",
            path.display()
        ));
    } else {
        return path;
    }
    draft.context().watch(path);
    Path::new(NOBODY)
}
