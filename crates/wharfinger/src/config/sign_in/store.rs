//! Where a section keeps its sign-ins.

use super::super::diagnostics::Problem;
use super::super::schema::{Kind, key};
use super::super::section::Section;

/// A store of sign-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenStoreConfig {
    /// Our own database.
    Database,
}

const DATABASE: &str = "database";

/// What is said of a LevelDB: it is not opened while the server runs.
const OF_LEVELDB: &str = "the sign-ins in this LevelDB are not read: they are kept in the database \
                          (`token_db: database`), and users sign in once more";

/// Reads the keys of the stores, of which a section has one.
pub(super) fn read(section: &mut Section<'_>) -> TokenStoreConfig {
    let own = section.locate(
        key::text("token_db")
            .means("`database`: sign-ins are kept in `database`. (Old files of docker_auth have a path here, which warns.)")
            .otherwise("database"),
    );
    if let Some(path) = own.filter(|own| own.value != DATABASE) {
        path.setting.warn(Problem::NoEffect, OF_LEVELDB);
    }
    section.optional(
        key::mapping("level_token_db")
            .docker_auth()
            .means("the LevelDB of docker_auth; it warns, and `database` is used"),
        |level| {
            level.find(key::path("path").docker_auth().means("its directory"));
            let cost = key::number::<i64>("token_hash_cost", i64::MIN..=i64::MAX);
            level.find(
                cost.docker_auth()
                    .means("no effect; docker_auth ignores it, too"),
            );
            Some(())
        },
    );
    if let Some(level) = section
        .present("level_token_db")
        .filter(|level| !level.is_null())
    {
        level.warn(Problem::NoEffect, OF_LEVELDB);
    }
    for (name, means) in [
        ("redis_token_db", "sign-ins in Redis"),
        ("gcs_token_db", "sign-ins in Google Cloud Storage"),
    ] {
        let key = key::custom(name, Kind::Anything).docker_auth().later();
        if let Some(store) = section.setting(key.means(means)) {
            let message = format!("{means} are not supported yet; remove it to use `database`");
            store.report(Problem::Unsupported, message);
        }
    }
    TokenStoreConfig::Database
}
