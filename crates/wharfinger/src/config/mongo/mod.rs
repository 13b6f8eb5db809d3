//! MongoDB: the sections `mongo_auth` and `acl_mongo`.
//!
//! - here: the collections; [`dial_info`]: the servers; [`login`]: who logs in there.

mod dial_info;
mod login;

use std::num::{NonZeroU32, NonZeroUsize};

use auth::StoredRulesSettings;
use mongo::MongoSettings;
use policy::AclOptions;

use self::dial_info::DialInfo;
use super::backend_keys;
use super::schema::key;
use super::section::Section;
use super::stored_rules::read_refresh;

/// Users in a collection.
#[derive(Clone, Debug)]
pub(crate) struct MongoUsersConfig {
    pub(crate) settings: MongoSettings,
    /// How many logins are looked up at once.
    pub(crate) concurrency: NonZeroUsize,
}

/// Rules in a collection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MongoRulesConfig {
    pub(crate) settings: MongoSettings,
    pub(crate) refresh: StoredRulesSettings,
}

/// One loads the rules, and one makes the index.
const CONNECTIONS_FOR_RULES: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// Reads `mongo_auth`.
pub(super) fn read_users(root: &mut Section<'_>) -> Option<MongoUsersConfig> {
    let key = key::mapping("mongo_auth")
        .docker_auth()
        .means("users in MongoDB, below");
    root.optional(key, |section| {
        let servers = DialInfo::read(section);
        let collection = read_collection(section, "users");
        let meaning = "how many logins are looked up at once; four times as many may wait";
        let concurrency = backend_keys::concurrency(section, meaning);
        let connections = u32::try_from(concurrency.get()).ok();
        let connections = connections.and_then(NonZeroU32::new)?;
        Some(MongoUsersConfig {
            settings: servers?.settings(collection?, connections),
            concurrency,
        })
    })
}

/// Reads `acl_mongo`. Its patterns are read as those of `acl`.
pub(super) fn read_rules(root: &mut Section<'_>, options: AclOptions) -> Option<MongoRulesConfig> {
    let key = key::mapping("acl_mongo")
        .docker_auth()
        .means("rules in MongoDB, below, asked after `acl`");
    root.optional(key, |section| {
        let servers = DialInfo::read(section);
        let collection = read_collection(section, "acl");
        let refresh = read_refresh(section, options);
        Some(MongoRulesConfig {
            settings: servers?.settings(collection?, CONNECTIONS_FOR_RULES),
            refresh,
        })
    })
}

fn read_collection(section: &mut Section<'_>, usual: &'static str) -> Option<String> {
    let hint = match usual {
        "users" => "write the collection that has the users, such as users",
        _ => "write the collection that has the rules, such as acl",
    };
    section.find(
        key::parsed("collection", "text", |text| {
            match text {
                "" => Err("write the name of a collection"),
                name => Ok(name.to_owned()),
            }
            .map_err(str::to_owned)
        })
        .docker_auth()
        .required(hint)
        .means("the name of the collection"),
    )
}
