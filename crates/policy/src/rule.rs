//! One rule, compiled.

use crate::captures::{self, Capture, Found};
use crate::entry::Entry;
use crate::error::Problem;
use crate::explanation::Reason;
use crate::ip::Network;
use crate::pattern::Pattern;
use crate::variables::Bindings;
use crate::{Attribute, Field, Query};

/// A rule whose patterns are well-formed.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The cheap ones first: all have to hold, and the order cannot be seen but in an explanation.
    conditions: Vec<Condition>,
    captures: Vec<Capture>,
    actions: Actions,
    pub(crate) comment: Option<String>,
}

/// Something that has to hold for a rule to decide.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) field: Field,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Ip { written: String, network: Network },
    Text(Attribute, Pattern),
    Label(String, Pattern),
}

/// What a rule grants.
#[derive(Clone, Debug)]
enum Actions {
    /// Exactly what was asked for.
    All,
    Listed(Vec<String>),
}

impl Rule {
    /// Compiles `entry`; all that is wrong with it, if anything is.
    pub(crate) fn compile(entry: Entry) -> Result<Self, Vec<(Field, Problem)>> {
        let captures = captures(&entry);
        let Entry { conditions: written, actions, comment } = entry;
        let mut errors = Vec::new();
        let mut conditions = Vec::new();
        let mut add = |field: Field, test: Result<Test, Problem>| match test {
            Ok(test) => conditions.push(Condition { field, test }),
            Err(problem) => errors.push((field, problem)),
        };
        for attribute in Attribute::ALL {
            let Some(text) = written.on(attribute) else { continue };
            let field = Field::Text(attribute);
            let pattern = Pattern::compile(text.to_owned(), &field, &captures);
            add(field, pattern.map(|pattern| Test::Text(attribute, pattern)));
        }
        if let Some(written) = written.ip {
            let network = written.parse().map_err(Problem::Ip);
            add(Field::Ip, network.map(|network| Test::Ip { written, network }));
        }
        for (name, text) in written.labels {
            let field = Field::Label(name.clone());
            let pattern = Pattern::compile(text, &field, &captures);
            add(field, pattern.map(|pattern| Test::Label(name, pattern)));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        conditions.sort_by_key(Condition::cost);
        Ok(Self { conditions, captures, actions: Actions::new(actions), comment })
    }

    /// The first condition that does not hold, and why; none where all hold, so that the rule decides.
    pub(crate) fn obstacle<'a>(&'a self, bindings: &Bindings<'_>) -> Option<(&'a Condition, Reason)> {
        self.conditions.iter().find_map(|condition| Some((condition, condition.check(bindings).err()?)))
    }

    /// What its variables stand for in `query`.
    pub(crate) fn bindings<'a>(&'a self, query: &'a Query<'a>, quote_labels: bool) -> Bindings<'a> {
        Bindings::new(query, &self.captures, quote_labels)
    }

    /// Whether every query matches.
    pub(crate) fn matches_all(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Which of the actions asked for it grants.
    pub(crate) fn grant(&self, asked: &[String]) -> Vec<String> {
        match &self.actions {
            Actions::All => asked.to_vec(),
            Actions::Listed(listed) => {
                let mut granted: Vec<String> = asked.iter().filter(|action| listed.contains(action)).cloned().collect();
                granted.sort_unstable();
                granted.dedup();
                granted
            }
        }
    }
}

impl Condition {
    fn check(&self, bindings: &Bindings<'_>) -> Result<(), Reason> {
        let query = bindings.query;
        match &self.test {
            Test::Ip { network, .. } => match query.ip {
                Some(ip) if network.contains(ip) => Ok(()),
                Some(_) => Err(Reason::Differs),
                None => Err(Reason::NoAddress),
            },
            Test::Text(attribute, pattern) => pattern.check_text(attribute.of(query), bindings),
            Test::Label(name, pattern) => match query.labels.get(name) {
                Some(values) => pattern.check_any(values, bindings),
                None => Err(Reason::NoLabel),
            },
        }
    }

    fn cost(&self) -> u8 {
        match &self.test {
            Test::Ip { .. } => 0,
            Test::Text(_, pattern) | Test::Label(_, pattern) => pattern.cost(),
        }
    }

    /// As it is written.
    pub(crate) fn written(&self) -> &str {
        match &self.test {
            Test::Ip { written, .. } => written,
            Test::Text(_, pattern) | Test::Label(_, pattern) => &pattern.text,
        }
    }

    /// What it stands for in a query, `limit` patterns at most.
    pub(crate) fn expansions(&self, bindings: &Bindings<'_>, limit: usize) -> Vec<String> {
        match &self.test {
            Test::Ip { network, .. } => vec![network.to_string()],
            Test::Text(_, pattern) | Test::Label(_, pattern) => pattern.expansions(bindings, limit),
        }
    }

    /// What it is held against.
    pub(crate) fn values(&self, query: &Query<'_>) -> Vec<String> {
        match &self.test {
            Test::Ip { .. } => query.ip.iter().map(ToString::to_string).collect(),
            Test::Text(attribute, _) => vec![attribute.of(query).to_owned()],
            Test::Label(name, _) => query.labels.get(name).cloned().unwrap_or_default(),
        }
    }
}

impl Actions {
    fn new(listed: Vec<String>) -> Self {
        // Beside others, `*` is an action like any other.
        if listed == ["*"] { Self::All } else { Self::Listed(listed) }
    }
}

/// The captures of all of a rule's patterns, labels' excepted.
fn captures(entry: &Entry) -> Vec<Capture> {
    let patterns = Attribute::ALL.into_iter().filter_map(|attribute| entry.conditions.on(attribute));
    let found = patterns.flat_map(|pattern| captures::find(pattern, &entry.conditions));
    found.filter_map(|found| if let Found::Capture(capture) = found { Some(capture) } else { None }).collect()
}
