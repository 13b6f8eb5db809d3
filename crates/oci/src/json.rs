//! JSON as registries have it: two ways to read one grammar.
//!
//! What is *pushed* is read strictly: a member that is there twice or in other case is refused,
//! because another program would read something else (CVE-2021-41190). What is *stored* already, or
//! what another server sends, is read as Go's `encoding/json` reads it: names in any case, `null`
//! like an absent member, the last of several, and text that is not Unicode repaired.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// How forgiving a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// For what is pushed.
    Pushed,
    /// For what is stored, or what another server answers.
    Stored,
}

/// An object whose members are read one by one.
pub(crate) trait Members<'de>: Clone + Default {
    /// The names of the members that count.
    const NAMES: &'static [&'static str];

    /// Reads the value of the member `name`, which is one of [`NAMES`](Self::NAMES).
    fn read<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        map: &mut A,
        strictness: Strictness,
    ) -> Result<(), A::Error>;

    /// Says what is missing, once all members are read.
    fn check(&self, strictness: Strictness) -> Result<(), String>;
}

/// Reads an object.
pub(crate) struct ObjectSeed<T> {
    strictness: Strictness,
    /// The members that are read. The values of all others are skipped, whatever they are.
    only: Option<&'static [&'static str]>,
    /// What an earlier member of the same name held: Go lays the later one over it.
    start: T,
}

impl<T: Default> ObjectSeed<T> {
    pub(crate) fn new(strictness: Strictness) -> Self {
        Self::onto(T::default(), strictness)
    }

    /// Reads an object and lays it over `start`.
    pub(crate) fn onto(start: T, strictness: Strictness) -> Self {
        Self {
            strictness,
            only: None,
            start,
        }
    }

    /// Skips all members but `names`.
    pub(crate) fn only(self, names: &'static [&'static str]) -> Self {
        Self {
            only: Some(names),
            ..self
        }
    }
}

impl<'de, T: Members<'de>> DeserializeSeed<'de> for ObjectSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, T: Members<'de>> Visitor<'de> for ObjectSeed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let (mut object, mut seen) = (self.start, 0_u32);
        while let Some(name) = map.next_key::<String>()? {
            let Some(index) = T::NAMES.iter().position(|known| is_same_name(known, &name)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let known = T::NAMES[index];
            if self.only.is_some_and(|only| !only.contains(&known)) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if self.strictness == Strictness::Pushed {
                if known != name {
                    return Err(A::Error::custom(format!("write {known:?}, not {name:?}")));
                }
                if seen & (1 << index) != 0 {
                    return Err(A::Error::custom(format!("{known:?} is there twice")));
                }
            }
            seen |= 1 << index;
            object.read(known, &mut map, self.strictness)?;
        }
        object.check(self.strictness).map_err(A::Error::custom)?;
        Ok(object)
    }
}

/// Whether Go takes `name` for `known`, which is ASCII. It folds two other letters, too: the long s
/// and the Kelvin sign.
fn is_same_name(known: &str, name: &str) -> bool {
    known.eq_ignore_ascii_case(name)
        || !name.is_ascii()
            && known.eq_ignore_ascii_case(&name.replace('\u{17f}', "s").replace('\u{212a}', "k"))
}

/// `json` with U+FFFD for each byte that is not UTF-8 and for each escaped half of a surrogate pair,
/// as Go reads it.
#[must_use]
pub fn repaired_json(json: &[u8]) -> Cow<'_, [u8]> {
    let has_escapes = json.windows(2).any(|pair| pair == b"\\u");
    if !has_escapes && std::str::from_utf8(json).is_ok() {
        return Cow::Borrowed(json);
    }
    let text = String::from_utf8_lossy(json);
    let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_ref());
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (unit, next) = (surrogate(rest), rest.get(6..).and_then(surrogate));
        let length = match (unit, next) {
            (None, _) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => {
                out.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out.into_bytes())
}

/// The half of a surrogate pair whose escape is at the beginning of `text`.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (is_hexadecimal && (0xD800..=0xDFFF).contains(&unit)).then_some(unit)
}

/// Reads an object or `null`.
pub(crate) struct Nullable<S>(pub(crate) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(from).map(Some)
    }
}

/// Reads a list of objects; an error names the place in the list.
pub(crate) struct List<T> {
    pub(crate) name: &'static str,
    pub(crate) strictness: Strictness,
    /// What an earlier list of the same name held: Go lays each object over the one at its place.
    pub(crate) start: Vec<T>,
}

impl<'de, T: Members<'de>> DeserializeSeed<'de> for List<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Members<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of objects as {:?}", self.name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let (mut objects, mut start) = (Vec::new(), self.start.into_iter());
        loop {
            let place = format!("{}[{}]", self.name, objects.len());
            let before = start.next().unwrap_or_default();
            let object = ObjectSeed::onto(before.clone(), self.strictness);
            match list.next_element_seed(Nullable(object)) {
                Ok(Some(Some(object))) => objects.push(object),
                // In a list Go reads `null` as an object without members.
                Ok(Some(None)) if self.strictness == Strictness::Stored => objects.push(before),
                Ok(Some(None)) => return Err(A::Error::custom(format!("{place} is null"))),
                Ok(None) => return Ok(objects),
                Err(error) => return Err(A::Error::custom(format!("{place}: {error}"))),
            }
        }
    }
}
