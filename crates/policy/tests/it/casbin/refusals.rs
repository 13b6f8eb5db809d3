//! Models and policies that are refused, each with its line.

use policy::casbin::Enforcer;

use super::{ALLOW, model, refused};

const COLUMNS: &str = "sub, obj, act";
const SAME: &str = "r.sub == p.sub && r.obj == p.obj && r.act == p.act";

/// What is wrong with a policy whose model is right.
fn of_policy(matcher: &str, policy: &str) -> String {
    refused(&model(COLUMNS, COLUMNS, "_, _", ALLOW, matcher), policy, 3)
}

#[test]
fn every_mistake_of_a_model_is_reported_at_once() {
    let text = "[request_definition]\nr = sub, obj\n[role_definition]\ng = _\nx\n[policy_effect]\n\
                e = some(where (p.eft == maybe))\n[matcher]\nm = true\n";
    insta::assert_snapshot!(refused(text, "", 3), @r#"
    line 1 of the model: `p = …` is missing in the section [policy_definition]
    line 1 of the model: `m = …` is missing in the section [matchers]
    line 2 of the model: a request has 3 values, and this names 2
    line 4 of the model: a role definition is `_, _`, or `_, _, _` with a domain
    line 5 of the model: expected `NAME = VALUE`, or `[SECTION]` alone on its line
    line 7 of the model: unknown policy effect: write one of `some(where (p.eft == allow))`, `!some(where (p.eft == deny))`, `some(where (p.eft == allow)) && !some(where (p.eft == deny))`, `priority(p.eft) || deny`, `subjectPriority(p.eft) || deny`
    "#);
}

#[test]
fn every_mistake_of_a_policy_is_reported_at_once() {
    let policy = "p, alice, data1, read\n# a comment\nq, alice\np, alice\ng, alice\n\
                  p, {\"a\": 1}, data1, read\np, \"alice, data1, read\n p , alice, data1, read\n";
    insta::assert_snapshot!(of_policy(SAME, policy), @r#"
    line 3 of the policy: unknown kind of line "q": the model has p, g
    line 4 of the policy: `p` has 3 columns, and this line has 1
    line 5 of the policy: `g` has 2 columns, and this line has 1
    line 6 of the policy: a quote in the middle of a column: put quotes around the column, and write `""` for each in it
    line 7 of the policy: a quote is not closed on this line: add the quote, and write `""` for each in it
    line 8 of the policy: unknown kind of line "p ": the model has p, g
    "#);
}

#[test]
fn a_matcher_that_cannot_be_read_is_refused() {
    let line = |matcher: &str| of_policy(matcher, "");
    insta::assert_snapshot!(line("r.sub == p.sub &&! true"), @r#"line 10 of the model: `&&!` is not an operator: put a space between two operators"#);
    insta::assert_snapshot!(line("(r.sub == p.sub) (r.obj == p.obj)"), @r#"line 10 of the model: an operator is missing between two values"#);
    insta::assert_snapshot!(line("r.sub in ('alice')"), @r#"line 10 of the model: `in` needs at least two values in parentheses; for one, write `==`"#);
    insta::assert_snapshot!(line("r.subject == p.sub"), @r#"line 10 of the model: `r.subject` is not a column: columns are `r.NAME` and `p.NAME`, with the names of the model"#);
    insta::assert_snapshot!(line("g2(r.sub, p.sub)"), @r#"line 10 of the model: unknown function `g2`: `g` and `g2` are functions if the model defines such roles"#);
    insta::assert_snapshot!(line("eval(r.sub)"), @r#"line 10 of the model: `eval` takes a column of the policy, as `eval(p.rule)`"#);
    insta::assert_snapshot!(line("r.sub == 'it's'"), @r#"line 10 of the model: a text in quotes is not closed; both ' and " end one, and # and ; begin a comment"#);
}

#[test]
fn a_matcher_that_cannot_be_evaluated_is_refused() {
    let line = |matcher: &str| of_policy(matcher, "p, alice, data1, read\n");
    insta::assert_snapshot!(line("r.sub && p.sub"), @r#"line 10 of the model: `&&` cannot use a text"#);
    insta::assert_snapshot!(line("r.sub < 5"), @r#"line 10 of the model: `<` cannot use the number 5"#);
    insta::assert_snapshot!(line("r.sub == p.sub || 'x'"), @r#"line 10 of the model: `||` cannot use the text "x""#);
    insta::assert_snapshot!(line("regexMatch(r.sub, '(')"), @r#"line 10 of the model: `regexMatch`: the regular expression "(" is malformed: a `(` is not closed: add the `)`, or write `\(` for the character itself"#);
    insta::assert_snapshot!(line("keyGet(r.sub, p.sub)"), @r#"line 10 of the model: the matcher must be true or false, and is a text"#);
    insta::assert_snapshot!(line("r.sub =~ 'a**'"), @r#"line 10 of the model: `=~`: the regular expression "a**" is malformed: `*` repeats a repetition: put what comes before it into a group, `(?:…)`"#);
}

#[test]
fn a_line_that_cannot_be_evaluated_is_refused() {
    let lines = "p, 10.0.0.0/8, [a-z], \"{\"\"a\"\":[\"\"b\"\"]}\"\np, 10.0.0.0/33, (, *\n";
    insta::assert_snapshot!(of_policy("ipMatch(r.sub, p.sub) && regexMatch(r.obj, p.obj)", lines), @r#"line 2 of the policy: `ipMatch`: "10.0.0.0/33" is neither an IP address nor a network such as 10.0.0.0/8 or 2001:db8::/32"#);
    insta::assert_snapshot!(of_policy("labelMatch(r.act, p.act)", lines), @r#"line 2 of the policy: `labelMatch`: "*" is not an object of lists of texts, as {"group":["dev"]}; leave it empty to match every account"#);
    insta::assert_snapshot!(of_policy("globMatch(r.obj, p.obj) || keyMatch4(r.obj, '(a)')", lines), @r#"line 10 of the model: `keyMatch4`: the pattern "(a)" has parentheses, which count as names in braces"#);
    insta::assert_snapshot!(of_policy("keyMatch2(r.obj, p.obj)", lines), @r#"line 2 of the policy: `keyMatch2`: the regular expression "(" is malformed: a `(` is not closed: add the `)`, or write `\(` for the character itself"#);
    insta::assert_snapshot!(of_policy("eval(p.act)", lines), @r#"
    line 1 of the policy: `{` is not an operator: put a space between two operators
    line 2 of the policy: a value is missing before or behind an operator, a comma or a parenthesis
    "#);
}

#[test]
fn what_a_line_guards_is_not_evaluated() {
    let text = model("ip", "ip", "", ALLOW, "p.ip == '*' || ipMatch(r.ip, p.ip)");
    assert!(Enforcer::compile(&text, "p, 10.0.0.0/8\np, *\n", 1).is_ok());
    let text = model("ip", "ip", "", ALLOW, "p.ip != '*' && ipMatch(r.ip, p.ip)");
    assert!(Enforcer::compile(&text, "p, 10.0.0.0/8\np, *\n", 1).is_ok());
    let text = model("ip", "ip", "", ALLOW, "r.ip == '' || ipMatch(r.ip, p.ip)");
    assert!(
        Enforcer::compile(&text, "p, *\n", 1).is_err(),
        "a request may reach it"
    );
}

#[test]
fn orders_that_are_invalid_are_refused() {
    let by_priority = model(
        COLUMNS,
        "priority, sub",
        "",
        "priority(p.eft) || deny",
        "r.sub == p.sub",
    );
    insta::assert_snapshot!(refused(&by_priority, "p, 1, a\np, first, b\n", 3), @r#"line 2 of the policy: the priority "first" is not a whole number"#);
    let effect = "subjectPriority(p.eft) || deny";
    let by_subject = model(COLUMNS, COLUMNS, "_, _", effect, SAME);
    insta::assert_snapshot!(refused(&by_subject, "g, a, b\ng, b, c\ng, c, a\ng, x, a\n", 3), @r#"line 1 of the policy: "b" is among its own roles, so subjectPriority cannot order them"#);
    insta::assert_snapshot!(refused(&model(COLUMNS, COLUMNS, "", effect, SAME), "", 3), @r#"line 6 of the model: subjectPriority needs `g = _, _` in the section [role_definition]"#);
}

#[test]
fn roles_in_a_diamond_of_fifty_levels_are_ordered() {
    let effect = "subjectPriority(p.eft) || deny";
    let mut policy = String::from("p, r0, x, y\n");
    for level in 0..50 {
        for (from, to) in [("r", "r"), ("r", "s"), ("s", "r"), ("s", "s")] {
            policy += &format!("g, {from}{}, {to}{level}\n", level + 1);
        }
    }
    let text = model(COLUMNS, COLUMNS, "_, _", effect, SAME);
    assert!(Enforcer::compile(&text, &policy, 3).is_ok());
}
