//! Versions of objects, so that a change can be bound to what its author has seen.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64URL_NOPAD;

/// The version of an object: a digest of all that is stored of it. It says nothing of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion(String);

/// What must be true of an object when it is changed (RFC 9110 §13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    Unconditional,
    /// It has one of these versions.
    OneOf(Vec<ObjectVersion>),
}

/// The object is no longer what a change was made for. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the object has changed since it was read")]
pub struct PreconditionFailed;

impl ObjectVersion {
    /// The version of an object of which `parts` are stored. Their borders count: ("ab", "c") is not
    /// ("a", "bc").
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        // 128 bits: no two versions are equal by accident.
        Self(BASE64URL_NOPAD.encode(&context.finish().as_ref()[..16]))
    }

    /// The version of a list whose objects have these versions. Their order counts.
    #[must_use]
    pub fn of_list<'a>(objects: impl IntoIterator<Item = &'a Self>) -> Self {
        let objects: Vec<&str> = objects.into_iter().map(Self::as_str).collect();
        Self::of(&objects)
    }

    /// As a client repeats it: letters, digits, `-` and `_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ObjectVersion {
    /// The version that a client says.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Precondition {
    /// Requires that it is true of an object with this version. Call it in the transaction of the
    /// change.
    ///
    /// # Errors
    /// When it is not.
    pub fn require(&self, version: &ObjectVersion) -> Result<(), PreconditionFailed> {
        match self {
            Self::Unconditional => Ok(()),
            Self::OneOf(versions) if versions.contains(version) => Ok(()),
            Self::OneOf(_) => Err(PreconditionFailed),
        }
    }

    /// Requires that it is true of an object of a list, or else of the list. `list` reads the versions
    /// of all its objects, and is called only if they are needed.
    ///
    /// # Errors
    /// When it is true of neither, or `list` fails.
    pub fn require_in_list<E: From<PreconditionFailed>>(
        &self,
        object: Option<&ObjectVersion>,
        list: impl FnOnce() -> Result<Vec<ObjectVersion>, E>,
    ) -> Result<(), E> {
        let is_of_object = object.is_some_and(|version| self.require(version).is_ok());
        if is_of_object || *self == Self::Unconditional {
            return Ok(());
        }
        Ok(self.require(&ObjectVersion::of_list(&list()?))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_of_parts_count() {
        let version = ObjectVersion::of(&["ab", "c"]);
        assert_eq!(version, ObjectVersion::of(&["ab", "c"]));
        assert_ne!(version, ObjectVersion::of(&["a", "bc"]));
        assert_eq!(version.as_str().len(), 22);
    }

    #[test]
    fn a_precondition_names_versions() {
        let (one, two) = (ObjectVersion::of(&["1"]), ObjectVersion::of(&["2"]));
        assert_eq!(Precondition::Unconditional.require(&one), Ok(()));
        let either = Precondition::OneOf(vec![one.clone(), ObjectVersion::from("x")]);
        assert_eq!(either.require(&one), Ok(()));
        assert_eq!(either.require(&two), Err(PreconditionFailed));
        let none = Precondition::OneOf(Vec::new());
        assert_eq!(none.require(&one), Err(PreconditionFailed));
    }

    #[test]
    fn a_precondition_in_a_list_is_about_an_object_or_about_the_list() {
        let (one, two) = (ObjectVersion::of(&["1"]), ObjectVersion::of(&["2"]));
        let list = || Ok(vec![one.clone(), two.clone()]);
        let of_one = Precondition::OneOf(vec![one.clone()]);
        assert_eq!(of_one.require_in_list(Some(&one), list), Ok(()));
        let refused: Result<(), PreconditionFailed> = Err(PreconditionFailed);
        assert_eq!(of_one.require_in_list(Some(&two), list), refused);
        assert_eq!(of_one.require_in_list(None, list), refused);
        let of_list = Precondition::OneOf(vec![ObjectVersion::of_list([&one, &two])]);
        assert_eq!(of_list.require_in_list(Some(&one), list), Ok(()));
        assert_eq!(of_list.require_in_list(None, list), Ok(()));
        let other_order = Precondition::OneOf(vec![ObjectVersion::of_list([&two, &one])]);
        assert_eq!(other_order.require_in_list(None, list), refused);
    }

    #[test]
    fn a_list_is_read_only_if_it_is_needed() {
        let unread = || -> Result<_, PreconditionFailed> { panic!("the list was read") };
        let one = ObjectVersion::of(&["1"]);
        assert_eq!(
            Precondition::Unconditional.require_in_list(None, unread),
            Ok(())
        );
        let of_one = Precondition::OneOf(vec![one.clone()]);
        assert_eq!(of_one.require_in_list(Some(&one), unread), Ok(()));
    }
}
