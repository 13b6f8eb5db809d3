//! The table that is printed.

use crate::common::number;

/// One of its lines.
pub(crate) struct Line {
    pub(crate) case: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) ours: f64,
    pub(crate) third: Option<f64>,
    pub(crate) second: Option<f64>,
    pub(crate) limit: Option<(&'static str, f64)>,
}

pub(crate) fn heading() {
    println!(
        "| one core, per CPU-second of the server | ours | registry 3 | registry 2.8 | limit | ours to the best | ours to the limit | goal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
}

impl Line {
    pub(crate) fn print(&self) {
        let Self {
            case,
            goal,
            ours,
            third,
            second,
            limit,
        } = *self;
        let best = crate::better(third, second);
        let ratio = |to: Option<f64>| to.map_or("-".to_owned(), |to| format!("{:.2}", ours / to));
        let shown = |value: Option<f64>| value.map_or("-".to_owned(), number);
        let named = limit.map_or("-".to_owned(), |(name, value)| {
            format!("{name} {}", number(value))
        });
        println!(
            "| {case} | {} | {} | {} | {named} | {} | {} | {goal} |",
            number(ours),
            shown(third),
            shown(second),
            ratio(best),
            ratio(limit.map(|(_, value)| value)),
        );
    }
}
