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

    /// The next values of an attribute of which the server sent only some: `memberOf;range=1500-*`
    /// after `memberOf;range=0-1499` (Active Directory, [MS-ADTS] §3.1.1.3.1.3.3).
    pub(crate) fn missing_range(&self) -> Option<String> {
        self.attributes.iter().find_map(|found| {
            let (_, last) = found.range()?.split_once('-')?;
            let next = last.parse::<u64>().ok()?.checked_add(1)?;
            Some(format!("{};range={next}-*", found.name()))
        })
    }

    /// Adds the values that [`missing_range`](Self::missing_range) asks for. Returns whether there
    /// were any in `entry`.
    pub(crate) fn add_range(&mut self, wanted: &str, entry: Self) -> bool {
        let Some((start, _)) = wanted.rsplit_once('-') else {
            return false;
        };
        let continues = |found: &FoundAttribute| {
            let description = found.description.rsplit_once('-');
            description.is_some_and(|(found, _)| found.eq_ignore_ascii_case(start))
        };
        let mut attributes = entry.attributes.into_iter();
        let next = attributes.find(|found| continues(found) && !found.values.is_empty());
        let Some(next) = next else { return false };
        let mut known = self.attributes.iter_mut();
        let Some(known) = known.find(|known| known.range().is_some() && known.is(next.name()))
        else {
            return false;
        };
        known.description = next.description;
        known.values.extend(next.values);
        true
    }
}

impl FoundAttribute {
    fn is(&self, attribute: &str) -> bool {
        self.name().eq_ignore_ascii_case(attribute)
    }

    /// `memberOf` of `memberOf;range=0-1499`; other options belong to the name.
    fn name(&self) -> &str {
        match self.range() {
            Some(_) => self.description.split(';').next().unwrap_or_default(),
            None => &self.description,
        }
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
        assert_eq!(entry.missing_range().as_deref(), Some("memberOf;range=2-*"));
        assert_eq!(entry.size(), 2 + 4 + 3 + 1);
    }

    #[test]
    fn ranges_are_put_together_in_their_order() {
        let mut entry = DirectoryEntry::of("cn=ann", &[("memberOf;range=0-1", &["a", "b"])]);
        let part = |range: &str, values: &[&str]| {
            let description = format!("memberof;range={range}");
            DirectoryEntry::of("cn=ann", &[("memberOf", &[]), (&description, values)])
        };
        let next = "memberOf;range=2-*";
        assert!(!entry.add_range(next, part("3-*", &["x"])), "a gap");
        assert!(!entry.add_range(next, part("2-*", &[])), "no values");
        assert!(entry.add_range(next, part("2-2", &["c"])));
        assert_eq!(entry.missing_range().as_deref(), Some("memberof;range=3-*"));
        assert!(entry.add_range("memberof;range=3-*", part("3-*", &["d"])));
        assert_eq!(entry.missing_range(), None);
        let values: Vec<_> = entry.texts("memberOf").collect();
        assert_eq!(values, ["a", "b", "c", "d"]);
    }
}
