use std::str::from_utf8;

use policy::casbin::Enforcer;

use super::{ALLOW, model};

#[test]
fn fuzz_casbin_model() {
    let seeds = [
        model(
            "sub, obj",
            "sub, obj",
            "_, _",
            ALLOW,
            "g(r.sub, p.sub) && keyMatch(r.obj, p.obj)",
        ),
        model(
            "sub, obj",
            "sub, obj, eft",
            "_, _, _",
            "priority(p.eft) || deny",
            "r.sub == p.sub \\\n && eval(p.obj) # x",
        ),
        model(
            "sub, obj",
            "priority, sub, eft",
            "_, _",
            "subjectPriority(p.eft) || deny",
            "r.sub in ('a', \"b\") ; x",
        ),
    ];
    let policies = [
        "",
        "p, a, b\ng, a, c\n",
        "p, a, true, deny\n",
        "p, 1, b, allow\ng, b, c\n",
    ];
    fuzz::target("casbin model", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let mut is_accepted = false;
        for policy in policies {
            if let Ok(enforcer) = Enforcer::compile(text, policy, 2) {
                let _either = enforcer.enforce(&["a", "b/c"]);
                is_accepted = true;
            }
        }
        is_accepted
    });
}

#[test]
fn fuzz_casbin_policy() {
    let text = model(
        "sub, obj",
        "sub, obj, eft",
        "_, _",
        "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
        "g(r.sub, p.sub) && keyMatch2(r.obj, p.obj)",
    );
    let seeds = [
        "p, alice, /data/:id, allow\ng, bob, alice\n# x\n",
        "p, \"a\"\"b, c\", /*, deny\n",
    ];
    fuzz::target("casbin policy", &seeds, |bytes| {
        let enforcer = from_utf8(bytes)
            .ok()
            .and_then(|policy| Enforcer::compile(&text, policy, 2).ok());
        let Some(enforcer) = enforcer else {
            return false;
        };
        for request in [["alice", "/data/1"], ["bob", "/"]] {
            // What can fail was refused.
            assert!(enforcer.enforce(&request).is_ok());
        }
        true
    });
}

#[test]
fn fuzz_casbin_expression() {
    let seeds = [
        "r.a == p.a && !(r.b != p.b) || g(r.a, p.a)",
        "1 + 2 * 3 - -4 ** 5 / 6 % 7 < 8 ? r.a : 'b' + \"c\" ?? true",
        "r.a in ('x', \"y\\\"\", p.a) && r.b =~ '^[a-c]+$' && [r.a] !~ p.b",
        "keyGet2(r.a, '/:x', 'x') == p.b || ipMatch('10.0.0.1', '10.0.0.0/8') || 0x1F >> 2 == ~3 ^ 5 | 6 & 7",
    ];
    fuzz::target("casbin expression", &seeds, |bytes| {
        let Some(matcher) = from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains(['\n', '\\']))
        else {
            return false;
        };
        let text = model("a, b", "a, b", "_, _", ALLOW, matcher);
        let Ok(enforcer) = Enforcer::compile(&text, "p, x, y\ng, z, x\n", 2) else {
            return false;
        };
        let _either = enforcer.enforce(&["x", "y"]);
        true
    });
}
