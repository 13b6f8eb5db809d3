//! JSON that other token servers write.

use serde::{Deserialize, Deserializer};

/// A value; for `null` the default, as Go's `encoding/json` has it.
pub(crate) fn null_or<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
