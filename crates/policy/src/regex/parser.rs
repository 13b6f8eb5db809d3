//! A pattern from left to right: characters, groups, alternatives, repetitions.

use std::mem;

use super::RegexError;
use super::atom::{Atom, MAX_HEIGHT, Repetition};
use super::class;
use super::escape::escape;

/// `pattern`, in Go's syntax, in the syntax of the `regex` crate.
pub(super) fn translate(pattern: &str) -> Result<String, RegexError> {
    let mut parser = Parser {
        rest: pattern,
        flags: Flags::default(),
        current: Group::default(),
        outer: Vec::new(),
        repeated: false,
    };
    while !parser.rest.is_empty() {
        parser.step()?;
    }
    if !parser.outer.is_empty() {
        return Err(RegexError::UnclosedGroup);
    }
    Ok(parser.current.close()?.into_text())
}

struct Parser<'a> {
    rest: &'a str,
    flags: Flags,
    /// The innermost open group. The outermost one is the pattern itself.
    current: Group,
    /// The groups around it.
    outer: Vec<Group>,
    /// Whether the last thing read was a repetition.
    repeated: bool,
}

/// The flags that `(?ims-U)` sets and clears.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
    lazy: bool,
}

/// A group while it is open.
#[derive(Debug, Default)]
struct Group {
    capturing: bool,
    /// The flags around it, which are restored when it closes.
    flags: Flags,
    alternatives: Vec<Atom>,
    /// The alternative that is being read.
    sequence: Vec<Atom>,
}

impl Group {
    fn end_alternative(&mut self) -> Result<(), RegexError> {
        let sequence = mem::take(&mut self.sequence);
        self.alternatives
            .push(Atom::sequence(sequence).within_limits()?);
        Ok(())
    }

    fn close(mut self) -> Result<Atom, RegexError> {
        self.end_alternative()?;
        Atom::alternatives(self.alternatives)
            .group(self.capturing)
            .within_limits()
    }
}

impl<'a> Parser<'a> {
    /// Reads the next part.
    fn step(&mut self) -> Result<(), RegexError> {
        let repeated = mem::take(&mut self.repeated);
        let rest = self.rest;
        let mut characters = rest.chars();
        let Some(first) = characters.next() else {
            return Ok(());
        };
        let after = characters.as_str();
        match first {
            '(' => self.open()?,
            ')' => self.close(after)?,
            '|' => {
                self.current.end_alternative()?;
                self.rest = after;
            }
            '*' | '+' | '?' | '{' => match repetition(rest)? {
                Some((repetition, after)) => self.repeat(repetition, after, repeated)?,
                None => self.push(Atom::literal(u32::from(first), self.flags.fold), after),
            },
            '[' => {
                let (class, after) = class::bracketed(rest, self.flags.fold)?;
                self.push(class, after);
            }
            '\\' => self.backslash()?,
            '^' => self.push(
                Atom::single(if self.flags.multi_line {
                    "(?m:^)"
                } else {
                    r"\A"
                }),
                after,
            ),
            '$' => self.push(
                Atom::single(if self.flags.multi_line {
                    "(?m:$)"
                } else {
                    r"\z"
                }),
                after,
            ),
            '.' => self.push(
                Atom::single(if self.flags.dot_newline {
                    "(?s:.)"
                } else {
                    r"[^\n]"
                }),
                after,
            ),
            _ => self.push(Atom::literal(u32::from(first), self.flags.fold), after),
        }
        Ok(())
    }

    fn push(&mut self, atom: Atom, after: &'a str) {
        self.current.sequence.push(atom);
        self.rest = after;
    }

