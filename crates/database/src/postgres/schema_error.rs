//! Why a program cannot use tables.

/// Why this program cannot use the tables that PostgreSQL has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// There are none.
    #[error(
        "the database has no tables of wharfinger: start a server with it once, or run `wharfinger registry migrate FILE`"
    )]
    Missing,
    /// There are none, and none can be made: the database cannot store all characters.
    #[error(
        "the database has the encoding {0}, which lacks characters: make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding(String),
    /// They lack something that this program needs.
    #[error(
        "the tables of the database have the version {found}, and this program needs {known}: start the server with this program first, or run `wharfinger registry migrate FILE`"
    )]
    Older {
        /// Their version.
        found: i64,
        /// The version that this program knows.
        known: i64,
    },
    /// They were changed so that this program would damage them.
    #[error(
        "the tables of the database serve programs from version {serves_from} on, and this program knows {known}: run the newer program"
    )]
    Newer {
        /// The oldest version that a program may know.
        serves_from: i64,
        /// The version that this program knows.
        known: i64,
    },
}
