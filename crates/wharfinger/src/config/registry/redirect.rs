//! `registry.storage.redirect`: which clients are sent to the store of a blob, and how.

use std::time::Duration;

use common::IpNetwork;

use super::store_url::{is_this_machine, store_url};
use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;
use crate::config::server::read_networks;

const MINUTE: Duration = Duration::from_secs(60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The largest size from which clients may be sent to the store.
const LARGEST: usize = 1 << 40;

/// Which clients are sent to the store of a blob, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedirectConfig {
    pub(crate) enabled: bool,
    /// The least content for which a client is sent to the store, in bytes.
    pub(crate) from: usize,
    /// How long a URL is valid.
    pub(crate) lifetime: Duration,
    /// The URL at which clients reach the store, if it is another one than the server's.
    pub(crate) endpoint: Option<String>,
    /// The networks of clients that are never sent there.
    pub(crate) except: Vec<IpNetwork>,
}

impl RedirectConfig {
    /// Declares `registry.storage.redirect.*`.
    pub(super) fn read(redirect: &mut Section<'_>) -> Self {
        let enabled = redirect.get(
            key::switch("enabled")
                .means(
                    "whether clients are sent to the store with a URL that is valid for a while; \
                     otherwise the server sends all content itself",
                )
                .default(true),
        );
        let from = redirect.get(
            key::size("from", 1..=LARGEST)
                .means("the least content for which a client is sent to the store")
                .default(64 << 10),
        );
        let lifetime = redirect.get(
            // SigV4 knows seven days at most.
            key::duration("lifetime", 5 * MINUTE..=WEEK)
                .restart()
                .means("how long a URL is valid; with a temporary key at most 5 minutes")
                .default(20 * MINUTE),
        );
        let endpoint = redirect.locate(
            key::text("endpoint")
                .not(&["redirectendpoint", "url", "host"])
                .restart()
                .means(
                    "the URL at which clients reach the store: scheme, host and port take the \
                     place of the server's",
                )
                .otherwise("as the server reaches it"),
        );
        let endpoint = endpoint.and_then(|endpoint| {
            let url = endpoint.setting.checked(store_url(&endpoint.value, true))?;
            if url.starts_with("http://") && !is_this_machine(&url) {
                let message = "clients read content without TLS: write https://";
                endpoint.setting.warn(Problem::Doubtful, message);
            }
            Some(url)
        });
        let except = redirect.setting(
            key::custom(
                "except",
                Kind::List(Box::new(Kind::Form("addresses and networks"))),
            )
            .means("addresses and networks of clients that the server sends all content itself")
            .otherwise("`[]`"),
        );
        let except = except.and_then(|setting| read_networks(&setting));
        let except = except.unwrap_or_default();
        if !except.is_empty() {
            let networks = except.iter().map(Effective::quoted).collect();
            redirect.show("except", Effective::List(networks));
        }
        Self {
            enabled,
            from,
            lifetime,
            endpoint,
            except,
        }
    }
}
