//! Showing transfers: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use client::{Meter, Progress, Silent, Uploaded};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use oci::{Descriptor, Digest};

use crate::output::note;

/// Bars, one for each blob on its way.
pub(crate) struct Bars {
    all: MultiProgress,
}

/// Lines, one for each blob that arrived.
struct Lines;

impl Bars {
    /// What fits: nothing where nothing is wanted, bars on a terminal, lines elsewhere.
    pub(crate) fn fitting(quiet: bool, lines: bool) -> Arc<dyn Progress> {
        match (quiet, stderr().is_terminal() && !lines) {
            (true, _) => Arc::new(Silent),
            (false, true) => Arc::new(Self {
                all: MultiProgress::new(),
            }),
            (false, false) => Arc::new(Lines),
        }
    }
}

impl Progress for Bars {
    fn blob(&self, blob: &Descriptor) -> Arc<dyn Meter> {
        let bar = self.all.add(
            ProgressBar::new(blob.size)
                .with_message(short(&blob.digest))
                .with_style(style()),
        );
        Arc::new(Bar {
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

impl Drop for Bar {
    /// What breaks off takes its bar away.
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.finish_and_clear();
            self.all.remove(&self.bar);
            let _ = self.all.clear();
        }
    }
}

impl Progress for Lines {
    fn blob(&self, blob: &Descriptor) -> Arc<dyn Meter> {
        Arc::new(Line(blob.clone()))
    }

    fn manifest(&self, digest: &Digest, _media_type: &str) {
        note(format_args!("{}  manifest", short(digest)));
    }
}

struct Bar {
    all: MultiProgress,
    bar: ProgressBar,
    blob: Descriptor,
}

impl Meter for Bar {
    fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    fn done(&self, how: Uploaded) {
        self.bar.finish_and_clear();
        self.all.remove(&self.bar);
        // A line between bars that are drawn would leave one of them behind.
        self.all.suspend(|| note(arrived(&self.blob, how)));
    }
}

struct Line(Descriptor);

impl Meter for Line {
    fn at(&self, _position: u64) {}

    fn done(&self, how: Uploaded) {
        note(arrived(&self.0, how));
    }
}

fn arrived(blob: &Descriptor, how: Uploaded) -> String {
    let how = match how {
        Uploaded::Present => "there already",
        Uploaded::Mounted => "mounted",
        Uploaded::Sent => "done",
    };
    format!("{}  {:>9}  {how}", short(&blob.digest), bytes(blob.size))
}

/// Enough of a digest to tell it from others.
fn short(digest: &Digest) -> String {
    let mut encoded = digest.encoded();
    encoded.truncate(12);
    encoded
}

/// A number of bytes, as people say it: `1.5 MB`.
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
    fn sizes_as_people_say_them() {
        let said = [0, 999, 1_000, 1_550_000, 2_000_000_000].map(bytes);
        assert_eq!(said, ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.0 GB"]);
    }
}
