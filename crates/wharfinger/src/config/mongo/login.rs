//! Who logs in to MongoDB, and how.

use common::Secret;
use mongo::{AuthMechanism, MongoLogin};

use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::Kind;
use crate::config::schema::key::{self, Words};
use crate::config::section::Section;

/// What a key says that docker_auth reads and does not use.
pub(super) const IGNORED: &str = "docker_auth ignores it, and here it counts";

/// The key `mechanism`.
#[derive(Clone, Copy, PartialEq)]
enum MechanismWord {
    Negotiated,
    /// The default of docker_auth's documentation, which no server has any more.
    Old,
    Plain,
    ScramSha1,
    ScramSha256,
}

impl Words for MechanismWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("SCRAM-SHA-256", Self::ScramSha256),
        ("SCRAM-SHA-1", Self::ScramSha1),
        ("PLAIN", Self::Plain),
        ("MONGODB-CR", Self::Old),
        ("", Self::Negotiated),
    ];
}

pub(super) fn read_login(section: &mut Section<'_>) -> Option<MongoLogin> {
    let username = section.find(
        key::text("username")
            .docker_auth()
            .means("the user of MongoDB as which the server logs in")
            .otherwise("no login"),
    );
    let password = read_password(section);
    let source = section.locate(
        key::text("source")
            .docker_auth()
            .means("the database that has this user")
            .otherwise("`admin`"),
    );
    let mechanism = section.locate(
        key::word::<MechanismWord>("mechanism")
            .docker_auth()
            .means("how to log in")
            .otherwise("the best that the server offers"),
    );
    if let Some(service) = section.locate(
        key::text("service")
            .docker_auth()
            .means("no effect: only Kerberos has a service"),
    ) && !service.value.is_empty()
    {
        let message = "no effect: only Kerberos, which is not supported, has a service";
        service.setting.warn(Problem::NoEffect, message);
    }
    let source = source.filter(|source| !source.value.is_empty());
    if let Some(source) = &source
        && source.value != "admin"
    {
        source.setting.warn(Problem::Doubtful, IGNORED);
    }
    let mechanism = mechanism.and_then(|mechanism| {
        let setting = &mechanism.setting;
        match mechanism.value {
            MechanismWord::Negotiated => None,
            MechanismWord::Old => {
                let message = "no server has it any more; the best that it offers is taken";
                setting.warn(Problem::NoEffect, message);
                None
            }
            known => {
                setting.warn(Problem::Doubtful, IGNORED);
                Some(known)
            }
        }
    });
    let username = username.filter(|name| !name.is_empty())?;
    Some(MongoLogin {
        username,
        password: password.unwrap_or_else(|| Secret::from("")),
        source: source.map_or_else(|| "admin".to_owned(), |source| source.value),
        mechanism: mechanism.and_then(auth_mechanism),
    })
}

/// As in docker_auth, the file counts before the key beside it, and blanks around its text do not.
fn read_password(section: &mut Section<'_>) -> Option<Secret> {
    let here = section.setting(
        key::custom("password", Kind::Text)
            .docker_auth()
            .secret()
            .means("its password"),
    );
    let file = section.locate(
        key::path("password_file")
            .docker_auth()
            .means("a file with its password, which counts before `password`"),
    );
    if here.is_some() {
        section.show("password", Effective::hidden());
    }
    match file {
        Some(file) => {
            let text = String::from_utf8(file.read()?).map_err(|_| "not UTF-8");
            let text = file.setting.checked_file(&file.value, text)?;
            Some(Secret::from(text.trim()))
        }
        None => here?.text().map(Secret::from),
    }
}

fn auth_mechanism(word: MechanismWord) -> Option<AuthMechanism> {
    match word {
        MechanismWord::Negotiated | MechanismWord::Old => None,
        MechanismWord::Plain => Some(AuthMechanism::Plain),
        MechanismWord::ScramSha1 => Some(AuthMechanism::ScramSha1),
        MechanismWord::ScramSha256 => Some(AuthMechanism::ScramSha256),
    }
}
