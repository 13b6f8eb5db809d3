//! Labels from the attributes of an entry, and from groups that name their members.

use ldap::{FilterTemplate, GroupSearch, LabelPattern, LabelRule, ValueChange};

use crate::config::effective::Effective;
use crate::config::schema::key::{Key, from_str};
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

pub(super) fn read(section: &mut Section<'_>) -> Option<Vec<LabelRule>> {
    let kind = Kind::Names(Box::new(Kind::Mapping(Vec::new())));
    let key = key::custom("labels", kind)
        .docker_auth()
        .means("`LABEL: {attribute, …}`: labels of an account from its entry");
    let Some(labels) = section.structured(key, |label| read_label(label)) else {
        return Some(Vec::new());
    };
    let (mut rules, mut shown, mut is_readable) = (Vec::new(), Vec::new(), true);
    for (entry, setting) in labels.entries()? {
        match setting.section(read_label) {
            Some((Some((attribute, change)), effective)) => {
                shown.push((entry.key.clone(), effective));
                rules.push(LabelRule {
                    label: entry.key.clone(),
                    attribute,
                    change,
                });
            }
            _ => is_readable = false,
        }
    }
    section.show("labels", Effective::names(shown));
    is_readable.then_some(rules)
}

fn read_label(label: &mut Section<'_>) -> Option<(String, ValueChange)> {
    let attribute = label.find(
        key::text("attribute")
            .docker_auth()
            .required("write whose values become the label, such as memberOf")
            .means("the attribute whose values become the label's, in any case"),
    );
    let change = read_change(label, Key::docker_auth);
    Some((attribute?, change?))
}

/// What is made of each value. `origin` says whose keys of a label these are.
fn read_change(
    section: &mut Section<'_>,
    origin: fn(Key<bool>) -> Key<bool>,
) -> Option<ValueChange> {
    let parse_cn = section.get(
        origin(key::switch("parse_cn"))
            .means("whether a distinguished name becomes the first common name in it")
            .default(false),
    );
    let lower_case = section.get(
        origin(key::switch("lower_case"))
            .means("whether letters become lower case")
            .default(false),
    );
    let pattern = section.locate(
        key::parsed("pattern", "regular expression", from_str::<LabelPattern>)
            .means("a value becomes what its first group matches; without a match it is left out"),
    );
    let has_pattern = section.has("pattern");
    if has_pattern && pattern.is_none() {
        return None;
    }
    Some(ValueChange {
        parse_cn,
        lower_case,
        pattern: pattern.map(|pattern| pattern.value),
    })
}

pub(super) fn read_groups(section: &mut Section<'_>) -> Option<GroupSearch> {
    section.optional(
        key::mapping("group_search").means("a label from groups that name their members"),
        read_group_search,
    )
}

fn read_group_search(section: &mut Section<'_>) -> Option<GroupSearch> {
    let label = section.get(
        key::text("label")
            .means("the label")
            .default("groups".to_owned()),
    );
    let base = section.find(
        key::text("base")
            .required("write where groups are, such as ou=groups,dc=example,dc=com")
            .means("where groups are searched, with all that is below"),
    );
    let filter = section.locate(
        key::parsed("filter", "filter", |text| {
            FilterTemplate::of_groups(text).map_err(|error| error.to_string())
        })
        .required("write what finds an account's groups, such as (member=${dn})")
        .means("finds the groups of `${dn}`, or of `${account}`; both are escaped"),
    );
    let attribute = section.get(
        key::text("attribute")
            .means("the attribute of a group whose values become the label's; `dn` is its name")
            .default("cn".to_owned()),
    );
    let nested = section.get(
        key::switch("nested")
            .means("whether the groups of each group are searched, too, with `${dn}`")
            .default(false),
    );
    let change = read_change(section, Key::ours);
    let filter = filter?;
    if nested && !filter.value.has_distinguished_name() {
        filter
            .setting
            .error("nested needs ${dn}, which stands for each group, too");
        return None;
    }
    Some(GroupSearch {
        label,
        base: base?,
        filter: filter.value,
        attribute,
        nested,
        change: change?,
    })
}
