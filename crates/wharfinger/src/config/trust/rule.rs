//! The rules of a platform: conditions on claims, the account, and the bounds of its tokens.

use std::time::Duration;

use identity::{LifetimeBound, SessionAllowance};
use policy::{CeilingEntry, CeilingRules, ScopeCeiling, TextPattern};
use workload_identity::{AccountTemplate, ClaimCondition, ClaimPath, Preset, TrustRule};

use super::super::diagnostics::Problem;
use super::super::effective::Effective;
use super::super::schema::{Kind, key};
use super::super::section::Section;
use super::super::yaml::Position;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A rule and its place.
pub(super) struct ReadRule {
    pub(super) rule: TrustRule,
    pub(super) position: Position,
}

/// Reads the key `rules` of the platform `name`. All rules are read before one can be wrong.
pub(super) fn read_list(
    section: &mut Section<'_>,
    preset: Preset,
    name: &str,
) -> Option<Vec<ReadRule>> {
    let list = section.structured(
        key::custom("rules", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .required("write which of its workloads may log in, such as [{claims: {sub: NAME}}]")
            .means(
                "which of its workloads may log in, below; the first that takes a token decides",
            ),
        |rule| drop(read(rule, preset, name)),
    )?;
    let items = list.items()?;
    if items.is_empty() {
        list.error("empty: no workload could log in");
        return None;
    }
    let (mut rules, mut shown) = (Vec::new(), Vec::new());
    for item in &items {
        if let Some((rule, effective)) = item.section(|rule| read(rule, preset, name)) {
            shown.push(effective);
            rules.extend(rule.map(|rule| ReadRule {
                rule,
                position: item.position(),
            }));
        }
    }
    section.show("rules", Effective::List(shown));
    (rules.len() == items.len()).then_some(rules)
}

fn read(rule: &mut Section<'_>, preset: Preset, name: &str) -> Option<TrustRule> {
    let conditions = read_conditions(rule, preset);
    let account = read_account(rule, preset, name);
    let labels = read_labels(rule, preset);
    let ceiling = read_ceiling(rule);
    let lifetime = rule.find(
        key::duration("max_ttl", MINUTE..=DAY)
            .means("how long its access tokens live at most")
            .otherwise("as `token.expiration`"),
    );
    let session = rule.find(
        key::duration("refresh_token", MINUTE..=7 * DAY)
            .means("how long a refresh token lives that such a login may have")
            .otherwise("it has none"),
    );
    let place = rule.context.location(rule.position).short();
    Some(TrustRule {
        place: place.into(),
        conditions: conditions?,
        account: account?,
        labels: labels?,
        ceiling: ceiling?,
        token_lifetime: lifetime.map_or(LifetimeBound::Configured, LifetimeBound::AtMost),
        session: session.map_or(SessionAllowance::Refused, |lifetime| {
            SessionAllowance::Allowed(LifetimeBound::AtMost(lifetime))
        }),
    })
}

fn read_conditions(rule: &mut Section<'_>, preset: Preset) -> Option<Vec<ClaimCondition>> {
    let pattern = Kind::OneOrMany(Box::new(Kind::Form("pattern")));
    let claims = rule.setting(
        key::custom("claims", Kind::Names(Box::new(pattern)))
            .not(&["match", "conditions"])
            .required("write claims: {} for every workload of the platform")
            .means("`CLAIM: PATTERN`: each of these claims has a value that one of its patterns matches; a path such as `kubernetes.io.namespace` names a member"),
    )?;
    let (mut conditions, mut shown, mut is_readable) = (Vec::new(), Vec::new(), true);
    for (entry, setting) in claims.entries()? {
        let (mut patterns, mut texts) = (Vec::new(), Vec::new());
        for item in setting.one_or_many()? {
            match item.parse(str::parse::<TextPattern>) {
                Some(pattern) => {
                    texts.push(Effective::quoted(&pattern));
                    patterns.push(pattern);
                }
                None => is_readable = false,
            }
        }
        if setting.is_empty_list() {
            setting.error("empty: no value could match");
            is_readable = false;
        }
        shown.push((entry.key.clone(), Effective::List(texts)));
        conditions.push(ClaimCondition {
            claim: ClaimPath::new(&entry.key, preset),
            patterns,
        });
    }
    rule.show("claims", Effective::names(shown));
    is_readable.then_some(conditions)
}

fn read_account(rule: &mut Section<'_>, preset: Preset, name: &str) -> Option<AccountTemplate> {
    let setting = rule.setting(
        key::custom("account", Kind::Form("template"))
            .means("the account of such a workload: the platform's `name`, a colon, and texts and claims (`${CLAIM}`)")
            .otherwise("`NAME:` and the id that the platform gives: `${repository_id}`, `${project_id}`, `${namespace}:${service_account}`, `${sub}`"),
    );
    let Some(setting) = setting else {
        let usual = format!("{name}:{}", preset.account());
        rule.show("account", Effective::quoted(&usual));
        return AccountTemplate::parse(&usual, preset).ok();
    };
    let text = setting.text()?;
    rule.show("account", Effective::quoted(&text));
    let prefix = format!("{name}:");
    if !text.starts_with(&prefix) || text == prefix {
        setting.error(format_args!(
            "must begin with `{prefix}` and say more, so that no workload has a person's name"
        ));
        return None;
    }
    setting.checked(AccountTemplate::parse(&text, preset))
}

fn read_labels(rule: &mut Section<'_>, preset: Preset) -> Option<Vec<(String, ClaimPath)>> {
    let setting = rule.setting(
        key::custom("labels", Kind::Names(Box::new(Kind::Text)))
            .means("`LABEL: CLAIM`: labels of the account, for rules; `{}` for none")
            .otherwise("what the platform documents: `repository`, `project_path`, `namespace`, `ref` and others, as they are called there"),
    );
    let labels: Vec<(String, String)> = match &setting {
        Some(setting) => {
            let entries = setting.entries()?.into_iter();
            let read = entries.map(|(entry, claim)| Some((entry.key.clone(), claim.text()?)));
            read.collect::<Option<_>>()?
        }
        None => {
            let usual = preset.labels().iter();
            usual
                .map(|label| ((*label).to_owned(), (*label).to_owned()))
                .collect()
        }
    };
    let shown = labels.iter();
    let shown = shown.map(|(label, claim)| (label.clone(), Effective::quoted(claim)));
    rule.show("labels", Effective::names(shown));
    let labels = labels.into_iter();
    Some(
        labels
            .map(|(label, claim)| (label, ClaimPath::new(&claim, preset)))
            .collect(),
    )
}

fn read_ceiling(rule: &mut Section<'_>) -> Option<ScopeCeiling> {
    let list = rule.structured(
        key::custom("ceiling", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .means("the most that such a login grants, whatever the rules of `acl` allow; `[]` is nothing")
            .otherwise("the rules alone decide"),
        |entry| drop(read_entry(entry)),
    );
    let Some(list) = list else {
        return Some(ScopeCeiling::Unlimited);
    };
    let items = list.items()?;
    let (mut entries, mut shown) = (Vec::new(), Vec::new());
    for item in &items {
        if let Some((entry, effective)) = item.section(read_entry) {
            shown.push(effective);
            entries.extend(entry);
        }
    }
    rule.show("ceiling", Effective::List(shown));
    if entries.len() != items.len() {
        return None;
    }
    let report = |error: policy::CeilingEntryError| {
        let at = items.get(error.entry).unwrap_or(&list);
        at.error(format_args!("{}: {}", error.field, error.problem));
    };
    CeilingRules::compile(entries)
        .map_err(|errors| errors.into_iter().for_each(report))
        .ok()
        .map(ScopeCeiling::Limited)
}

fn read_entry(entry: &mut Section<'_>) -> Option<CeilingEntry> {
    let resource_type = entry.get(
        key::text("type")
            .means("pattern of the resource's type")
            .default("repository".to_owned()),
    );
    let name = entry.find(
        key::text("name")
            .required("write the pattern of the repositories' names")
            .means("pattern of the resource's name; `${account}` and `${labels:NAME}` count"),
    );
    let actions = entry.find(
        key::texts("actions")
            .required("actions: [pull] or [pull, push]; [\"*\"] is everything")
            .means("the actions; `[\"*\"]` alone is every action"),
    );
    Some(CeilingEntry {
        resource_type,
        name: name?,
        actions: actions?,
    })
}

/// What is probably not meant: a name that may be another's one day, or a rule for every tenant of a public platform.
pub(super) fn warn(section: &Section<'_>, preset: Preset, issuer: &str, rules: &[ReadRule]) {
    let public = Preset::of_public_service(issuer);
    let preset = public.unwrap_or(preset);
    for ReadRule { rule, position } in rules {
        let has = |is_it: &dyn Fn(&str) -> bool| {
            let mut conditions = rule.conditions.iter();
            conditions.find(|condition| {
                let claim = condition.claim.as_str();
                is_it(claim) && !preset.matches_other_tenants(claim, &condition.patterns)
            })
        };
        if has(&|claim| preset.is_id(claim)).is_some() {
            continue;
        }
        let ids = preset.ids().join(" or ");
        let context = section.context;
        match has(&|claim| preset.is_name(claim)) {
            Some(condition) => {
                let claim = &condition.claim;
                let mut message = format!(
                    "{claim} is a name, which another can take after a rename or a deletion; match \
                     {ids}, too"
                );
                if preset == Preset::Github && claim.as_str() == "sub" {
                    message += ". For repositories made or renamed since 2026-07-15, sub has the \
                                form repo:OWNER@ID/REPOSITORY@ID:…";
                }
                let key = "trust.rules.claims";
                context.warn(*position, key, Problem::Insecure, message);
            }
            None if public.is_some() => {
                let message = format!(
                    "every workload of {issuer}, those of other tenants among them, could log in: match {ids}"
                );
                let key = "trust.rules.claims";
                context.error(*position, key, Problem::Insecure, message);
            }
            None => {}
        }
    }
}
