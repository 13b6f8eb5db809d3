//! Recorded results of Go (`tests/vectors/README.md`).

use serde_json::Value;

use super::{RegexError, compile, rules_out};

/// Patterns that Go 1.26 rejects and we accept. It looks classes up without underscores, so it does
/// not find scripts with an underscore in their name. Earlier versions do.
const TAKEN: [&str; 2] = [r"\p{Old_Italic}", r"\p{OldItalic}"];

#[test]
fn regular_expressions_match_as_go_s_do() {
    let mut lines = include_str!("../../tests/vectors/regexp.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let texts: Vec<String> = serde_json::from_value(lines.next().unwrap()).unwrap();
    let (mut taken, mut refused, mut differences) = (0, 0, Vec::new());
    for line in lines {
        let line: Value = line;
        let pattern = line[0].as_str().unwrap();
        match (compile(pattern, 16 << 20), line[1].as_str()) {
            (Ok(_), None) if TAKEN.contains(&pattern) => {}
            (Err(_), None) => refused += 1,
            (Ok(regex), Some(mask)) => {
                taken += 1;
                let matched: Vec<bool> = texts.iter().map(|text| regex.is_match(text)).collect();
                let ruled_out = texts
                    .iter()
                    .zip(&matched)
                    .any(|(text, matched)| *matched && rules_out(pattern, text));
                if ruled_out
                    || matched != bits(mask, texts.len())
                    || !groups_agree(&regex, &texts, &line[2])
                {
                    differences.push(format!("{pattern:?}"));
                }
            }
            (ours, go) => {
                differences.push(format!("{pattern:?}: {go:?} in Go, {:?} here", ours.err()));
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    assert!(
        taken > 6000 && refused > 1000,
        "the recording is there: {taken} taken, {refused} refused"
    );
}

/// Whether the first match of each recorded text has the captures that it had in Go.
fn groups_agree(regex: &regex::Regex, texts: &[String], recorded: &Value) -> bool {
    let recorded = recorded.as_array().map(Vec::as_slice).unwrap_or_default();
    recorded.iter().all(|of_text| {
        let (index, groups) = of_text.as_array().unwrap().split_first().unwrap();
        let text = &texts[usize::try_from(index.as_u64().unwrap()).unwrap()];
        let captured = regex.captures(text).unwrap();
        let ours: Vec<Value> = captured
            .iter()
            .skip(1)
            .map(|group| group.map(|group| group.as_str()).into())
            .collect();
        ours == groups
    })
}

/// The bits of `mask`, which is hexadecimal, the highest bit first.
fn bits(mask: &str, count: usize) -> Vec<bool> {
    let digits = mask.chars().map(|digit| digit.to_digit(16).unwrap());
    digits
        .flat_map(|digit| (0..4).rev().map(move |bit| digit >> bit & 1 == 1))
        .take(count)
        .collect()
}

#[test]
fn what_is_beyond_our_own_limits_is_refused_as_that() {
    let deep = format!("{}a{}", "(".repeat(300), ")".repeat(300));
    assert_eq!(
        compile(&deep, 1 << 20).unwrap_err(),
        RegexError::TooDeep,
        "Go takes up to 1000"
    );
    assert_eq!(
        compile(r"\pL{500}", 1 << 20).unwrap_err(),
        RegexError::TooLarge
    );
}
