//! One platform: who it is, where its keys are, what its tokens must be for.

use std::path::PathBuf;
use std::time::Duration;

use identity::http::{BackendUrl, BackendUrlError};
use token::{JwkSet, SignatureAlgorithm};
use workload_identity::{IssuerKeySource, IssuerSettings, Preset};

use super::super::backend_keys;
use super::super::diagnostics::Problem;
use super::super::effective::Effective;
use super::super::schema::key;
use super::super::schema::key::Words;
use super::super::section::{Located, Section};
use super::{ReadIssuer, rule};

const SECOND: Duration = Duration::from_secs(1);

impl Words for Preset {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("github", Self::Github),
        ("gitlab", Self::Gitlab),
        ("kubernetes", Self::Kubernetes),
        ("forgejo", Self::Forgejo),
        ("oidc", Self::Oidc),
    ];
}

impl Words for SignatureAlgorithm {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("ES512", Self::ES512),
        ("EdDSA", Self::EdDSA),
    ];
}

/// Reads one item. All keys are asked for before one can be missing.
pub(super) fn read(section: &mut Section<'_>) -> Option<ReadIssuer> {
    let preset = section.get(
        key::word::<Preset>("preset")
            .means("what the platform is, and so which claims its tokens have")
            .default(Preset::Oidc),
    );
    let name = section.find(
        key::parsed("name", "name", name)
            .means("what the platform is called here; its accounts begin with this and a colon")
            .otherwise("as `preset`"),
    );
    let name = name.unwrap_or_else(|| preset.name().to_owned());
    section.show("name", Effective::quoted(&name));
    let issuer = read_issuer(section, preset);
    let audiences = section.locate(
        key::texts("audiences")
            .not(&["audience", "aud"])
            .required(
                "write what tokens for this server have as aud, such as [registry.example.com]",
            )
            .means("the audiences of tokens for this server; `aud` must have one of them"),
    );
    let algorithms = section.find(
        key::one_or_many_words::<SignatureAlgorithm>("algorithms")
            .means("the algorithms that it may sign with")
            .otherwise("each of these that its discovery document names"),
    );
    let keys = read_keys(section);
    let rules = rule::read_list(section, preset, &name);
    let audiences = audiences.filter(|audiences| {
        let is_empty = audiences.value.is_empty() || audiences.value.iter().any(String::is_empty);
        if is_empty {
            let message = "empty: write what names this server, and no other service";
            audiences.setting.error(message);
        }
        !is_empty
    });
    let issuer = issuer?;
    let (keys, audiences) = (keys?, audiences?.value);
    let rules = rules?;
    rule::warn(section, preset, &issuer, &rules);
    let (rules, positions) = rules
        .into_iter()
        .map(|read| (read.rule, read.position))
        .unzip();
    Some(ReadIssuer {
        settings: IssuerSettings {
            name,
            preset,
            issuer,
            audiences,
            algorithms: algorithms.unwrap_or_else(|| SignatureAlgorithm::ALL.to_vec()),
            keys,
            rules,
        },
        position: section.position,
        rules: positions,
    })
}

fn read_issuer(section: &mut Section<'_>, preset: Preset) -> Option<String> {
    let has_file = section.has("jwks");
    let issuer = section.locate(
        key::parsed("issuer", "URL", filled)
            .means(
                "`iss` of its tokens, exactly; without `jwks` it is `https`, or `http` on this \
                 machine",
            )
            .otherwise("the public service of `github` or `gitlab`; else required"),
    );
    let Some(Located { value, setting }) = issuer else {
        if let Some(public) = preset.issuer().filter(|_| !section.has("issuer")) {
            section.show("issuer", Effective::quoted(public));
            return Some(public.to_owned());
        }
        if !section.has("issuer") && !section.context.is_describing() {
            let hint = "write `iss` of the platform's tokens, such as https://HOST/api/actions";
            section.error_about("issuer", Problem::Missing, hint);
        }
        return None;
    };
    if !has_file {
        setting.checked(address(&value))?;
    }
    Some(value)
}

/// Where the keys come from.
fn read_keys(section: &mut Section<'_>) -> Option<IssuerKeySource> {
    let file = section.locate(
        key::path("jwks")
            .means("a file with its keys (a JWKS), for a platform that cannot be reached; read again when it changes")
            .otherwise("keys are fetched"),
    );
    let address = section.locate(
        key::parsed("jwks_url", "URL", address)
            .means("where its keys are")
            .otherwise("as its discovery document says"),
    );
    let authorities = backend_keys::authorities(section);
    let bearer = section.locate(key::path("token_file").means(
        "a file with a bearer token that the platform wants for its keys, read for each request",
    ));
    let timeout = section.locate(
        key::duration("timeout", SECOND..=60 * SECOND)
            .means("how long a request for keys may take")
            .otherwise("5s"),
    );
    if let Some(file) = file {
        let others = [
            address.as_ref().map(|address| &address.setting),
            authorities.as_ref().map(|file| &file.setting),
            bearer.as_ref().map(|file| &file.setting),
            timeout.as_ref().map(|timeout| &timeout.setting),
        ];
        for other in others.into_iter().flatten() {
            other.report(Problem::NoEffect, "no effect with jwks; remove one of them");
        }
        return read_key_file(&file);
    }
    let tls = backend_keys::trusting(authorities.as_ref());
    let has_address = section.has("jwks_url");
    if has_address && address.is_none() {
        return None;
    }
    Some(IssuerKeySource::Fetched {
        address: address.map(|address| address.value),
        tls: tls?,
        bearer: bearer.map(|file| file.value),
        timeout: timeout.map_or(5 * SECOND, |timeout| timeout.value),
    })
}

fn read_key_file(file: &Located<'_, PathBuf>) -> Option<IssuerKeySource> {
    let text = String::from_utf8(file.read()?).map_err(|_| "not UTF-8");
    let text = file.setting.checked_file(&file.value, text)?;
    let keys = JwkSet::from_json(&text);
    let keys = file.setting.checked_file(&file.value, keys)?;
    if keys.keys.is_empty() {
        let message = format!("{}: no key in it that signs tokens", file.value.display());
        file.setting.report(Problem::File, message);
        return None;
    }
    Some(IssuerKeySource::File(keys))
}

/// A name that accounts can begin with.
fn name(text: &str) -> Result<String, String> {
    let is_usable = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if begins_well && text.chars().all(is_usable) && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("must be lower-case letters, digits, `-`, `.` and `_`, at most 64, and begin with a letter or a digit".to_owned())
}

fn filled(text: &str) -> Result<String, String> {
    match text {
        "" => Err("empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// An address from which keys may come: who changes them on the way could log in.
fn address(text: &str) -> Result<String, String> {
    match text.parse::<BackendUrl>() {
        Ok(_) => Ok(text.to_owned()),
        Err(BackendUrlError::Unencrypted) => Err(
            "keys could be changed on their way over plain http; use https (http is for \
                 localhost only)"
                .to_owned(),
        ),
        Err(error) => Err(error.to_string()),
    }
}
