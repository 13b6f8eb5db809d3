//! Lists in pages: opaque cursors, and a bound on what a page has.

use std::borrow::Cow;
use std::num::NonZeroU32;

use data_encoding::BASE64URL_NOPAD;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::problem::ApiProblem;

/// The most items of a page.
pub(crate) const MAX_PAGE: u32 = 1000;

/// The items of a page whose request does not say how many.
const USUAL_PAGE: u32 = 100;

/// The longest cursor, in bytes.
const MAX_CURSOR: usize = 1024;

/// Where a page begins: after an item. Clients only repeat it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor(String);

/// Which page of a list.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParameters {
    /// The `next` of the page before. Without it, the first page.
    #[serde(default)]
    pub(crate) after: Cursor,
    /// How many items at most.
    #[serde(default)]
    pub(crate) limit: PageLimit,
}

/// How many items a page has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageLimit(NonZeroU32);

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct PageView<T> {
    /// The items, in their order.
    pub(crate) items: Vec<T>,
    /// The `after` of the next page, if there are more.
    pub(crate) next: Option<String>,
}

impl Cursor {
    /// The cursor behind the item with this key.
    pub(crate) fn behind(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// The key of the item before the page; empty for the first page.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }

    /// The position of the item before the page, which `read` reads from its key; `None` for the first
    /// page.
    ///
    /// # Errors
    /// If `read` cannot read the key: the cursor is of another list.
    pub(crate) fn position<P>(
        &self,
        read: impl FnOnce(&str) -> Option<P>,
    ) -> Result<Option<P>, ApiProblem> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let wrong = || ApiProblem::invalid_parameter("after", "not a cursor of this list");
        read(&self.0).map(Some).ok_or_else(wrong)
    }

    /// As it is sent.
    pub(crate) fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.as_bytes())
    }

    fn decode(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_CURSOR {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        String::from_utf8(bytes).ok().map(Self)
    }
}

impl PageLimit {
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }

    /// The last of a page's items, if they are so many that more may follow.
    pub(crate) fn last_if_full<T>(self, items: &[T]) -> Option<&T> {
        let is_full = items.len() >= self.get() as usize;
        items.last().filter(|_| is_full)
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(NonZeroU32::new(USUAL_PAGE).unwrap_or(NonZeroU32::MIN))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || D::Error::custom("not a cursor: send the `next` of the page before as it is");
        Self::decode(&text).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for PageLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok();
        let number = number.filter(|limit: &NonZeroU32| limit.get() <= MAX_PAGE);
        let wrong = || D::Error::custom(format!("not a number from 1 to {MAX_PAGE}"));
        number.map(Self).ok_or_else(wrong)
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX_CURSOR })
    }
}

impl JsonSchema for PageLimit {
    fn schema_name() -> Cow<'static, str> {
        "PageLimit".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let usual = USUAL_PAGE;
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": usual })
    }
}
