//! Every client whose secret does not count any more, or not for that repository: what it shows.

use peers::http;
use peers::{
    BuildKit, Containerd, Docker, Image, Server, TestCertificate, TestKeyKind, crane, helm,
    wait_until,
};
use tempfile::TempDir;

use super::builders::{helm_login, push_chart};
use super::client_cases::{CLIENTS, ClientCase, LoggedIn};
use super::{Printed, command_of, printed_by};
use crate::e2e::world::{ADMIN, crane_login, program};

const CONFIG: &str = r#"
server: {addr: "@addr@"}
token: {issuer: Acme, expiration: 900, certificate: "@folder@/token.pem", key: "@folder@/token.key"}
users: {admin: {password: "$2y$05$KvtTTOOpGpQ6DjOUaNqmluOMkZQMFGEfmbG0xbayf0gCMr3uj9QTa"}}
acl: [{match: {account: admin}, actions: ["*"]}]
registry: {storage: {filesystem: {root: "@folder@/data"}}}
login: {per_address: off, per_account: off}
"#;

/// Why a secret is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Revoked,
    Expired,
    RobotDisabled,
    OwnerDisabled,
    OwnerRemoved,
    OwnerDemoted,
    OverCeiling,
}

const REASONS: [Reason; 7] = [
    Reason::Revoked,
    Reason::Expired,
    Reason::RobotDisabled,
    Reason::OwnerDisabled,
    Reason::OwnerRemoved,
    Reason::OwnerDemoted,
    Reason::OverCeiling,
];

impl Reason {
    /// What the token server says, or the registry if the token opens less.
    pub(super) fn words(self) -> &'static str {
        match self {
            // Who removes an account of the database revokes its tokens.
            Self::Revoked | Self::OwnerRemoved => "the token was revoked: ask for a new one",
            Self::Expired => "the token has expired: ask for a new one",
            Self::RobotDisabled => "the robot is disabled",
            Self::OwnerDisabled => "the account of the token's owner was removed or disabled",
            Self::OwnerDemoted => "pull from team/after: ask the operator of this registry",
            Self::OverCeiling => "this is over its ceiling",
        }
    }

    /// The account that owns the secret. What ends an account ends its other secrets, too.
    fn owner(self) -> &'static str {
        match self {
            Self::Revoked | Self::Expired | Self::RobotDisabled | Self::OverCeiling => "ann",
            Self::OwnerDisabled => "bob",
            Self::OwnerRemoved => "eve",
            Self::OwnerDemoted => "joe",
        }
    }
}

