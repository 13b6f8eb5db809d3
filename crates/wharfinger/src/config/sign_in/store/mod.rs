//! Where a section keeps its sign-ins: `token_db` and docker_auth's three stores.

mod gcs;
mod redis;

use std::path::PathBuf;

use sign_in::{GcsSettings, RedisServers, RedisSettings};

use super::super::diagnostics::Problem;
use super::super::schema::key;
use super::super::section::Section;

/// A store of sign-ins.
#[derive(Clone, Debug)]
pub(crate) enum TokenStoreConfig {
    /// Our own database.
    Database,
    /// Redis, or a Redis Cluster.
    Redis(RedisSettings),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsSettings),
}

/// What a section says of its store.
pub(super) struct StoreKeys {
    pub(super) store: TokenStoreConfig,
    /// docker_auth's LevelDB, which can be imported.
    pub(super) leveldb: Option<PathBuf>,
}

const DATABASE: &str = "database";

/// What is said of a LevelDB: it is not opened while the server runs.
const OF_LEVELDB: &str = "the server does not read this LevelDB: `wharfinger import CONFIG` copies \
                          its sign-ins into the store of this section, once; then remove the key";

/// Reads the keys of the stores, of which a section has one.
pub(super) fn read(section: &mut Section<'_>) -> StoreKeys {
    let own = section.locate(
        key::text("token_db")
            .means(
                "`database`: sign-ins are kept in `database`. A path, as in old files of \
                 docker_auth, is `level_token_db.path`, and warns",
            )
            .otherwise("database"),
    );
    let level = read_leveldb(section);
    let redis = section.optional(
        key::mapping("redis_token_db")
            .docker_auth()
            .means("sign-ins are kept in Redis, beside docker_auth's"),
        redis::read,
    );
    let gcs = section.optional(
        key::mapping("gcs_token_db")
            .docker_auth()
            .means("sign-ins are kept in Google Cloud Storage, beside docker_auth's"),
        gcs::read,
    );
    let (has_redis, has_gcs) = (section.has("redis_token_db"), section.has("gcs_token_db"));
    let mut leveldb = level;
    if let Some(own) = own {
        if own.value == DATABASE {
            let message = "sign-ins have one store: remove this key, or the other store";
            if has_redis || has_gcs {
                own.setting.report(Problem::Conflict, message);
            }
        } else if !own.value.is_empty() {
            own.setting.warn(Problem::NoEffect, OF_LEVELDB);
            leveldb.get_or_insert_with(|| PathBuf::from(own.value));
        }
    }
    if has_redis && has_gcs {
        let message = "no effect: gcs_token_db counts, as in docker_auth; remove one of them";
        section.warn_about("redis_token_db", Problem::NoEffect, message);
    }
    let store = match (gcs, redis) {
        (Some(gcs), _) => TokenStoreConfig::Gcs(gcs),
        (None, Some(redis)) => TokenStoreConfig::Redis(redis),
        (None, None) => TokenStoreConfig::Database,
    };
    StoreKeys { store, leveldb }
}

impl TokenStoreConfig {
    /// Whether both are one place, in which docker_auth's records have the users' names only.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Redis(one), Self::Redis(other)) => is_one_redis(&one.servers, &other.servers),
            (Self::Gcs(one), Self::Gcs(other)) => {
                (&one.endpoint, &one.bucket) == (&other.endpoint, &other.bucket)
            }
            // Our own tables have a column for the section.
            _ => false,
        }
    }
}

fn is_one_redis(one: &RedisServers, other: &RedisServers) -> bool {
    match (one, other) {
        (RedisServers::Cluster { nodes, .. }, RedisServers::Cluster { nodes: others, .. }) => {
            nodes.iter().any(|node| others.contains(node))
        }
        (one, other) => one == other,
    }
}

fn read_leveldb(section: &mut Section<'_>) -> Option<PathBuf> {
    let level = section.optional(
        key::mapping("level_token_db")
            .docker_auth()
            .means("docker_auth's LevelDB: `wharfinger import` reads it, the server does not"),
        |level| {
            let path = level.find(key::path("path").docker_auth().means("its directory"));
            read_hash_cost(level);
            path
        },
    );
    if let Some(setting) = section
        .present("level_token_db")
        .filter(|level| !level.is_null())
    {
        setting.warn(Problem::NoEffect, OF_LEVELDB);
    }
    level
}

/// docker_auth hashes passwords for Redis and GCS at this cost. They are random, so a higher one adds
/// nothing; the cost must be the same for every store, or its time would tell accounts apart.
fn read_hash_cost(section: &mut Section<'_>) {
    section.find(
        key::number::<i64>("token_hash_cost", i64::MIN..=i64::MAX)
            .docker_auth()
            .means("no effect: bcrypt's cost is 10, as by default in docker_auth"),
    );
    if let Some(setting) = section.present("token_hash_cost") {
        let message = "no effect: bcrypt's cost is 10; remove the key";
        setting.warn(Problem::NoEffect, message);
    }
}
