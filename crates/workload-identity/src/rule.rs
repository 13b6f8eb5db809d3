//! Rules: which workloads of an issuer may log in, and as which account.

use std::sync::Arc;

use identity::{CredentialFingerprint, LifetimeBound, SessionAllowance};
use policy::{Labels, ScopeCeiling};
use serde_json::{Map, Value};

use crate::condition::{ClaimMismatch, shown};
use crate::{AccountTemplate, ClaimCondition, ClaimPath, Preset};

/// A rule of a trusted issuer.
#[derive(Clone, Debug)]
pub struct TrustRule {
    /// Where it stands, for the log: `auth.yml:31`.
    pub place: Arc<str>,
    /// What its workloads must claim: all of it.
    pub conditions: Vec<ClaimCondition>,
    /// Which account they are.
    pub account: AccountTemplate,
    /// The labels of the account, each with the claim that gives its values.
    pub labels: Vec<(String, ClaimPath)>,
    /// The most that such a login grants.
    pub ceiling: ScopeCeiling,
    /// How long an access token may live.
    pub token_lifetime: LifetimeBound,
    /// Whether there may be a refresh token, and for how long.
    pub session: SessionAllowance,
}

impl TrustRule {
    /// Whether all conditions hold.
    pub(crate) fn check(&self, claims: &Map<String, Value>) -> Result<(), ClaimMismatch> {
        self.conditions
            .iter()
            .try_for_each(|condition| condition.check(claims))
    }

    /// The labels that these claims give. A claim that is absent gives none.
    pub(crate) fn labels_of(&self, claims: &Map<String, Value>) -> Labels {
        let mut labels = Labels::new();
        for (name, claim) in &self.labels {
            let mut values = claim.values(claims);
            values.retain(|value| !value.is_empty());
            if !values.is_empty() {
                labels.insert(name.clone(), values);
            }
        }
        labels
    }

    /// What stands for the rule in sessions. A rule that says something else has another one, so that
    /// its sessions end; a rule that only moved has the same.
    pub(crate) fn fingerprint(&self, issuer: &str) -> CredentialFingerprint {
        let Self {
            place: _,
            conditions,
            account,
            labels,
            ceiling,
            token_lifetime,
            session,
        } = self;
        let conditions: Vec<_> = conditions
            .iter()
            .map(|condition| {
                let patterns: Vec<_> = condition.patterns.iter().map(ToString::to_string).collect();
                (condition.claim.as_str(), patterns)
            })
            .collect();
        let account = account.as_str();
        CredentialFingerprint::of(&format!(
            "{issuer:?} {conditions:?} {account:?} {labels:?} {ceiling:?} {token_lifetime:?} {session:?}"
        ))
    }
}

/// What the claims say of the run or the pod, for the log: `repository="acme/app" run_id="7"`.
pub(crate) fn origin(place: &str, preset: Preset, claims: &Map<String, Value>) -> String {
    let mut text = place.to_owned();
    for name in preset.origin() {
        let values = ClaimPath::new(name, preset).values(claims);
        if let Some(value) = values.first().filter(|value| !value.is_empty()) {
            text.extend([" ", name, "=", &shown(value)]);
        }
    }
    text
}
