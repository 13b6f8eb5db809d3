//! What the known platforms document of their tokens.

use std::fmt;
use std::str::FromStr;

use policy::TextPattern;

/// A platform whose tokens are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// GitHub Actions.
    Github,
    /// GitLab's `id_tokens`.
    Gitlab,
    /// Service account tokens of a Kubernetes cluster.
    Kubernetes,
    /// Forgejo Actions, whose tokens are like GitHub's.
    Forgejo,
    /// Any issuer of OpenID Connect's tokens.
    Oidc,
}

/// What a platform's tokens are like.
struct Platform {
    name: &'static str,
    issuer: Option<&'static str>,
    /// The account, behind the issuer's name and a colon.
    account: &'static str,
    /// Claims that become labels of the same name.
    labels: &'static [&'static str],
    /// What tells one run or one pod from another, for the log.
    origin: &'static [&'static str],
    /// Claims that say whose the workload is, by a name that may be another's one day.
    names: &'static [&'static str],
    /// Claims that say the same by a number that never is.
    ids: &'static [&'static str],
    /// What these claims are in the token of another tenant, if the platform's service is public.
    other_tenants: &'static [(&'static str, &'static str)],
    /// Short names of claims, and the paths that they stand for.
    paths: &'static [(&'static str, &'static str)],
}

const ACTIONS_NAMES: &[&str] = &[
    "sub",
    "repository",
    "repository_owner",
    "workflow_ref",
    "job_workflow_ref",
];

const ACTIONS_IDS: &[&str] = &["repository_id", "repository_owner_id"];

const GITHUB: Platform = Platform {
    name: "github",
    issuer: Some("https://token.actions.githubusercontent.com"),
    account: "${repository_id}",
    labels: &[
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "repository_visibility",
        "ref",
        "ref_type",
        "environment",
        "event_name",
        "job_workflow_ref",
    ],
    origin: &["repository", "run_id", "run_attempt", "workflow", "ref"],
    names: ACTIONS_NAMES,
    ids: ACTIONS_IDS,
    other_tenants: &[
        ("sub", "repo:other-tenant/some-image:ref:refs/heads/main"),
        (
            "sub",
            "repo:other-tenant@7070707070707/some-image@7070707070708:ref:refs/heads/main",
        ),
        ("repository", "other-tenant/some-image"),
        ("repository_owner", "other-tenant"),
        (
            "workflow_ref",
            "other-tenant/some-image/.github/workflows/a.yml@refs/heads/main",
        ),
        (
            "job_workflow_ref",
            "other-tenant/some-image/.github/workflows/a.yml@refs/heads/main",
        ),
        ("repository_id", "7070707070708"),
        ("repository_owner_id", "7070707070707"),
    ],
    paths: &[],
};

const GITLAB: Platform = Platform {
    name: "gitlab",
    issuer: Some("https://gitlab.com"),
    account: "${project_id}",
    labels: &[
        "project_path",
        "project_id",
        "namespace_path",
        "namespace_id",
        "ref",
        "ref_type",
        "ref_protected",
        "environment",
        "environment_protected",
        "pipeline_source",
    ],
    origin: &["project_path", "pipeline_id", "job_id", "ref"],
    names: &["sub", "project_path", "namespace_path", "ci_config_ref_uri"],
    ids: &["project_id", "namespace_id"],
    other_tenants: &[
        (
            "sub",
            "project_path:other-tenant/some-image:ref_type:branch:ref:main",
        ),
        ("project_path", "other-tenant/some-image"),
        ("namespace_path", "other-tenant"),
        (
            "ci_config_ref_uri",
            "gitlab.com/other-tenant/some-image//.gitlab-ci.yml@refs/heads/main",
        ),
        ("project_id", "7070707070708"),
        ("namespace_id", "7070707070707"),
    ],
    paths: &[],
};