    /// `(`, `(?:`, `(?i:`, `(?P<name>`; or `(?i)`, which opens no group.
    fn open(&mut self) -> Result<(), RegexError> {
        let rest = self.rest;
        let Some(extended) = rest.strip_prefix("(?") else {
            self.rest = &rest[1..];
            return self.nest(true);
        };
        if let Some(named) = extended
            .strip_prefix("P<")
            .or_else(|| extended.strip_prefix('<'))
        {
            let (name, after) = named
                .split_once('>')
                .ok_or_else(|| RegexError::GroupName(rest.to_owned()))?;
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                return Err(RegexError::GroupName(
                    rest[..rest.len() - after.len()].to_owned(),
                ));
            }
            self.rest = after;
            return self.nest(true);
        }
        let around = self.flags;
        if self.switch_flags(extended)? {
            let inside = mem::replace(&mut self.flags, around);
            self.nest(false)?;
            self.flags = inside;
        }
        Ok(())
    }

    /// Reads flags and the character after them. Returns whether that is the `:` of a group.
    fn switch_flags(&mut self, text: &'a str) -> Result<bool, RegexError> {
        let (mut on, mut any) = (true, false);
        for (index, letter) in text.char_indices() {
            let flag = match letter {
                'i' => &mut self.flags.fold,
                'm' => &mut self.flags.multi_line,
                's' => &mut self.flags.dot_newline,
                'U' => &mut self.flags.lazy,
                '-' if on => {
                    (on, any) = (false, false);
                    continue;
                }
                ':' | ')' if on || any => {
                    self.rest = &text[index + 1..];
                    return Ok(letter == ':');
                }
                _ => {
                    return Err(RegexError::Group(format!(
                        "(?{}",
                        &text[..index + letter.len_utf8()]
                    )));
                }
            };
            (*flag, any) = (on, true);
        }
        Err(RegexError::UnclosedGroup)
    }

    fn nest(&mut self, capturing: bool) -> Result<(), RegexError> {
        if self.outer.len() >= MAX_HEIGHT as usize {
            return Err(RegexError::TooDeep);
        }
        let group = Group {
            capturing,
            flags: self.flags,
            ..Group::default()
        };
        self.outer.push(mem::replace(&mut self.current, group));
        Ok(())
    }

    fn close(&mut self, after: &'a str) -> Result<(), RegexError> {
        let outer = self.outer.pop().ok_or(RegexError::UnopenedGroup)?;
        let group = mem::replace(&mut self.current, outer);
        self.flags = group.flags;
        self.push(group.close()?, after);
        Ok(())
    }

    /// Repeats the part before it. Flags between two repetitions separate them: `a*(?i)*` is legal.
    fn repeat(
        &mut self,
        repetition: Repetition,
        after: &'a str,
        repeated: bool,
    ) -> Result<(), RegexError> {
        let operator = || self.rest[..self.rest.len() - after.len()].to_owned();
        let (lazy, after) = after
            .strip_prefix('?')
            .map_or((self.flags.lazy, after), |after| (!self.flags.lazy, after));
        if repeated {
            return Err(RegexError::StackedRepetition(operator()));
        }
        let Some(atom) = self.current.sequence.pop() else {
            return Err(RegexError::NothingToRepeat(operator()));
        };
        let atom = atom
            .repeat(repetition, !lazy)
            .ok_or_else(|| RegexError::RepetitionCount(operator()))?;
        self.push(atom.within_limits()?, after);
        self.repeated = true;
        Ok(())
    }

    fn backslash(&mut self) -> Result<(), RegexError> {
        let (rest, fold) = (self.rest, self.flags.fold);
        let assertion = match rest.as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'Q') => {
                let (quoted, after) = rest[2..].split_once(r"\E").unwrap_or((&rest[2..], ""));
                self.current.sequence.extend(
                    quoted
                        .chars()
                        .map(|plain| Atom::literal(u32::from(plain), fold)),
                );
                self.rest = after;
                return Ok(());
            }
            _ => {
                let (atom, after) = match class::escaped(rest, fold)? {
                    Some(class) => class,
                    None => escape(rest).map(|(code, after)| (Atom::literal(code, fold), after))?,
                };
                self.push(atom, after);
                return Ok(());
            }
        };
        self.push(Atom::single(assertion), &rest[2..]);
        Ok(())
    }
}

/// The repetition at the beginning of `rest`, and what follows it; `None` if its `{` is a plain
/// character.
fn repetition(rest: &str) -> Result<Option<(Repetition, &str)>, RegexError> {
    let once = |min, max| Ok(Some((Repetition { min, max }, &rest[1..])));
    match rest.as_bytes().first() {
        Some(b'*') => return once(0, None),
        Some(b'+') => return once(1, None),
        Some(b'?') => return once(0, Some(1)),
        _ => {}
    }
    let Some((counts, after)) = rest
        .strip_prefix('{')
        .and_then(|inner| inner.split_once('}'))
    else {
        return Ok(None);
    };
    let (min, max) = counts.split_once(',').unwrap_or((counts, counts));
    let (Some(min), Some(max)) = (
        count(min),
        if max.is_empty() {
            Some(None)
        } else {
            count(max).map(Some)
        },
    ) else {
        return Ok(None);
    };
    if min > MAX_COUNT || max.is_some_and(|max| max > MAX_COUNT || max < min) {
        return Err(RegexError::RepetitionCount(
            rest[..rest.len() - after.len()].to_owned(),
        ));
    }
    Ok(Some((Repetition { min, max }, after)))
}

/// The largest count of one repetition.
const MAX_COUNT: u32 = 1000;

/// A count: digits without leading zeros. A count that is too large for its type is still a count.
fn count(digits: &str) -> Option<u32> {
    let plain = digits == "0" || !digits.starts_with('0');
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (all && plain).then(|| digits.parse().unwrap_or(u32::MAX))
}
