//! The table that is printed.

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

/// 1,234, or 12.3 where it is small.
fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}