const KUBERNETES: Platform = Platform {
    name: "kubernetes",
    issuer: None,
    account: "${namespace}:${service_account}",
    labels: &["namespace", "service_account"],
    origin: &["namespace", "service_account", "pod", "node"],
    names: &[],
    ids: &[],
    other_tenants: &[],
    paths: &[
        ("namespace", "kubernetes.io.namespace"),
        ("service_account", "kubernetes.io.serviceaccount.name"),
        ("service_account_uid", "kubernetes.io.serviceaccount.uid"),
        ("pod", "kubernetes.io.pod.name"),
        ("pod_uid", "kubernetes.io.pod.uid"),
        ("node", "kubernetes.io.node.name"),
        ("node_uid", "kubernetes.io.node.uid"),
    ],
};

const FORGEJO: Platform = Platform {
    name: "forgejo",
    issuer: None,
    account: "${repository_id}",
    labels: &[
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "ref",
        "ref_type",
        "ref_protected",
        "event_name",
    ],
    origin: &["repository", "run_id", "run_attempt", "workflow", "ref"],
    names: ACTIONS_NAMES,
    ids: ACTIONS_IDS,
    other_tenants: &[],
    paths: &[],
};

const OIDC: Platform = Platform {
    name: "oidc",
    issuer: None,
    account: "${sub}",
    labels: &[],
    origin: &["sub", "jti"],
    names: &[],
    ids: &[],
    other_tenants: &[],
    paths: &[],
};

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [
        Self::Github,
        Self::Gitlab,
        Self::Kubernetes,
        Self::Forgejo,
        Self::Oidc,
    ];

    fn platform(self) -> &'static Platform {
        match self {
            Self::Github => &GITHUB,
            Self::Gitlab => &GITLAB,
            Self::Kubernetes => &KUBERNETES,
            Self::Forgejo => &FORGEJO,
            Self::Oidc => &OIDC,
        }
    }

    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.platform().name
    }

    /// The issuer of the platform's public service, if it has one.
    #[must_use]
    pub fn issuer(self) -> Option<&'static str> {
        self.platform().issuer
    }

    /// The account of a workload, as a template behind the issuer's name and a colon.
    #[must_use]
    pub fn account(self) -> &'static str {
        self.platform().account
    }

    /// The claims that become labels of the same name.
    #[must_use]
    pub fn labels(self) -> &'static [&'static str] {
        self.platform().labels
    }

    /// The claims that tell one run or one pod from another.
    #[must_use]
    pub fn origin(self) -> &'static [&'static str] {
        self.platform().origin
    }

    /// Whether `claim` says whose the workload is by a name, which may be another's one day.
    #[must_use]
    pub fn is_name(self, claim: &str) -> bool {
        self.platform().names.contains(&claim)
    }

    /// Whether `claim` says whose the workload is by a number, which never is another's.
    #[must_use]
    pub fn is_id(self, claim: &str) -> bool {
        self.platform().ids.contains(&claim)
    }

    /// The claims of [`is_id`](Self::is_id).
    #[must_use]
    pub fn ids(self) -> &'static [&'static str] {
        self.platform().ids
    }

    /// The platform whose public service, which has many tenants, is `issuer`.
    #[must_use]
    pub fn of_public_service(issuer: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.issuer() == Some(issuer))
    }

    /// Whether one of `patterns` matches what the workload of another tenant has in `claim`.
    #[must_use]
    pub fn matches_other_tenants(self, claim: &str, patterns: &[TextPattern]) -> bool {
        let values = self.platform().other_tenants.iter();
        let mut values = values.filter(|(name, _)| *name == claim);
        values.any(|(_, value)| patterns.iter().any(|pattern| pattern.matches(value)))
    }

    pub(crate) fn full_path(self, name: &str) -> Option<&'static str> {
        let paths = self.platform().paths.iter();
        paths
            .copied()
            .find_map(|(short, path)| (short == name).then_some(path))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no preset's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be github, gitlab, kubernetes, forgejo or oidc")]
pub struct UnknownPreset;

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(name: &str) -> Result<Self, UnknownPreset> {
        let mut all = Self::ALL.into_iter();
        all.find(|preset| preset.name() == name)
            .ok_or(UnknownPreset)
    }
}