#[test]
fn every_client_is_refused_with_words() {
    let setup = Setup::new();
    let secrets = REASONS.map(|reason| setup.secret(reason));
    let log_in = |case| secrets.each_ref().map(|secret| setup.log_in(case, secret));
    let clients: Vec<_> = CLIENTS.iter().map(log_in).collect();
    for (case, clients) in CLIENTS.iter().zip(&clients) {
        (case.pull)(&setup, &clients[0], "before").succeeded();
    }
    for (reason, secret) in REASONS.iter().zip(&secrets) {
        setup.apply(*reason, secret);
    }
    let mut wrong = Vec::new();
    for (case, clients) in CLIENTS.iter().zip(&clients) {
        for (reason, client) in REASONS.into_iter().zip(clients) {
            let words = case.words(reason);
            let output = (case.pull)(&setup, client, "after");
            if output.status.success() || !output.to_string().contains(words) {
                wrong.push(format!(
                    "{} {reason:?}: not {words:?}:\n{output}",
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A registry, and the engines of the clients that need one.
pub(super) struct Setup {
    server: Server,
    pub(super) docker: Docker,
    pub(super) buildkit: BuildKit,
    pub(super) containerd: Containerd,
    _folder: TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let place = folder.path().display().to_string();
        let config = CONFIG.replace("@folder@", &place)
            + &format!("database: {{url: \"sqlite://{place}/db\"}}\n");
        let setup = Self {
            server: Server::start(program(), &config),
            docker: Docker::start(),
            buildkit: BuildKit::start(),
            containerd: Containerd::start(),
            _folder: folder,
        };
        for name in ["ann", "bob", "eve", "joe"] {
            setup.command(
                &["user", "add", "FILE", name, "--password-stdin"],
                "pass-word",
            );
            let rule = ["rule", "add", "FILE", "--account", name, "--name", "team/*"];
            setup.command(&[&rule[..], &["--actions", "pull"]].concat(), "");
        }
        setup.push();
        setup
    }

    pub(super) fn host(&self) -> String {
        self.server.host_port()
    }

    pub(super) fn reference(&self, name: &str) -> String {
        format!("{}/team/{name}:1", self.host())
    }

    fn command(&self, words: &[&str], input: &str) -> String {
        let output = command_of(&self.server.config(), words, input);
        output.succeeded().to_owned()
    }

    /// Images and charts.
    fn push(&self) {
        let (crane, helm, host) = (crane(), helm(), self.host());
        crane_login(&crane, ("admin", ADMIN.1), &host);
        helm_login(&helm, ADMIN, &host).succeeded();
        let image = Image::saying("refusals");
        let layout = image.layout().display().to_string();
        for name in ["before", "after"] {
            crane
                .run(&["push", &layout, &self.reference(name)])
                .succeeded();
            push_chart(&helm, name, &format!("oci://{host}/team")).succeeded();
        }
    }

    /// A secret of the reason's owner.
    fn secret(&self, reason: Reason) -> Printed {
        let name = format!("{reason:?}");
        let scope = match reason {
            Reason::OverCeiling => "repository:team/before:pull",
            _ => "repository:team/*:pull",
        };
        let create = match reason {
            Reason::RobotDisabled => ["robot", "add", "FILE", &name, "--owner", reason.owner()],
            _ => [
                "personal-token",
                "create",
                "FILE",
                "--user",
                reason.owner(),
                "--name",
            ],
        };
        let mut words = create.to_vec();
        if reason != Reason::RobotDisabled {
            words.push(&name);
        }
        words.extend(["--scope", scope]);
        printed_by(&self.server.config(), &words)
    }

    fn log_in(&self, case: &ClientCase, secret: &Printed) -> LoggedIn {
        let client = (case.client)(self);
        (case.log_in)(self, &client, (&secret.account, &secret.secret));
        LoggedIn {
            client,
            user: format!("{}:{}", secret.account, secret.secret),
        }
    }

    /// Makes the secret one that is refused for this reason, and waits until the server knows.
    fn apply(&self, reason: Reason, secret: &Printed) {
        let owner = reason.owner();
        let words: &[&str] = match reason {
            Reason::Revoked => &["personal-token", "revoke", "FILE", "--id", &secret.id],
            // Without an overlap, the earlier secret ends at once.
            Reason::Expired => &["personal-token", "rotate", "FILE", &secret.id],
            Reason::RobotDisabled => &["robot", "disable", "FILE", &secret.account],
            Reason::OwnerDisabled => &["user", "disable", "FILE", owner],
            Reason::OwnerRemoved => &["user", "remove", "FILE", owner],
            // The rule of `joe`, who was added last.
            Reason::OwnerDemoted => &["rule", "remove", "FILE", "4"],
            Reason::OverCeiling => return,
        };
        self.command(words, "");
        let user = format!("{}:{}", secret.account, secret.secret);
        let scope = "scope=repository:team/after:pull";
        let url = self
            .server
            .url(&format!("/auth?service=wharfinger&{scope}"));
        let is_granted = || {
            let answer = http::request(&["-u", &user, &url]);
            let granted = answer.json_string("scope").unwrap_or_default();
            granted.ends_with(":pull")
        };
        wait_until(|| !is_granted());
    }
}
