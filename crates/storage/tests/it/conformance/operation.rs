//! The operations of the random test, and how often each is chosen.

use proptest::prelude::*;

/// One call of a method. A number stands for one of what there is, and wraps around.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Two hours pass, or as many times as long.
    Pass(u32),
    Reserve {
        repository: usize,
        content: usize,
        upload: usize,
    },
    /// Replaces the blob that a reservation led to.
    Replace {
        repository: usize,
        reserved: usize,
    },
    Settle(usize),
    Abandon(usize),
    Push {
        repository: usize,
        manifest: usize,
        tags: usize,
        lenient: bool,
    },
    Remove {
        repository: usize,
        manifest: usize,
    },
    Untag {
        repository: usize,
        tag: usize,
    },
    LeaseManifest {
        repository: usize,
        manifest: usize,
    },
    LeaseBlob {
        repository: usize,
        content: usize,
    },
    Mount {
        content: usize,
        from: usize,
        to: usize,
    },
    Unlink {
        repository: usize,
        content: usize,
    },
    Begin {
        repository: usize,
        client: usize,
        limit: u32,
    },
    Record {
        upload: usize,
        fence: i64,
    },
    LeaseUpload {
        repository: usize,
        upload: usize,
    },
    End(usize),
    Expire(usize),
    RemoveTag {
        repository: usize,
        tag: usize,
        /// How the plan differs from what is there.
        change: usize,
        releases: bool,
    },
    Restore {
        tombstone: usize,
        tag: usize,
    },
    Pulled {
        repository: usize,
        manifest: usize,
        gap: bool,
    },
    Prune {
        untagged: Option<u32>,
    },
    Mark,
    Sweep {
        waits: bool,
    },
    Purge(u32),
    Hold(bool),
    Acknowledge(usize),
    /// Other quotas count for what follows.
    Limit(usize),
    Track {
        prefixes: usize,
        again: bool,
    },
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        Abandon, Acknowledge, Begin, End, Expire, Hold, LeaseBlob, LeaseManifest, LeaseUpload,
        Limit, Mark, Mount, Pass, Prune, Pulled, Purge, Push, Record, Remove, RemoveTag, Replace,
        Reserve, Restore, Settle, Sweep, Track, Unlink, Untag,
    };
    let at = || 0..16_usize;
    prop_oneof![
        6 => (1..14_u32).prop_map(Pass),
        12 => (at(), at(), at()).prop_map(|(repository, content, upload)| Reserve { repository, content, upload }),
        2 => (at(), at()).prop_map(|(repository, reserved)| Replace { repository, reserved }),
        12 => at().prop_map(Settle),
        2 => at().prop_map(Abandon),
        12 => (at(), at(), at(), any::<bool>())
            .prop_map(|(repository, manifest, tags, lenient)| Push { repository, manifest, tags, lenient }),
        3 => (at(), at()).prop_map(|(repository, manifest)| Remove { repository, manifest }),
        3 => (at(), at()).prop_map(|(repository, tag)| Untag { repository, tag }),
        2 => (at(), at()).prop_map(|(repository, manifest)| LeaseManifest { repository, manifest }),
        3 => (at(), at()).prop_map(|(repository, content)| LeaseBlob { repository, content }),
        4 => (at(), at(), at()).prop_map(|(content, from, to)| Mount { content, from, to }),
        2 => (at(), at()).prop_map(|(repository, content)| Unlink { repository, content }),
        4 => (at(), at(), 0..4_u32).prop_map(|(repository, client, limit)| Begin { repository, client, limit }),
        3 => (at(), 0..3_i64).prop_map(|(upload, fence)| Record { upload, fence }),
        2 => (at(), at()).prop_map(|(repository, upload)| LeaseUpload { repository, upload }),
        1 => at().prop_map(End),
        2 => at().prop_map(Expire),
        5 => (at(), at(), at(), any::<bool>())
            .prop_map(|(repository, tag, change, releases)| RemoveTag { repository, tag, change, releases }),
        2 => (at(), at()).prop_map(|(tombstone, tag)| Restore { tombstone, tag }),
        2 => (at(), at(), any::<bool>())
            .prop_map(|(repository, manifest, gap)| Pulled { repository, manifest, gap }),
        4 => proptest::option::of(0..30_u32).prop_map(|untagged| Prune { untagged }),
        4 => Just(Mark),
        4 => any::<bool>().prop_map(|waits| Sweep { waits }),
        3 => (0..4_u32).prop_map(Purge),
        1 => any::<bool>().prop_map(Hold),
        1 => at().prop_map(Acknowledge),
        3 => at().prop_map(Limit),
        2 => (at(), any::<bool>()).prop_map(|(prefixes, again)| Track { prefixes, again }),
    ]
}
