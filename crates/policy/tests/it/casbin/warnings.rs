//! What is valid in a model or a policy, and probably not intended.

use policy::casbin::Enforcer;

use super::{ALLOW, model};

fn warned(model: &str, policy: &str) -> String {
    let enforcer = Enforcer::compile(model, policy, 1).unwrap();
    let lines = enforcer.warnings().map(|warning| {
        format!(
            "line {} of the {}: {}\n",
            warning.line, warning.file, warning.kind
        )
    });
    lines.collect()
}

#[test]
fn definitions_without_effect() {
    let text = model("sub", "sub", "_, _", ALLOW, "g(r.sub, p.sub)");
    let text = text.replace("[policy_effect]", "g3 = _, _\n[policy_effect]")
        + "m = true\nm2 = true\n[x]\ny = z\n";
    insta::assert_snapshot!(warned(&text, "p, a\n"), @r#"
    line 7 of the model: `g3` has no effect: used are r, p, e and m, and g, g2, … without a gap
    line 11 of the model: `m` is defined again on line 12, and the last counts
    line 13 of the model: `m2` has no effect: used are r, p, e and m, and g, g2, … without a gap
    line 15 of the model: `y` has no effect: used are r, p, e and m, and g, g2, … without a gap
    "#);
}

#[test]
fn texts_that_casbin_rewrites() {
    let matcher = |matcher: &str| warned(&model("sub", "sub", "", ALLOW, matcher), "p, a\n");
    insta::assert_snapshot!(matcher("regexMatch(r.sub, '^r.*$') && p.sub == 'a'"), @r#"line 8 of the model: Casbin reads "^r.*$" as "^r_*$": it takes `r.` and `p.` for columns, and brackets for parentheses if the matcher has `in` anywhere"#);
    insta::assert_snapshot!(matcher("p.sub == 'admin' && r.sub =~ '^[a-z]+$'"), @r#"line 8 of the model: Casbin reads "^[a-z]+$" as "^(a-z)+$": it takes `r.` and `p.` for columns, and brackets for parentheses if the matcher has `in` anywhere"#);
    assert_eq!(matcher("p.sub == 'a' && r.sub =~ '^[a-z]+$'"), "");
}

#[test]
fn lines_that_do_nothing() {
    let text = model("sub", "sub, eft", "_, _", ALLOW, "g(r.sub, p.sub)");
    let policy =
        "p, admin, allow\np, guest, alow\ng, alice, admin\ng, bob, admins\ng, eve, admins\n";
    insta::assert_snapshot!(warned(&text, policy), @r#"
    line 2 of the policy: the effect "alow" is neither allow nor deny, so this line has no effect
    line 4 of the policy: the role "admins" is given here, and no line of the policy and no other role has that name
    "#);
    insta::assert_snapshot!(warned(&text, ""), @r#"line 1 of the policy: the policy has no line that begins with `p`"#);
    let literal = model(
        "sub",
        "sub",
        "_, _",
        ALLOW,
        "g(r.sub, 'admins') || r.sub == p.sub",
    );
    assert_eq!(warned(&literal, "p, x\ng, bob, admins\n"), "");
}

#[test]
fn patterns_that_the_client_chooses() {
    let matcher = |matcher: &str| {
        let rule = "\"regexMatch(p.sub, r.sub)\"";
        let policy = format!("p, a, {rule}\n");
        warned(&model("sub", "sub, rule", "_, _", ALLOW, matcher), &policy)
    };
    for (text, used_by) in [
        ("regexMatch(p.sub, r.sub)", "regexMatch"),
        ("!keyMatch(p.sub, 'x/' + r.sub)", "keyMatch"),
        ("p.sub == 'x' || p.sub =~ r.sub", "=~"),
        ("p.sub !~ ('^' + r.sub)", "!~"),
        ("keyGet2(p.sub, r.sub, 'id') == 'x'", "keyGet2"),
        ("g(p.sub, keyGet(p.sub, r.sub))", "keyGet"),
    ] {
        assert_eq!(
            matcher(text),
            format!(
                "line 10 of the model: `{used_by}` takes its pattern from `r.sub`, so the client that asks chooses what it matches\n"
            ),
            "{text}"
        );
    }
    for text in [
        "regexMatch(r.sub, p.sub)",
        "r.sub =~ p.sub",
        "r.sub == p.sub",
    ] {
        assert_eq!(matcher(text), "", "{text}");
    }
    assert_eq!(
        matcher("eval(p.rule)"),
        "line 1 of the policy: `regexMatch` takes its pattern from `r.sub`, so the client that asks chooses what it matches\n"
    );
}
