//! Notifications in memory: those that may be lost.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Notification;
use crate::envelope::{EnvelopeBody, event_text, events};

/// How many bytes a queue's notifications have at most. Lists of references can be long.
const MAX_BYTES: usize = 32 << 20;

/// The longest body of a request with several events. Receivers accept bodies of 1 MiB (nginx) or of
/// 100 kB (Express) without a setting of their own.
pub(crate) const MAX_BODY: usize = 96 << 10;

/// How many events a request has at most.
pub(crate) const MAX_EVENTS: usize = 100;

/// The notifications of one endpoint that are only in memory, as the bodies of requests. What does not
/// fit is refused.
#[derive(Debug)]
pub(crate) struct MemoryQueue {
    limit: usize,
    /// How many events a request has at most.
    at_once: usize,
    waiting: Mutex<Waiting>,
    /// Told of the first event, and when a request is full.
    changed: Notify,
}

/// The body of a request, and how many events it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedRequest {
    pub(crate) body: Bytes,
    pub(crate) events: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Requests that get no more events, the oldest first. That one may be on its way.
    complete: VecDeque<QueuedRequest>,
    /// The next request.
    open: EnvelopeBody,
    /// How many events there are in all.
    events: usize,
    /// How many bytes they have.
    bytes: usize,
}

