//! What is compared after some operations: everything that can be asked.

use oci::Digest;
use storage::NewManifest;

use super::{CONTENTS, KIND, PREFIXES, REPOSITORIES, Side, TAGS, policy, show};
use crate::conformance::bench::{DAY, first};
use crate::world::{name, sha256, tag};

impl Side {
    /// Everything that can be asked.
    pub(super) async fn everything(&self) -> Vec<String> {
        let bench = &self.bench;
        let mut all = Vec::new();
        all.push(show(&bench.manifests().repositories(first(100)).await));
        all.push(show(&bench.inventory().blobs(first(100)).await));
        all.push(show(&bench.recovery().pending().await));
        all.push(show(&bench.recovery().all().await));
        all.push(show(&bench.uploads().expired(100).await));
        all.push(show(&bench.deletable().await));
        all.push(show(&bench.outbox().records(KIND, None, 1000).await));
        all.push(show(&bench.tombstones().await));
        bench.counts_are_right().await;
        for prefix in PREFIXES {
            let prefix = prefix.parse().unwrap();
            all.push(show(&bench.quotas().measure(&prefix).await));
        }
        let pull_times = &bench.stores.handles[0].pull_times;
        all.push(show(&pull_times.recording().await));
        for untagged in [None, Some(DAY)] {
            let plan = bench.collection().plan(policy(untagged, false)).await;
            let mut plan = plan.unwrap();
            plan.manifests
                .sort_by_key(|it| (it.repository.clone(), it.digest));
            all.push(show(&plan));
        }
        for content in CONTENTS {
            let digest = sha256(content);
            all.push(show(&bench.blobs().holders(&digest, first(100)).await));
            all.push(show(&bench.inventory().affected(&digest).await));
        }
        for repository in REPOSITORIES {
            all.extend(self.repository(repository).await);
        }
        all
    }

    async fn repository(&self, repository: &str) -> Vec<String> {
        let (bench, of) = (&self.bench, name(repository));
        let mut all = vec![
            show(&bench.manifests().tags(&of, first(2)).await),
            show(&bench.inventory().tags(&of, first(100)).await),
            show(&bench.inventory().manifests(&of, first(100)).await),
            show(&bench.inventory().linked(&of, first(100)).await),
        ];
        let retention = &bench.stores.handles[0].retention;
        all.push(show(&retention.tag_states(&of, first(2)).await));
        let digests: Vec<_> = self.manifests.iter().map(NewManifest::digest).collect();
        for digest in &digests {
            all.push(show(&retention.manifest_tags(&of, digest, 2).await));
        }
        all.push(show(&retention.image_sizes(&of, digests).await));
        for subject in self.manifests.iter().map(NewManifest::digest) {
            for artifact_type in [None, Some("a/a")] {
                let page = first::<Digest>(100);
                let manifests = bench.manifests();
                let referrers = manifests.referrers(&of, &subject, artifact_type, page);
                all.push(show(&referrers.await));
            }
        }
        for upload in &self.uploads {
            all.push(show(&bench.uploads().find(&of, *upload).await));
        }
        for content in CONTENTS {
            all.push(show(&bench.blobs().find(&of, &sha256(content)).await));
        }
        for text in TAGS {
            all.push(show(&bench.manifests().find(&of, &tag(text).into()).await));
            let (tag, history) = (tag(text), bench.tag_history());
            let history = history.tag_history(&of, &tag, first(1000)).await.unwrap();
            // Numbers may be left out.
            let changes = history
                .entries
                .iter()
                .map(|it| (it.at, it.from, it.to, &it.author));
            all.push(show(&changes.collect::<Vec<_>>()));
        }
        all
    }
}
