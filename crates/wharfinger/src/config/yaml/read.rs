//! From a file's text to its tree: anchors, merges, duplicates, and bounds on all of it.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Entry, Node, Position, Scalar, Value};

/// The deepest nesting; the schema's is 6.
const MAX_DEPTH: usize = 64;

/// The most values, counting what aliases repeat: room for tens of thousands of rules, none for a
/// "billion laughs".
const MAX_NODES: usize = 1_000_000;

/// The most keys that are told to be there twice: with more, it is another kind of file.
const MAX_PROBLEMS: usize = 20;

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct YamlError {
    pub(in crate::config) position: Position,
    /// Whether it is only that a key is there twice; the tree has both.
    pub(in crate::config) is_duplicate: bool,
    pub(in crate::config) message: String,
}

/// Reads the first document of `text`. Without a tree there is at least one problem; with one there
/// may be, too.
pub(in crate::config) fn read(text: &str) -> (Option<Node>, Vec<YamlError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(problem) = forbidden_character(text) {
        return (None, vec![problem]);
    }
    let mut builder = Builder::new(text);
    let root = match builder.run() {
        Ok(root) => Some(root),
        Err(problem) => {
            builder.problems.push(problem);
            None
        }
    };
    (root, builder.problems)
}

/// Puts a tree together from the parser's events.
struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    raw: Raw<'a>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    problems: Vec<YamlError>,
}

/// A collection whose end has not come yet.
struct Frame {
    position: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        seen: HashMap<String, Position>,
        key: Option<Key>,
    },
}

enum Key {
    Name(String, Position),
    Merge(Position),
}

