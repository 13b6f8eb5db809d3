//! Sign-ins in Redis, beside those of `docker_auth`.
//!
//! The record of a user has the key `t:USER`, as there. What is ours has keys of its own:
//! `wharfinger:SECTION:passwords:USER` and `wharfinger:SECTION:spelling:USER`. Each document is one
//! key, so a cluster may keep them on different nodes.

mod connection;
mod settings;

use common::BoxFuture;
use redis::{Cmd, FromRedisValue, RedisError};

use self::connection::{CommandRetry, CommandTarget, RedisConnections};
pub use self::settings::{HostPort, RedisAddress, RedisServers, RedisSettings, RedisTls};
use super::listing::{MAX_TIME, UserListing, within};
use super::{DocumentKind, TokenStore, TokenStoreError};

/// What `docker_auth` puts before a user's name.
const RECORD_PREFIX: &str = "t:";

/// Changes a key if its value is still the expected one. Redis runs a script as a whole, so nothing
/// comes between. `ARGV`: whether a value is expected, which, whether there is a new one, which.
const CHANGE: &str = "\
local expected = ARGV[1] == '1' and ARGV[2]
if redis.call('GET', KEYS[1]) ~= expected then return 0 end
if ARGV[3] == '1' then redis.call('SET', KEYS[1], ARGV[4]) else redis.call('DEL', KEYS[1]) end
return 1";

/// How many keys a step of a scan looks at.
const SCAN_STEP: u32 = 1000;

/// How many steps a list of users may take, for all nodes together.
const MAX_STEPS: u32 = 10_000;

/// Keeps the documents of one section of the configuration in Redis. It connects when it is first
/// asked.
pub struct RedisTokenStore {
    connections: RedisConnections,
    section: &'static str,
}

impl RedisTokenStore {
    /// The documents of `section`. `docker_auth`'s records are not divided into sections, so two
    /// sections must not share a Redis.
    ///
    /// # Errors
    /// When a certificate in the settings cannot be read.
    pub fn new(settings: RedisSettings, section: &'static str) -> Result<Self, TokenStoreError> {
        let connections = RedisConnections::new(settings);
        Ok(Self {
            connections: connections.map_err(|error| TokenStoreError::Broken(error.into()))?,
            section,
        })
    }

    fn key(&self, kind: DocumentKind, user: &str) -> String {
        match kind {
            DocumentKind::Record => format!("{RECORD_PREFIX}{user}"),
            DocumentKind::Passwords | DocumentKind::Spelling => {
                format!("wharfinger:{}:{}:{user}", self.section, kind.name())
            }
        }
    }

    async fn ask<T: FromRedisValue>(
        &self,
        command: Cmd,
        target: CommandTarget,
        retry: CommandRetry,
    ) -> Result<T, TokenStoreError> {
        let value = self.connections.ask(&command, target, retry).await?;
        T::from_redis_value(value).map_err(|error| TokenStoreError::Broken(error.into()))
    }

    /// The users whose records are on `target`.
    async fn scan(
        &self,
        target: CommandTarget,
        users: &mut UserListing,
    ) -> Result<(), TokenStoreError> {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg("t:*");
            scan.arg("COUNT").arg(SCAN_STEP);
            let (next, keys): (u64, Vec<Vec<u8>>) =
                self.ask(scan, target, CommandRetry::Allowed).await?;
            let keys = keys
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok());
            users.add(keys.filter_map(|key| {
                let user = key.strip_prefix(RECORD_PREFIX)?;
                (!user.is_empty()).then(|| user.to_owned())
            }))?;
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl TokenStore for RedisTokenStore {
    fn read<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TokenStoreError>> {
        Box::pin(async move {
            if user.is_empty() {
                return Ok(None);
            }
            let mut get = redis::cmd("GET");
            get.arg(self.key(kind, user));
            self.ask(get, CommandTarget::OfKey, CommandRetry::Allowed)
                .await
        })
    }

    fn write<'a>(
        &'a self,
        kind: DocumentKind,
        user: &'a str,
        before: Option<&'a [u8]>,
        after: Option<&'a [u8]>,
    ) -> BoxFuture<'a, Result<bool, TokenStoreError>> {
        Box::pin(async move {
            let mut change = redis::cmd("EVAL");
            change.arg(CHANGE).arg(1).arg(self.key(kind, user));
            for document in [before, after] {
                change.arg(u8::from(document.is_some()));
                change.arg(document.unwrap_or_default());
            }
            self.ask(change, CommandTarget::OfKey, CommandRetry::Never)
                .await
        })
    }

    fn users(&self) -> BoxFuture<'_, Result<Vec<String>, TokenStoreError>> {
        Box::pin(within(MAX_TIME, async {
            let mut users = UserListing::new(MAX_STEPS);
            for master in self.connections.masters().await? {
                self.scan(master, &mut users).await?;
            }
            Ok(users.into_names())
        }))
    }
}

impl From<RedisError> for TokenStoreError {
    fn from(error: RedisError) -> Self {
        if connection::may_pass(&error) {
            Self::Unavailable(error.into())
        } else {
            Self::Broken(error.into())
        }
    }
}
