//! Where the content of an upload is, as its row keeps it.

use serde_json::{Value, json};
use storage::UploadObjects;

use crate::names::multipart_name;

/// Where the content of an upload is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum StoredUpload {
    /// Nothing is stored.
    #[default]
    Empty,
    /// All of it is one object.
    Object { key: String, length: u64 },
    /// It is the parts of a multipart upload.
    Parts(MultipartUpload),
}

/// A multipart upload that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MultipartUpload {
    pub(crate) key: String,
    pub(crate) id: String,
    /// The length of each part but the last, in bytes.
    pub(crate) part: u64,
    /// What the store returned for each part.
    pub(crate) etags: Vec<String>,
    /// The length of the last part, in bytes.
    pub(crate) end: u64,
}

impl MultipartUpload {
    /// The length of all parts.
    pub(crate) fn length(&self) -> u64 {
        let whole = u64::try_from(self.etags.len()).unwrap_or(u64::MAX);
        whole.saturating_sub(1).saturating_mul(self.part) + self.end
    }

    /// Whether the last part is as long as the others, so that another one can follow.
    pub(crate) fn is_aligned(&self) -> bool {
        self.end == self.part
    }
}

impl StoredUpload {
    /// How much is stored, in bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Object { length, .. } => *length,
            Self::Parts(parts) => parts.length(),
        }
    }

    /// What a row has. `None` if it is not valid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Empty);
        }
        let value: Value = serde_json::from_str(text).ok()?;
        let key = value.get("key")?.as_str()?.to_owned();
        let Some(id) = value.get("id") else {
            let length = value.get("length")?.as_u64()?;
            return Some(Self::Object { key, length });
        };
        let etags = value.get("etags")?.as_array()?.iter();
        Some(Self::Parts(MultipartUpload {
            key,
            id: id.as_str()?.to_owned(),
            part: value.get("part")?.as_u64()?,
            etags: etags
                .map(|etag| etag.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            end: value.get("end")?.as_u64()?,
        }))
    }

    fn to_text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Object { key, length } => json!({ "key": key, "length": length }).to_string(),
            Self::Parts(MultipartUpload {
                key,
                id,
                part,
                etags,
                end,
            }) => json!({ "key": key, "id": id, "part": part, "etags": etags, "end": end })
                .to_string(),
        }
    }

    /// The key that the blob gets if no more content comes.
    fn key(&self) -> Option<&str> {
        match self {
            Self::Empty => None,
            Self::Object { key, .. } | Self::Parts(MultipartUpload { key, .. }) => Some(key),
        }
    }

    /// What the row keeps, with the names of all that is stored and of `more`.
    pub(crate) fn to_objects(&self, more: &[String]) -> UploadObjects {
        let mut names: Vec<String> = self.key().map(str::to_owned).into_iter().collect();
        if let Self::Parts(parts) = self {
            names.push(multipart_name(&parts.key, &parts.id));
        }
        for name in more {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        UploadObjects {
            key: self.key().map(str::to_owned),
            names,
            state: self.to_text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back() {
        let parts = MultipartUpload {
            key: "blobs/ab/abcd".to_owned(),
            id: "an id".to_owned(),
            part: 5,
            etags: vec!["\"1\"".to_owned(), "\"2\"".to_owned()],
            end: 3,
        };
        assert_eq!((parts.length(), parts.is_aligned()), (8, false));
        let object = StoredUpload::Object {
            key: "blobs/ab/abcd".to_owned(),
            length: 7,
        };
        for state in [StoredUpload::Empty, object, StoredUpload::Parts(parts)] {
            let objects = state.to_objects(&["spare".to_owned()]);
            assert_eq!(StoredUpload::parse(&objects.state), Some(state));
            assert_eq!(objects.names.last().unwrap(), "spare");
        }
        for invalid in ["{", "{}", r#"{"key":"k"}"#, r#"{"key":"k","id":1}"#] {
            assert_eq!(StoredUpload::parse(invalid), None);
        }
    }
}