/// What an anchor stands for.
struct Anchored {
    node: Node,
    nodes: usize,
    height: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            parser: Parser::new_from_str(text),
            raw: Raw {
                rest: text.chars(),
                index: 0,
            },
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            problems: Vec::new(),
        }
    }

    /// The first document; an empty file is an empty document.
    fn run(&mut self) -> Result<Node, YamlError> {
        let mut root = None;
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| problem(error.marker(), error.info()))?;
            if let Event::DocumentStart(_) = event
                && root.is_some()
            {
                self.refuse_content_after(&span)?;
                break;
            }
            root = root.or(self.take(event, &span)?);
        }
        Ok(root.unwrap_or(Node {
            value: Value::Null,
            position: Position { line: 1, column: 1 },
        }))
    }

    /// Takes one event; gives the root when it is complete.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if style == ScalarStyle::DoubleQuoted && text.contains('/') {
                    self.refuse_escaped_slash(span)?;
                }
                let node = scalar(&text, style, tag.as_deref(), span)?;
                let merge = style == ScalarStyle::Plain && text == "<<" && tag.is_none();
                self.complete(node, anchor, merge)
            }
            Event::Alias(anchor) => {
                let node = self.expand(anchor, span)?;
                self.complete(node, 0, false)
            }
            Event::SequenceStart(anchor, tag) => {
                check_tag(tag.as_deref(), "seq", span)?;
                self.begin(Content::Sequence(Vec::new()), anchor, span)
            }
            Event::MappingStart(anchor, tag) => {
                check_tag(tag.as_deref(), "map", span)?;
                self.begin(
                    Content::Mapping {
                        entries: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                    },
                    anchor,
                    span,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.open.pop() else {
                    return Ok(None);
                };
                let value = match frame.content {
                    Content::Sequence(items) => Value::Sequence(items),
                    Content::Mapping { entries, .. } => Value::Mapping(entries),
                };
                self.complete(
                    Node {
                        value,
                        position: frame.position,
                    },
                    frame.anchor,
                    false,
                )
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(None),
        }
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        span: &Span,
    ) -> Result<Option<Node>, YamlError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(problem(
                &span.start,
                &format!("values are nested more than {MAX_DEPTH} deep"),
            ));
        }
        self.open.push(Frame {
            position: position(&span.start),
            anchor,
            content,
        });
        Ok(None)
    }

    /// Puts a complete value where it belongs.
    fn complete(
        &mut self,
        node: Node,
        anchor: usize,
        merge: bool,
    ) -> Result<Option<Node>, YamlError> {
        self.spend(1, node.position)?;
        if anchor != 0 {
            let (nodes, height) = measure(&node);
            self.spend(nodes, node.position)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    nodes,
                    height,
                },
            );
        }
        let Some(frame) = self.open.last_mut() else {
            return Ok(Some(node));
        };
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, seen, key } => match key.take() {
                None if merge => *key = Some(Key::Merge(node.position)),
                None => {
                    let (name, position) = name(node)?;
                    if let Some(first) = seen.insert(name.clone(), position) {
                        if self.problems.len() >= MAX_PROBLEMS {
                            let message = format!("more than {MAX_PROBLEMS} duplicate keys");
                            return Err(error_at(position, message));
                        }
                        let message = format!(
                            "duplicate key `{name}`; the first is on line {}",
                            first.line
                        );
                        self.problems.push(YamlError {
                            position,
                            is_duplicate: true,
                            message,
                        });
                    }
                    *key = Some(Key::Name(name, position));
                }
                Some(Key::Merge(at)) => merge_into(entries, node, at)?,
                Some(Key::Name(name, position)) => {
                    // A value that is not there has no place of its own.
                    let place = if node.value == Value::Null {
                        position
                    } else {
                        node.position
                    };
                    let value = Node {
                        position: place,
                        ..node
                    };
                    entries.push(Entry::new(name, position, value));
                }
            },
        }
        Ok(None)
    }

    /// What the alias at `span` stands for.
    fn expand(&mut self, anchor: usize, span: &Span) -> Result<Node, YamlError> {
        let Some(Anchored {
            node,
            nodes,
            height,
        }) = self.anchors.get(&anchor)
        else {
            return Err(problem(
                &span.start,
                "this alias is inside of what it stands for",
            ));
        };
        if self.open.len() + height > MAX_DEPTH {
            return Err(problem(
                &span.start,
                &format!("with this alias, values are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let (node, nodes) = (node.clone(), *nodes);
        self.spend(nodes, position(&span.start))?;
        Ok(node)
    }

    fn spend(&mut self, nodes: usize, position: Position) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!(
                "there are more than {MAX_NODES} values up to here, counting what aliases repeat"
            );
            return Err(error_at(position, message));
        }
        Ok(())
    }

    /// yaml.v2 reads one document and does not look at the others; here nothing is left unread
    /// without a word.
    fn refuse_content_after(&mut self, start: &Span) -> Result<(), YamlError> {
        match self.parser.next_event() {
            Some(Ok((Event::Scalar(text, ScalarStyle::Plain, ..), _))) if text.is_empty() => Ok(()),
            None | Some(Ok((Event::StreamEnd | Event::DocumentEnd, _))) => Ok(()),
            Some(Ok(_)) => Err(problem(
                &start.start,
                "a second document begins here; a configuration is one document",
            )),
            Some(Err(error)) => Err(problem(error.marker(), error.info())),
        }
    }

    /// YAML 1.1 does not know `\/`, which came with 1.2.
    fn refuse_escaped_slash(&mut self, span: &Span) -> Result<(), YamlError> {
        let mut raw = self
            .raw
            .from(span.start.index())
            .skip_while(|c| *c != '"')
            .skip(1);
        while let Some(c) = raw.next() {
            match c {
                '"' => break,
                '\\' if raw.next() == Some('/') => {
                    let message =
                        r"`\/` in double quotes is no escape of YAML 1.1; write `/` alone";
                    return Err(problem(&span.start, message));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The file's text from some character on; places come in ascending order, so each character is
/// passed once.
struct Raw<'a> {
    rest: std::str::Chars<'a>,
    index: usize,
}

impl<'a> Raw<'a> {
    fn from(&mut self, index: usize) -> std::str::Chars<'a> {
        while self.index < index && self.rest.next().is_some() {
            self.index += 1;
        }
        self.rest.clone()
    }
}

/// A scalar's node. A tag of the core schema chooses how it is read; other tags have no meaning
/// here.
fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
) -> Result<Node, YamlError> {
    let plain = match tag {
        None => style == ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => false,
            "int" | "float" | "bool" | "null" => true,
            _ => return Err(unknown_tag(tag, span)),
        },
        // A lone `!`: not what it looks like, but a text.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => false,
        Some(tag) => return Err(unknown_tag(tag, span)),
    };
    let null = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    let value = if null {
        Value::Null
    } else {
        Value::Scalar(Scalar::new(text.to_owned(), plain))
    };
    Ok(Node {
        value,
        position: position(&span.start),
    })
}

fn check_tag(tag: Option<&Tag>, expected: &str, span: &Span) -> Result<(), YamlError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(unknown_tag(tag, span))
        }
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> YamlError {
    problem(
        &span.start,
        &format!("the tag `{tag}` has no meaning here; leave it out"),
    )
}

/// A key's text.
fn name(node: Node) -> Result<(String, Position), YamlError> {
    match node.value {
        Value::Null => Ok((String::new(), node.position)),
        Value::Scalar(scalar) => Ok((scalar.text().to_owned(), node.position)),
        Value::Sequence(_) | Value::Mapping(_) => {
            let message = format!("a key must be text, and this is {}", node.describe());
            Err(error_at(node.position, message))
        }
    }
}

/// Adds what `<<` brings. Of a list of mappings the earlier ones count more, so they come last.
fn merge_into(entries: &mut Vec<Entry>, node: Node, at: Position) -> Result<(), YamlError> {
    match node.value {
        Value::Mapping(merged) => {
            entries.extend(merged);
            Ok(())
        }
        Value::Sequence(items)
            if items
                .iter()
                .all(|item| matches!(item.value, Value::Mapping(_))) =>
        {
            items
                .into_iter()
                .rev()
                .try_for_each(|item| merge_into(entries, item, at))
        }
        _ => {
            let message = "`<<` takes a mapping or a list of mappings".to_owned();
            Err(error_at(at, message))
        }
    }
}

/// How many values `node` is, and how deep.
fn measure(node: &Node) -> (usize, usize) {
    let children: Box<dyn Iterator<Item = &Node>> = match &node.value {
        Value::Null | Value::Scalar(_) => return (1, 0),
        Value::Sequence(items) => Box::new(items.iter()),
        Value::Mapping(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
    };
    children
        .map(measure)
        .fold((1, 1), |(nodes, height), (n, h)| {
            (nodes + n, height.max(h + 1))
        })
}

/// YAML has no control characters; the parser takes NUL for the end of the file.
fn forbidden_character(text: &str) -> Option<YamlError> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (index, found) = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !allowed(*c))?;
    let before = &text[..index];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = format!(
        "the control character U+{:04X} is not allowed in YAML",
        u32::from(found)
    );
    Some(error_at(Position { line, column }, message))
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn error_at(position: Position, message: String) -> YamlError {
    YamlError {
        position,
        is_duplicate: false,
        message,
    }
}

fn problem(marker: &Marker, message: &str) -> YamlError {
    error_at(position(marker), message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(
            problems("a: 1\n---\nb: 2\n"),
            ["2:1: a second document begins here; a configuration is one document"]
        );
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
        assert!(
            problems(&ladder)[0].contains("with this alias, values are nested more than 64 deep")
        );
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
}
