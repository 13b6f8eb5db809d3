//! Showing the progress of a copy: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use client::{BlobProgress, CopyProgress, NoProgress, UploadOutcome};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use oci::{Descriptor, Digest};

use crate::output::note;

/// Bars, one for each blob that is being copied.
pub(crate) struct ProgressBars {
    all: MultiProgress,
}

/// Lines, one for each blob that has arrived.
struct ProgressLines;

impl ProgressBars {
    /// The form of progress: none if `quiet`, bars on a terminal, lines elsewhere.
    pub(crate) fn fitting(quiet: bool, lines: bool) -> Arc<dyn CopyProgress> {
        match (quiet, stderr().is_terminal() && !lines) {
            (true, _) => Arc::new(NoProgress),
            (false, true) => Arc::new(Self {
                all: MultiProgress::new(),
            }),
            (false, false) => Arc::new(ProgressLines),
        }
    }
}

impl CopyProgress for ProgressBars {
    fn blob(&self, blob: &Descriptor) -> Arc<dyn BlobProgress> {
        let bar = self.all.add(
            ProgressBar::new(blob.size)
                .with_message(short(&blob.digest))
                .with_style(style()),
        );
        Arc::new(BlobBar {
            all: self.all.clone(),
            bar,
            blob: blob.clone(),
        })
    }

    fn manifest(&self, digest: &Digest, _media_type: &str) {
        self.all
            .suspend(|| note(format_args!("{}  manifest", short(digest))));
    }
}

impl Drop for BlobBar {
    /// A blob that is not finished takes its bar away.
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
            self.all.remove(&self.bar);
            let _ = self.all.clear();
        }
    }
}

impl CopyProgress for ProgressLines {
    fn blob(&self, blob: &Descriptor) -> Arc<dyn BlobProgress> {
        Arc::new(BlobLine(blob.clone()))
    }

    fn manifest(&self, digest: &Digest, _media_type: &str) {
        note(format_args!("{}  manifest", short(digest)));
    }
}

struct BlobBar {
    all: MultiProgress,
    bar: ProgressBar,
    blob: Descriptor,
}

impl BlobProgress for BlobBar {
    fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    fn done(&self, how: UploadOutcome) {
        self.bar.finish_and_clear();
        self.all.remove(&self.bar);
        // A line written between the bars would leave one of them behind.
        self.all.suspend(|| note(arrived(&self.blob, how)));
    }
}

struct BlobLine(Descriptor);

impl BlobProgress for BlobLine {
    fn at(&self, _position: u64) {}

    fn done(&self, how: UploadOutcome) {
        note(arrived(&self.0, how));
    }
}

fn arrived(blob: &Descriptor, how: UploadOutcome) -> String {
    let how = match how {
        UploadOutcome::Present => "exists",
        UploadOutcome::Mounted => "mounted",
        UploadOutcome::Sent => "copied",
    };
    format!("{}  {:>9}  {how}", short(&blob.digest), bytes(blob.size))
}

/// The beginning of a digest.
fn short(digest: &Digest) -> String {
    let mut encoded = digest.encoded();
    encoded.truncate(12);
    encoded
}

/// A number of bytes for people: `1.5 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} B"),
    }
}

fn style() -> ProgressStyle {
    let template = "{msg}  {decimal_bytes:>9} of {decimal_total_bytes:9} {wide_bar} {decimal_bytes_per_sec:>11} {eta:>4}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let said = [0, 999, 1_000, 1_550_000, 2_000_000_000].map(bytes);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.0 GB"]);
    }
}