impl MemoryQueue {
    /// A queue for `limit` events, of which a request tells of `at_once` or fewer.
    pub(crate) fn new(limit: usize, at_once: usize) -> Self {
        Self {
            limit,
            at_once,
            waiting: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Puts the text of an event at the end, and returns whether it fits. Pulls get at most half of the
    /// places, so that they cannot displace the others.
    pub(crate) fn push(&self, event: &[u8], is_pull: bool) -> bool {
        let limit = match is_pull {
            true => self.limit.div_ceil(2),
            false => self.limit,
        };
        let mut waiting = self.waiting();
        if waiting.events >= limit || waiting.bytes + event.len() > MAX_BYTES {
            return false;
        }
        let is_first = waiting.events == 0;
        let complete = waiting.complete.len();
        if waiting.open.events() > 0 && waiting.open.len() + event.len() > MAX_BODY {
            waiting.complete();
        }
        let before = waiting.open.len();
        waiting.open.push(event);
        waiting.bytes += waiting.open.len() - before;
        waiting.events += 1;
        if waiting.open.events() >= self.at_once {
            waiting.complete();
        }
        let is_full = waiting.complete.len() > complete;
        drop(waiting);
        if is_first || is_full {
            self.changed.notify_one();
        }
        true
    }

    /// The first request, as soon as it is full, or when its events have waited for `gathering`. It
    /// stays until it is [removed](Self::remove).
    pub(crate) async fn first(&self, gathering: Duration) -> QueuedRequest {
        loop {
            let events = {
                let waiting = self.waiting();
                if let Some(first) = waiting.complete.front() {
                    return first.clone();
                }
                waiting.events
            };
            if events == 0 {
                self.changed.notified().await;
            } else if timeout(gathering, self.changed.notified()).await.is_err() {
                self.waiting().complete();
            }
        }
    }

    /// Removes the first request. There is one consumer, so it is the one that it got.
    pub(crate) fn remove(&self) {
        let mut waiting = self.waiting();
        if let Some(removed) = waiting.complete.pop_front() {
            waiting.events -= removed.events;
            waiting.bytes = waiting.bytes.saturating_sub(removed.body.len());
        }
    }

    /// Makes a request for each event of the first one.
    pub(crate) fn split(&self) {
        let mut waiting = self.waiting();
        let Some(first) = waiting.complete.pop_front() else {
            return;
        };
        // What this server wrote can be read.
        let events = events(&first.body).unwrap_or_default();
        waiting.events -= first.events;
        waiting.bytes = waiting.bytes.saturating_sub(first.body.len());
        for event in events.iter().rev() {
            let mut body = EnvelopeBody::default();
            body.push(&event_text(event));
            let request = body.complete();
            waiting.events += 1;
            waiting.bytes += request.body.len();
            waiting.complete.push_front(request);
        }
    }

    /// All notifications, which are removed.
    pub(crate) fn take(&self) -> Vec<Notification<'static>> {
        let mut waiting = std::mem::take(&mut *self.waiting());
        waiting.complete();
        let requests = waiting.complete.into_iter();
        requests
            .flat_map(|request| events(&request.body).unwrap_or_default())
            .collect()
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().events
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Lets the open request get no more events.
    fn complete(&mut self) {
        if self.open.events() == 0 {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let before = open.len();
        let request = open.complete();
        self.bytes += request.body.len() - before;
        self.complete.push_back(request);
    }
}

impl EnvelopeBody {
    fn complete(self) -> QueuedRequest {
        let events = self.events();
        let mut body = self.finish();
        body.shrink_to_fit();
        QueuedRequest {
            body: body.into(),
            events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::notification;
    use crate::{DescriptorRecord, NotificationAction};

    /// The text of a push of this tag.
    fn event(tag: &str) -> Vec<u8> {
        let mut pushed = notification(NotificationAction::Push);
        pushed.target.tag = tag.to_owned().into();
        event_text(&pushed)
    }

    fn tags(request: &QueuedRequest) -> Vec<String> {
        let events = events(&request.body).unwrap();
        assert_eq!(events.len(), request.events);
        let tags = events.iter().map(|event| event.target.tag.to_string());
        tags.collect()
    }

    #[test]
    fn it_is_bounded_and_pulls_leave_room() {
        for at_once in [1, 3, 100] {
            let queue = MemoryQueue::new(4, at_once);
            let push = |is_pull| queue.push(&event("x"), is_pull);
            assert!(push(true) && push(true));
            assert!(!push(true));
            assert!(push(false) && push(false));
            assert!(!push(false) && !push(true));
            assert_eq!(queue.len(), 4);
            assert_eq!(queue.take().len(), 4);
            assert_eq!((queue.len(), queue.waiting().bytes), (0, 0));
            queue.remove();
            assert!(push(true));
        }
    }

    #[test]
    fn long_lists_of_references_count() {
        let mut long = notification(NotificationAction::Push);
        long.target.references = vec![DescriptorRecord::default(); 10_000];
        let long = event_text(&long);
        let queue = MemoryQueue::new(1_000_000, 100);
        let fits = (0..1000).filter(|_| queue.push(&long, false)).count();
        assert_eq!(fits, MAX_BYTES / long.len());
        assert!(queue.waiting().bytes <= MAX_BYTES + MAX_BODY);
        // None of them shares a request with another.
        assert!(queue.waiting().complete.iter().all(|it| it.events == 1));
        queue.remove();
        assert!(queue.push(&long, false));
    }

    #[tokio::test]
    async fn the_first_request_stays_as_it_is_until_it_is_removed() {
        let queue = MemoryQueue::new(10, 2);
        let hour = Duration::from_secs(3600);
        let (first, ()) = tokio::join!(queue.first(hour), async {
            for tag in ["1", "2", "3"] {
                queue.push(&event(tag), false);
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(tags(&first), ["1", "2"]);
        assert_eq!(queue.first(hour).await, first);
        queue.remove();
        // It is not full, and its time is over.
        let second = queue.first(Duration::ZERO).await;
        assert_eq!(tags(&second), ["3"]);
        queue.push(&event("4"), false);
        assert_eq!(queue.first(hour).await, second);
        queue.remove();
        assert_eq!(tags(&queue.first(Duration::ZERO).await), ["4"]);
        queue.remove();
        assert_eq!((queue.len(), queue.waiting().bytes), (0, 0));
    }

    #[tokio::test]
    async fn a_request_is_split_into_its_events() {
        let queue = MemoryQueue::new(10, 3);
        for tag in ["1", "2", "3", "4"] {
            queue.push(&event(tag), false);
        }
        queue.split();
        assert_eq!(queue.len(), 4);
        for tag in ["1", "2", "3", "4"] {
            assert_eq!(tags(&queue.first(Duration::ZERO).await), [tag]);
            queue.remove();
        }
        assert_eq!((queue.len(), queue.waiting().bytes), (0, 0));
    }

    #[test]
    fn a_body_has_a_largest_size() {
        let queue = MemoryQueue::new(1000, 1000);
        let event = event(&"x".repeat(1000));
        (0..200).for_each(|_| assert!(queue.push(&event, false)));
        let waiting = queue.waiting();
        assert!(waiting.complete.len() > 1);
        let sizes = waiting.complete.iter().map(|it| it.body.len());
        assert!(sizes.max().unwrap() <= MAX_BODY + 16);
    }
}
