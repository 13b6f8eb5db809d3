//! Clients that push and pull while processes are killed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::sleep;
use std::time::Duration;

use peers::http;

use super::scene::content;
use super::{INDEX, REPOSITORY, mixed};

/// When it is dropped, clients end, also if the test fails.
pub(super) struct EndOfClients<'a>(pub(super) &'a AtomicBool);

impl Drop for EndOfClients<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A client that goes on, whatever happens to the server.
pub(super) struct Client<'a> {
    pub(super) url: &'a str,
    pub(super) is_over: &'a AtomicBool,
    pub(super) pushed: &'a Mutex<BTreeMap<String, bool>>,
}

impl Client<'_> {
    pub(super) fn push(&self) {
        let mut number = 0;
        while !self.is_over.load(SeqCst) {
            number += 1;
            let tag = match number % 4 {
                0 => format!("keep-{number}"),
                _ => format!("n-{number}"),
            };
            self.pushed.lock().unwrap().insert(tag.clone(), false);
            let (url, body) = (
                format!("{}{REPOSITORY}/manifests/{tag}", self.url),
                content(&tag),
            );
            let kind = format!("Content-Type: {INDEX}");
            let words = ["-X", "PUT", "-H", &kind, "--data-binary", &body, &url];
            if http::try_request(&words).is_some_and(|answer| answer.status == 201) {
                self.pushed.lock().unwrap().insert(tag, true);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What is there is whole, and what must stay is there.
    pub(super) fn pull(&self) {
        let mut number = 0;
        while !self.is_over.load(SeqCst) {
            number += 1;
            let known = self.pushed.lock().unwrap().clone();
            let acknowledged: Vec<_> = known.iter().filter(|(_, is)| **is).collect();
            if let Some(place) = mixed(number).checked_rem(acknowledged.len() as u64) {
                let tag = acknowledged[usize::try_from(place).unwrap()].0;
                let url = format!("{}{REPOSITORY}/manifests/{tag}", self.url);
                if let Some(answer) = http::try_request(&[&url]) {
                    match answer.status {
                        200 => assert_eq!(answer.body, content(tag)),
                        404 => assert!(!tag.starts_with("keep-"), "{tag} is gone"),
                        status => assert!(status >= 500, "{status}"),
                    }
                }
            }
            sleep(Duration::from_millis(20));
        }
    }
}
