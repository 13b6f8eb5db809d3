//! One request, without its body.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{BasicCredentials, Clock, RequestContext, client_network};
use event::{Actor, Event, EventKind, EventRequest, Observer, Observers, QuotaEvent};
use http::header::{AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method};
use oci::{Digest, RepositoryName};
use storage::{ChangeAuthor, Error as StorageError, NewOutboxRecord, QuotaWarning, RemotePart};
use tag_rules::ImmutabilityRules;

use crate::body_memory::{BodyMemory, BodyMemoryFull, BodyOwner, BodyShare};
use crate::change_details::ChangeDetails;
use crate::outbox::OutboxWriter;
use crate::pull_recorder::PullRecorder;
use crate::query::Query;
use crate::route::Route;
use crate::tag_settings::TagSettings;

/// When to try again what needs rules that were not read yet.
const RULES_UNKNOWN: Duration = Duration::from_secs(1);

/// What a handler may know of a request besides its path and its body.
pub(crate) struct ApiRequest<'a> {
    head: &'a Parts,
    /// The client and where it reaches this registry.
    pub(crate) context: &'a RequestContext,
    environment: Environment<'a>,
    pub(crate) query: Query,
}

/// What every request of a registry shares.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    pub(crate) relative_urls: bool,
    pub(crate) observers: &'a Observers,
    pub(crate) outbox: Option<&'a dyn OutboxWriter>,
    pub(crate) tags: &'a TagSettings,
    pub(crate) pulls: Option<&'a dyn PullRecorder>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) body_memory: &'a Arc<BodyMemory>,
}

impl<'a> ApiRequest<'a> {
    pub(crate) fn new(
        head: &'a Parts,
        context: &'a RequestContext,
        environment: Environment<'a>,
    ) -> Self {
        Self {
            head,
            context,
            environment,
            query: Query::parse(head.uri.query()),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub(crate) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// The token of an `Authorization: Bearer` header (RFC 6750 §2.1), of which the first line
    /// counts.
    pub(crate) fn bearer_token(&self) -> Option<&str> {
        let line = self.head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
    }

    /// The credentials of an `Authorization: Basic` header that can be read.
    pub(crate) fn basic_credentials(&self) -> Option<BasicCredentials> {
        let line = self.head.headers.get(AUTHORIZATION)?;
        BasicCredentials::parse(line.as_bytes()).ok().flatten()
    }

    /// The client that limits count: the account, or the address of an anonymous client.
    pub(crate) fn client(&self) -> String {
        match self.body_owner() {
            BodyOwner::Account(account) => account,
            BodyOwner::Anonymous(Some(address)) => address.to_string(),
            BodyOwner::Anonymous(None) => String::new(),
        }
    }

    /// The memory of a body that is collected.
    pub(crate) fn body_share(&self) -> BodyShare {
        self.environment.body_memory.share(self.body_owner())
    }

    fn body_owner(&self) -> BodyOwner {
        // A limit never counts an address that a client can choose.
        let address = self.context.attributable_address().or(self.context.peer);
        match self.context.account() {
            "" => BodyOwner::Anonymous(address.map(client_network)),
            account => BodyOwner::Account(account.to_owned()),
        }
    }

    /// `bytes` of a response, counted until the client has read them.
    pub(crate) fn hold(&self, bytes: Bytes) -> Result<Bytes, BodyMemoryFull> {
        self.body_share().hold(bytes)
    }

    /// Where the client finds `path`, which begins with a slash: the value of a `Location`.
    pub(crate) fn location(&self, path: &str) -> String {
        if self.environment.relative_urls {
            self.context.origin.path(path)
        } else {
            self.context.origin.location(path)
        }
    }

    /// Whether an observer or the outbox needs the events of this request.
    pub(crate) fn is_observed(&self) -> bool {
        !self.environment.observers.is_empty() || self.environment.outbox.is_some()
    }

    /// Notes that a manifest was pulled.
    pub(crate) fn note_pull(&self, repository: &RepositoryName, digest: &Digest) {
        if let Some(pulls) = self.environment.pulls {
            pulls.pulled(repository, digest);
        }
    }

    /// The repository that the path names.
    pub(crate) fn repository(&self) -> Option<RepositoryName> {
        let route = Route::parse(self.head.uri.path()).ok()?;
        route.repository().cloned()
    }

    /// Tells the observers which quotas a change of `repository` has brought near their limits.
    pub(crate) fn observe_warnings(&self, repository: &RepositoryName, warnings: &[QuotaWarning]) {
        for warning in warnings {
            let QuotaWarning {
                prefix,
                resource,
                used,
                limit,
            } = warning;
            self.observe(EventKind::QuotaWarning(QuotaEvent {
                repository,
                prefix: &prefix.to_string(),
                resource: &resource.to_string(),
                used: *used,
                limit: *limit,
            }));
        }
    }

    /// Tells the observers that this request did something.
    pub(crate) fn observe(&self, kind: EventKind<'_>) {
        let observers = self.environment.observers;
        if !observers.is_empty() {
            observers.observe(&self.event(kind));
        }
    }

    /// What is stored with a change of which these events tell, and the rules that it must keep to.
    pub(crate) fn change_details(
        &self,
        kinds: &[EventKind<'_>],
    ) -> Result<ChangeDetails, StorageError> {
        let history = self.environment.tags.history.as_ref();
        Ok(ChangeDetails {
            outbox: self.outbox_records(kinds),
            author: history.map(|names| ChangeAuthor {
                account: names.recorded(self.context.account()),
                request_id: self.context.request_id.clone(),
            }),
            immutable: self.immutable_tags()?,
        })
    }

    /// The rules that make tags immutable, as they are now.
    pub(crate) fn immutable_tags(&self) -> Result<ImmutabilityRules, StorageError> {
        let rules = self.environment.tags.immutable.current();
        rules.ok_or(StorageError::Unavailable {
            what: RemotePart::Database,
            retry_after: RULES_UNKNOWN,
        })
    }

    /// The records that are stored with a change of which these events tell.
    fn outbox_records(&self, kinds: &[EventKind<'_>]) -> Vec<NewOutboxRecord> {
        let Some(outbox) = self.environment.outbox else {
            return Vec::new();
        };
        let events = kinds.iter().map(|kind| self.event(kind.clone()));
        outbox.records(&events.collect::<Vec<_>>())
    }

    fn event<'e>(&'e self, kind: EventKind<'e>) -> Event<'e> {
        let user_agent = self.head.headers.get(USER_AGENT);
        let user_agent = user_agent.and_then(|value| value.to_str().ok());
        Event {
            time: self.environment.clock.now(),
            actor: Actor {
                account: self.context.account(),
                personal_token: self.context.personal_token(),
                address: self.context.shown_address(),
                user_agent: user_agent.unwrap_or_default(),
                request_id: &self.context.request_id,
                request: EventRequest {
                    method: self.head.method.as_str(),
                    origin: Some(&self.context.origin),
                },
            },
            kind,
        }
    }
}
