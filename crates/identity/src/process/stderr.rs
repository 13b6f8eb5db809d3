//! What a program that stays writes to standard error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::time::timeout;

use super::MOST_STDERR;

/// How long the last words of a program that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a process writes to standard error: the beginning is kept, the rest is dropped, so that the
/// process does not block.
pub(super) struct StderrBeginning {
    text: Arc<Mutex<Vec<u8>>>,
    reading: tokio::task::JoinHandle<()>,
}

impl StderrBeginning {
    pub(super) fn of(mut stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&text);
        let reading = tokio::spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut piece).await {
                let mut text = written.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MOST_STDERR.saturating_sub(text.len()).min(length);
                text.extend_from_slice(&piece[..room]);
            }
        });
        Self { text, reading }
    }

    /// Forgets what was written so far.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        // No code panics while it holds the lock, so the text is whole even if it is poisoned.
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of a process that has ended.
    pub(super) async fn whole(mut self) -> String {
        // What the process started may still hold the pipe.
        let _ = timeout(LAST_WORDS, &mut self.reading).await;
        String::from_utf8_lossy(&self.lock()).into_owned()
    }
}

impl Drop for StderrBeginning {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
