//! Puts a tree together from the parser's events: anchors, merges, duplicates, and bounds on all.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use super::error::{YamlError, YamlErrorKind, error_at, position, problem};
use super::mapping::{merge_into, name};
use super::tag::{check_tag, scalar};
use super::{Entry, Node, Position, Value};

/// The deepest nesting; the schema's is 6.
const MAX_DEPTH: usize = 64;

/// The most values, counting what aliases repeat: room for tens of thousands of rules, none for a
/// "billion laughs".
const MAX_NODES: usize = 1_000_000;

/// The most keys that are told to be there twice: with more, it is another kind of file.
const MAX_PROBLEMS: usize = 20;

/// Puts a tree together from the parser's events.
pub(super) struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    raw: Raw<'a>,
    open: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    pub(super) problems: Vec<YamlError>,
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
    pub(super) fn new(text: &'a str) -> Self {
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
    pub(super) fn run(&mut self) -> Result<Node, YamlError> {
        let mut root = None;
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| problem(error.marker(), error.info()))?;
            if event == Event::DocumentEnd {
                self.note_content_after();
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
                        // A key without a value is absent, so what comes later is its only value.
                        let empty =
                            |entry: &Entry| entry.key == name && entry.value.value == Value::Null;
                        if let Some(at) = entries.iter().rposition(empty) {
                            entries.remove(at);
                        } else if self.problems.len() >= MAX_PROBLEMS {
                            let message = format!("more than {MAX_PROBLEMS} duplicate keys");
                            return Err(error_at(position, message));
                        } else {
                            let message = format!(
                                "duplicate key `{name}`; the first is on line {}",
                                first.line
                            );
                            self.problems.push(YamlError {
                                position,
                                kind: YamlErrorKind::Duplicate,
                                message,
                            });
                        }
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

    /// yaml.v2 reads one document and does not look at what follows, even if it is not YAML. So a
    /// file with more starts here, too, but not without a word.
    fn note_content_after(&mut self) {
        let mut start = None;
        let marker = loop {
            match self.parser.next_event() {
                None | Some(Ok((Event::StreamEnd, _))) => return,
                Some(Ok((Event::DocumentStart(_), span))) => start = Some(span.start),
                Some(Ok((Event::DocumentEnd, _))) => {}
                Some(Ok((Event::Scalar(text, ScalarStyle::Plain, ..), _))) if text.is_empty() => {}
                Some(Ok((_, span))) => break start.unwrap_or(span.start),
                Some(Err(error)) => break start.unwrap_or(*error.marker()),
            }
        };
        self.problems.push(YamlError {
            position: position(&marker),
            kind: YamlErrorKind::SecondDocument,
            message: "not read from here on: only the first document of a file counts".to_owned(),
        });
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
