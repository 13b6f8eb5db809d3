//! What holds for any policy and any request.

use policy::casbin::{Enforcement, Enforcer};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{ALLOW, model};

const DENY: &str = "!some(where (p.eft == deny))";
const BOTH: &str = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
const PRIORITY: &str = "priority(p.eft) || deny";

/// A name, an object and an effect.
type Line = (usize, usize, &'static str);

fn line() -> impl Strategy<Value = Line> {
    (
        0..4_usize,
        0..3_usize,
        prop::sample::select(&["allow", "deny", "other"][..]),
    )
}

fn policy(lines: &[Line], links: &[(usize, usize)]) -> String {
    let lines = lines
        .iter()
        .map(|(sub, obj, eft)| format!("p, s{sub}, o{obj}, {eft}\n"));
    let links = links
        .iter()
        .map(|(name, role)| format!("g, s{name}, s{role}\n"));
    lines.chain(links).collect()
}

fn decided(effect: &str, policy: &str, sub: usize, obj: usize) -> Enforcement {
    let text = model(
        "sub, obj",
        "sub, obj, eft",
        "_, _",
        effect,
        "g(r.sub, p.sub) && r.obj == p.obj",
    );
    let enforcer = Enforcer::compile(&text, policy, 2).unwrap();
    enforcer
        .enforce(&[&format!("s{sub}"), &format!("o{obj}")])
        .unwrap()
}

/// The effects of the lines for `sub` and `obj`, by a search of its own.
fn matching(
    lines: &[Line],
    links: &[(usize, usize)],
    sub: usize,
    obj: usize,
) -> Vec<(usize, &'static str)> {
    let mut roles = vec![sub];
    let mut next = 0;
    while let Some(role) = roles.get(next).copied() {
        let given = links.iter().filter(|(name, _)| *name == role);
        let new: Vec<_> = given
            .map(|(_, role)| *role)
            .filter(|role| !roles.contains(role))
            .collect();
        roles.extend(new);
        next += 1;
    }
    let lines = lines.iter().enumerate();
    let matching = lines.filter(|(_, line)| roles.contains(&line.0) && line.1 == obj);
    matching.map(|(index, line)| (index + 1, line.2)).collect()
}

proptest! {
    #[test]
    fn effects_are_what_they_say(
        lines in vec(line(), 1..8), links in vec((0..4_usize, 0..4_usize), 0..5),
        sub in 0..4_usize, obj in 0..3_usize,
    ) {
        let text = policy(&lines, &links);
        let matching = matching(&lines, &links, sub, obj);
        let first = |words: &[&str]| matching.iter().find(|(_, word)| words.contains(word)).copied();
        let (allow, deny) = (first(&["allow"]), first(&["deny"]));
        let expected = |allowed, line: Option<(usize, &str)>| Enforcement { allowed, line: line.map(|(line, _)| line) };
        prop_assert_eq!(decided(ALLOW, &text, sub, obj), expected(allow.is_some(), allow));
        prop_assert_eq!(decided(DENY, &text, sub, obj), expected(deny.is_none(), deny));
        prop_assert_eq!(decided(BOTH, &text, sub, obj), expected(allow.is_some() && deny.is_none(), deny.or(allow)));
        let either = first(&["allow", "deny"]);
        prop_assert_eq!(decided(PRIORITY, &text, sub, obj), expected(either.is_some_and(|(_, word)| word == "allow"), either));
    }

    #[test]
    fn a_column_is_read_as_it_is_written(value in "\\PC{0,12}") {
        let text = model("sub", "sub", "", ALLOW, "r.sub == p.sub");
        let quoted = format!("p, \"{}\"\n", value.replace('"', "\"\""));
        let enforcer = Enforcer::compile(&text, &quoted, 1).unwrap();
        prop_assert!(enforcer.enforce(&[&value]).unwrap().allowed);
        let longer = value + "x";
        prop_assert!(!enforcer.enforce(&[&longer]).unwrap().allowed);
    }

    #[test]
    fn any_text_is_a_matcher_or_an_error(matcher in "[rp.ab'\"()!&|=<>+*/%?:,0-9 in-]{0,40}") {
        let text = model("a, b", "a, b", "_, _", ALLOW, &matcher);
        if let Ok(enforcer) = Enforcer::compile(&text, "p, a, b\n", 2) {
            let _either = enforcer.enforce(&["a", "b"]);
        }
    }

    #[test]
    fn any_request_has_an_answer(value in "\\PC{0,16}") {
        let matcher = "keyMatch2(r.a, p.a) || keyMatch3(r.a, p.a) || keyMatch4(r.a, p.a) || globMatch(r.a, p.a) \
                       || keyGet2(r.a, p.a, 'x') == 'y' || labelMatch(r.a, p.labels)";
        let text = model("a", "a, labels", "", ALLOW, matcher);
        let line = "p, /:x/{x}/*, \"{\"\"a\"\":[\"\"b\"\"]}\"\n";
        let enforcer = Enforcer::compile(&text, line, 1).unwrap();
        prop_assert!(enforcer.enforce(&[&value]).is_ok());
    }
}
