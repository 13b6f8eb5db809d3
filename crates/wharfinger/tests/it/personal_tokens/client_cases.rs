//! The clients of the table of refusals: how each logs in and pulls, and what it shows.

use peers::{Client, Output, buildah, crane, helm, podman, regctl, skopeo};

use super::builders::{helm_login, keep_login, pull_chart};
use super::refusals::{Reason, Setup};
use crate::e2e::world::{crane_login, login};

/// A client that has logged in.
pub(super) struct LoggedIn {
    pub(super) client: Client,
    /// `USER:SECRET`, for a client that stores no login.
    pub(super) user: String,
}

/// A client: how it logs in, and how it pulls a repository of `team`.
pub(super) struct ClientCase {
    pub(super) name: &'static str,
    /// What it shows if the token server refuses the secret; `None` if these are the server's words.
    refused: Option<&'static str>,
    /// What it shows if the rules let the account pull, and the ceiling of the secret does not.
    over_ceiling: &'static str,
    /// What it shows if no rule lets the account pull; `None` if these are the registry's words.
    no_rule: Option<&'static str>,
    pub(super) client: fn(&Setup) -> Client,
    pub(super) log_in: fn(&Setup, &Client, (&str, &str)),
    pub(super) pull: fn(&Setup, &LoggedIn, &str) -> Output,
}

const PLAIN: &str = "--tls-verify=false";
const UNAUTHORIZED: &str = "failed to fetch oauth token: unexpected status: 401 Unauthorized";
/// The registry's words. A client that asks with HEAD first gets a challenge instead.
const OVER_CEILING: &str = "this is over its ceiling";
const FORBIDDEN: &str = "403 Forbidden";
const INSUFFICIENT: &str = "insufficient_scope: authorization failed";

impl ClientCase {
    /// What it shows of a refusal for this reason.
    pub(super) fn words(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::OverCeiling => self.over_ceiling,
            Reason::OwnerDemoted => self.no_rule.unwrap_or(reason.words()),
            _ => self.refused.unwrap_or(reason.words()),
        }
    }
}

/// All of them.
pub(super) const CLIENTS: &[ClientCase] = &[
    ClientCase {
        name: "docker",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |setup| setup.docker.client(),
        log_in: |setup, client, user| {
            login(client, &[], user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| it.client.run(&["pull", &setup.reference(name)]),
    },
    ClientCase {
        name: "dockerd's BuildKit",
        refused: Some(UNAUTHORIZED),
        over_ceiling: INSUFFICIENT,
        no_rule: Some(FORBIDDEN),
        client: |setup| setup.docker.client(),
        log_in: |setup, client, user| {
            login(client, &[], user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| setup.docker.build_from(&it.client, &setup.reference(name)),
    },
    ClientCase {
        name: "buildkitd",
        refused: None,
        over_ceiling: INSUFFICIENT,
        no_rule: Some(FORBIDDEN),
        client: |setup| setup.buildkit.client(),
        log_in: |setup, client, user| {
            let docker = setup.docker.client();
            login(&docker, &[], user, &setup.host()).succeeded();
            keep_login(client, &docker.file(".docker/config.json"));
        },
        pull: |setup, it, name| {
            setup
                .buildkit
                .build_from(&it.client, &setup.reference(name))
        },
    },
    ClientCase {
        name: "containerd",
        refused: Some(UNAUTHORIZED),
        over_ceiling: INSUFFICIENT,
        no_rule: Some(FORBIDDEN),
        client: |setup| setup.containerd.client(),
        log_in: |_, _, _| {},
        pull: |setup, it, name| {
            let reference = setup.reference(name);
            let user = ["--user", &it.user];
            let pull = ["images", "pull", "--plain-http", "--snapshotter", "native"];
            it.client.run(&[&pull[..], &user, &[&reference]].concat())
        },
    },
    ClientCase {
        name: "podman",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |_| podman(),
        log_in: |setup, client, user| {
            login(client, &[PLAIN], user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| it.client.run(&["pull", PLAIN, &setup.reference(name)]),
    },
    ClientCase {
        name: "buildah",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |_| buildah(),
        log_in: |setup, client, user| {
            login(client, &[PLAIN], user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| it.client.run(&["pull", PLAIN, &setup.reference(name)]),
    },
    ClientCase {
        name: "skopeo",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |_| skopeo(),
        log_in: |setup, client, user| {
            login(client, &[PLAIN], user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| {
            let image = format!("docker://{}", setup.reference(name));
            it.client.run(&["inspect", PLAIN, &image])
        },
    },
    ClientCase {
        name: "crane",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |_| crane(),
        log_in: |setup, client, (user, secret)| {
            let host = setup.host();
            crane_login(client, (user, secret), &host);
        },
        pull: |setup, it, name| it.client.run(&["manifest", &setup.reference(name)]),
    },
    ClientCase {
        name: "regctl",
        refused: Some("unauthorized"),
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |setup| regctl(&setup.host()),
        log_in: |setup, client, (user, secret)| {
            let host = setup.host();
            let words = ["registry", "login", &host, "--user", user, "--pass-stdin"];
            client.run_with_input(&words, secret).succeeded();
        },
        pull: |setup, it, name| it.client.run(&["manifest", "get", &setup.reference(name)]),
    },
    ClientCase {
        name: "helm",
        refused: None,
        over_ceiling: OVER_CEILING,
        no_rule: None,
        client: |_| helm(),
        log_in: |setup, client, user| {
            helm_login(client, user, &setup.host()).succeeded();
        },
        pull: |setup, it, name| {
            pull_chart(&it.client, &format!("oci://{}/team/{name}", setup.host()))
        },
    },
];
