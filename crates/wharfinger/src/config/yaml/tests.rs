//! What a text is as a tree, and which texts are refused.

use super::read;
use super::{Node, Position, Value, YamlErrorKind};

/// The tree, on one line: `~`, texts (quoted ones in quotes), `[…]`, `{k: v}`.
fn print(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".to_owned(),
        Value::Scalar(scalar) if scalar.plain().is_some() => scalar.text().to_owned(),
        Value::Scalar(scalar) => format!("{:?}", scalar.text()),
        Value::Sequence(items) => format!(
            "[{}]",
            items.iter().map(print).collect::<Vec<_>>().join(", ")
        ),
        Value::Mapping(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|e| format!("{}: {}", e.key, print(&e.value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn tree(text: &str) -> String {
    let (root, problems) = read(text);
    assert_eq!(problems, [], "{text}");
    print(&root.unwrap())
}

/// `line:column: message` of each problem.
fn problems(text: &str) -> Vec<String> {
    let told = read(text).1;
    told.iter()
        .map(|p| format!("{}:{}: {}", p.position.line, p.position.column, p.message))
        .collect()
}

#[test]
fn scalars_sequences_and_mappings() {
    assert_eq!(
        tree("a: b\nc: 'd'\ne: [1, ~, {f: }]\n"),
        "{a: b, c: \"d\", e: [1, ~, {f: ~}]}"
    );
    assert_eq!(
        tree("a: |\n  1\nb: >-\n  2\n  3\n"),
        "{a: \"1\\n\", b: \"2 3\"}"
    );
    assert_eq!(tree("{a: b, \"c\":d}"), "{a: b, c: d}");
    assert_eq!(
        tree("acl:\n- match: {}\n  actions: ['*']\n"),
        "{acl: [{match: {}, actions: [\"*\"]}]}"
    );
    assert_eq!(tree("null: 1\n2: 3\nyes: x\n"), "{: 1, 2: 3, yes: x}");
    assert_eq!(tree(""), "~");
    assert_eq!(tree("# nothing\n"), "~");
}

#[test]
fn line_ends_marks_and_documents() {
    assert_eq!(tree("\u{feff}a: 1\r\nb: 2\r\n"), "{a: 1, b: 2}");
    assert_eq!(tree("---\na: 1\n...\n"), "{a: 1}");
    assert_eq!(tree("---\na: 1\n---\n"), "{a: 1}");
}

#[test]
fn only_the_first_document_counts() {
    for (text, place) in [
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: 1\n---\nb: [\n", "2:1"),
        ("a: 1\n---\n---\nb: 2\n", "3:1"),
        ("a: 1\n...\nb: 2\n", "3:1"),
    ] {
        let (root, problems) = read(text);
        assert_eq!(print(&root.unwrap()), "{a: 1}");
        let [problem] = problems.as_slice() else {
            panic!("{text:?}: {problems:?}")
        };
        assert_eq!(problem.kind, YamlErrorKind::SecondDocument);
        let Position { line, column } = problem.position;
        assert_eq!(format!("{line}:{column}"), place, "{text:?}");
    }
}

#[test]
fn anchors_and_merges_in_the_order_of_the_file() {
    assert_eq!(tree("a: &x [1]\nb: *x\n"), "{a: [1], b: [1]}");
    assert_eq!(
        tree("a: &x {k: 1}\nb: {<<: *x, k: 2}\n"),
        "{a: {k: 1}, b: {k: 1, k: 2}}"
    );
    assert_eq!(
        tree("a: &x {k: 1}\nb: {k: 2, <<: *x}\n"),
        "{a: {k: 1}, b: {k: 2, k: 1}}"
    );
    let list = "a: &x {k: 1}\nb: &y {k: 2}\nc:\n  <<: [*x, *y]\n";
    assert_eq!(tree(list), "{a: {k: 1}, b: {k: 2}, c: {k: 2, k: 1}}");
    assert_eq!(tree("a: {'<<': b}"), "{a: {<<: b}}");
    assert_eq!(
        problems("a: {<<: b}"),
        ["1:5: `<<` takes a mapping or a list of mappings"]
    );
    assert_eq!(
        problems("a: &x [*x]"),
        ["1:8: this alias is inside of what it stands for"]
    );
    assert!(problems("a: *x")[0].starts_with("1:4: "));
}

#[test]
fn tags_of_the_core_schema_only() {
    assert_eq!(
        tree("a: !!str 1\nb: !!int '2'\nc: ! 3\n"),
        "{a: \"1\", b: 2, c: \"3\"}"
    );
    assert_eq!(
        problems("a: !secret x\n"),
        ["1:4: the tag `!secret` has no meaning here; leave it out"]
    );
}

#[test]
fn a_key_without_a_value_may_come_again() {
    assert_eq!(tree("a:\nb: 1\na: 2\n"), "{b: 1, a: 2}");
    assert_eq!(tree("a:\na:\na: 2\n"), "{a: 2}");
    assert_eq!(
        problems("a: 1\na:\n"),
        ["2:1: duplicate key `a`; the first is on line 1"]
    );
}

#[test]
fn a_key_stands_once() {
    assert_eq!(
        problems("a: 1\nb: {c: 1, 'c': 2}\na: 3\n"),
        [
            "2:11: duplicate key `c`; the first is on line 2",
            "3:1: duplicate key `a`; the first is on line 1",
        ]
    );
    assert_eq!(
        problems("'': 1\nnull: 2\n"),
        ["2:1: duplicate key ``; the first is on line 1"]
    );
    assert_eq!(
        problems("[a]: 1\n"),
        ["1:1: a key must be text, and this is a list"]
    );
}

#[test]
fn yaml_1_1_has_no_escaped_slash() {
    let message = r"`\/` in double quotes is no escape of YAML 1.1; write `/` alone";
    assert_eq!(problems(r#"a: "x\/y""#), [format!("1:4: {message}")]);
    assert_eq!(problems("é: \"x\"\nb: &n \"é\\/\"\n").len(), 1);
    assert_eq!(tree(r#"a: "\\/y/\"\\""#), r#"{a: "\\/y/\"\\"}"#);
    assert_eq!(tree(r"a: '\/'"), r#"{a: "\\/"}"#);
}

#[test]
fn positions_point_at_what_they_mean() {
    let (root, _) = read("é: x\nserver:\n  addr: [a,\n    b]\n  net:\n");
    let Value::Mapping(entries) = root.unwrap().value else {
        panic!()
    };
    let at = |position: Position| (position.line, position.column);
    assert_eq!(at(entries[0].value.position), (1, 4));
    assert_eq!(
        (at(entries[1].position), at(entries[1].value.position)),
        ((2, 1), (3, 3))
    );
    let Value::Mapping(server) = &entries[1].value.value else {
        panic!()
    };
    let Value::Sequence(items) = &server[0].value.value else {
        panic!()
    };
    assert_eq!(at(items[1].position), (4, 5));
    assert_eq!(
        at(server[1].value.position),
        (5, 3),
        "a missing value stands where its key stands"
    );
}

#[test]
fn what_would_grow_without_end_is_refused() {
    assert_eq!(
        problems(&"[".repeat(100)),
        ["1:65: values are nested more than 64 deep"]
    );
    assert_eq!(problems(&"[".repeat(100_000)).len(), 1);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..20 {
        laughs.push_str(&format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 10].join(", ")
        ));
    }
    assert!(problems(&laughs)[0].contains("more than 1000000 values up to here"));
    let mut ladder = "a0: &a0 [[[[[[[[x]]]]]]]]\n".to_owned();
    for n in 1..20 {
        ladder.push_str(&format!("a{n}: &a{n} [[[[[[[*a{}]]]]]]]\n", n - 1));
    }
    assert!(problems(&ladder)[0].contains("with this alias, values are nested more than 64 deep"));
}

#[test]
fn control_characters_are_told() {
    assert_eq!(
        problems("a: 1\nb: é\0c\n"),
        ["2:5: the control character U+0000 is not allowed in YAML"]
    );
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_surprise(text in "([a-c&*<:{}\\[\\],\"'|>~!%@` \t\r\n?#/\\\\-]|null|<<: |- |\n  |é|\u{85}|\0){0,60}") {
        let (root, problems) = read(&text);
        proptest::prop_assert!(root.is_some() || !problems.is_empty());
    }
}
