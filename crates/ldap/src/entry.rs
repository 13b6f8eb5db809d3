//! An entry that a search found.

use ldap3::ResultEntry;
use ldap3::asn1::StructureTag;

/// An entry: its distinguished name, and the attributes that were asked for.
#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    /// Its distinguished name.
    pub(crate) name: String,
    attributes: Vec<FoundAttribute>,
}

#[derive(Debug)]
struct FoundAttribute {
    /// As the server spells it, with its options: `memberOf;range=0-1499`.
    description: String,
    values: Vec<Vec<u8>>,
}

impl DirectoryEntry {
    /// Reads a `SearchResultEntry` (RFC 4511 §4.5.2). `None` if it is not one. The library's own
    /// reader panics then.
    pub(crate) fn read(entry: ResultEntry) -> Option<Self> {
        let mut parts = entry.0.expect_constructed()?.into_iter();
        let name = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let description = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
            let values = parts.next()?.expect_constructed()?.into_iter();
            attributes.push(FoundAttribute {
                description,
                values: values
                    .map(StructureTag::expect_primitive)
                    .collect::<Option<_>>()?,
            });
        }
        Some(Self { name, attributes })
    }

    /// How many bytes its values have.
    pub(crate) fn size(&self) -> usize {
        let values = self.attributes.iter().flat_map(|it| &it.values);
        values.map(Vec::len).sum()
    }

    /// The values of an attribute in the server's order. Names of attributes have no case (RFC 4512
    /// §2.5), and the option `range`, which Active Directory adds, is not part of the name.
    pub(crate) fn values(&self, attribute: &str) -> impl Iterator<Item = &[u8]> {
        let found = self
            .attributes
            .iter()
            .filter(move |found| found.is(attribute));
        found.flat_map(|found| found.values.iter().map(Vec::as_slice))
    }

    /// The values of an attribute that are texts.
    pub(crate) fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether the server sent only some of the values of an attribute (`memberOf;range=0-1499`).
    pub(crate) fn is_partial(&self, attribute: &str) -> bool {
        let range = |found: &FoundAttribute| {
            let range = found.range();
            range.is_some_and(|range| !range.ends_with('*'))
        };
        let mut found = self.attributes.iter();
        found.any(|found| found.is(attribute) && range(found))
    }
}

impl FoundAttribute {
    fn is(&self, attribute: &str) -> bool {
        let name = match self.range() {
            Some(_) => self.description.split(';').next().unwrap_or_default(),
            None => &self.description,
        };
        name.eq_ignore_ascii_case(attribute)
    }

    /// `0-1499` of `memberOf;range=0-1499`.
    fn range(&self) -> Option<&str> {
        let (_, option) = self.description.split_once(';')?;
        option.strip_prefix("range=")
    }
}

#[cfg(test)]
impl DirectoryEntry {
    /// An entry with these values.
    pub(crate) fn of(name: &str, attributes: &[(&str, &[&str])]) -> Self {
        let attributes = attributes
            .iter()
            .map(|(description, values)| FoundAttribute {
                description: (*description).to_owned(),
                values: values
                    .iter()
                    .map(|value| value.as_bytes().to_vec())
                    .collect(),
            });
        Self {
            name: name.to_owned(),
            attributes: attributes.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_without_case_and_with_a_range() {
        let entry = DirectoryEntry::of(
            "cn=ann",
            &[
                ("memberOf;range=0-1", &["a", "b"]),
                ("cn;lang-de", &["Anna"]),
                ("CN", &["Ann"]),
                ("mail;range=0-*", &["m"]),
            ],
        );
        let texts = |attribute| entry.texts(attribute).collect::<Vec<_>>();
        assert_eq!(texts("memberof"), ["a", "b"]);
        assert_eq!(texts("cn"), ["Ann"]);
        assert_eq!(texts("cn;LANG-de"), ["Anna"]);
        assert_eq!(texts("member"), [""; 0]);
        assert!(entry.is_partial("memberOf") && !entry.is_partial("mail"));
        assert_eq!(entry.size(), 2 + 4 + 3 + 1);
    }
}
