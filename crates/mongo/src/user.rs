//! The document of a user, as `docker_auth` reads it:
//! `{"username": "ann", "password": "$2b$…", "labels": {"group": ["dev"]}}`.

use mongodb::bson::{Bson, Document};
use policy::Labels;

/// What a document says of a user.
#[derive(PartialEq)]
pub(crate) struct UserDocument {
    /// `None`: any password is accepted.
    pub(crate) password: Option<String>,
    /// Read after the password was verified, because what is wrong there concerns only this user.
    pub(crate) labels: Option<Bson>,
}

/// Labels, and which of them were no lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UserLabels {
    pub(crate) labels: Labels,
    /// The names of labels with one text instead of a list.
    pub(crate) lone: Vec<String>,
}

/// What is wrong with a document. The values are not repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserDocumentError {
    #[error("`{0}` is there twice, in two spellings")]
    Repeated(&'static str),
    #[error("`password` is not a text")]
    Password,
    #[error("`labels` is not an object of lists of texts: write {{\"group\": [\"dev\"]}}")]
    Labels,
    #[error("`labels.{0}` is not a list of texts")]
    Label(String),
}

impl UserDocument {
    pub(crate) fn read(document: &Document) -> Result<Self, UserDocumentError> {
        let password = match field(document, "password")? {
            None => None,
            Some(Bson::String(password)) => Some(password.clone()),
            Some(_) => return Err(UserDocumentError::Password),
        };
        let labels = field(document, "labels")?.cloned();
        Ok(Self { password, labels })
    }

    pub(crate) fn labels(&self) -> Result<UserLabels, UserDocumentError> {
        let labels = match &self.labels {
            None => return Ok(UserLabels::default()),
            Some(Bson::Document(labels)) => labels,
            Some(_) => return Err(UserDocumentError::Labels),
        };
        let mut read = UserLabels::default();
        for (name, values) in labels {
            let wrong = || UserDocumentError::Label(name.clone());
            let texts = match values {
                Bson::Null => Vec::new(),
                Bson::String(text) => {
                    read.lone.push(name.clone());
                    vec![text.clone()]
                }
                Bson::Array(values) => {
                    let texts = values.iter().map(|value| value.as_str().map(str::to_owned));
                    texts.collect::<Option<_>>().ok_or_else(wrong)?
                }
                _ => return Err(wrong()),
            };
            read.labels.insert(name.clone(), texts);
        }
        Ok(read)
    }
}

/// The field `name`, in whatever case: Go's driver reads `Password`, too, and without its
/// password, an account takes any. `null` is absent.
fn field<'a>(
    document: &'a Document,
    name: &'static str,
) -> Result<Option<&'a Bson>, UserDocumentError> {
    let mut found = document
        .iter()
        .filter(|(key, _)| key.to_lowercase() == name);
    let first = found.next().map(|(_, value)| value);
    if found.next().is_some() {
        return Err(UserDocumentError::Repeated(name));
    }
    Ok(first.filter(|value| **value != Bson::Null))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn labels(document: &Document) -> Result<UserLabels, UserDocumentError> {
        UserDocument::read(document).and_then(|user| user.labels())
    }

    #[test]
    fn a_password_is_found_in_any_case_and_never_overlooked() {
        for (document, expected) in [
            (doc! {"password": "$2b$"}, Ok(Some("$2b$".to_owned()))),
            (doc! {"PassWord": "$2b$"}, Ok(Some("$2b$".to_owned()))),
            (doc! {"password": ""}, Ok(Some(String::new()))),
            (doc! {"password": null}, Ok(None)),
            (doc! {}, Ok(None)),
            (doc! {"password": 5}, Err(UserDocumentError::Password)),
            (
                doc! {"password": ["$2b$"]},
                Err(UserDocumentError::Password),
            ),
            (
                doc! {"password": "$2b$", "Password": null},
                Err(UserDocumentError::Repeated("password")),
            ),
        ] {
            let found = UserDocument::read(&document).map(|user| user.password);
            assert_eq!(found, expected, "{document}");
        }
    }

    #[test]
    fn labels_are_lists_and_a_lone_text_is_one() {
        let read = labels(&doc! {"Labels": {"group": ["a", "b"], "team": "red", "none": null}});
        let read = read.unwrap();
        assert_eq!(read.lone, ["team"]);
        assert_eq!(read.labels["group"], ["a", "b"]);
        assert_eq!(read.labels["team"], ["red"]);
        assert!(read.labels["none"].is_empty());
        assert_eq!(labels(&doc! {"labels": null}), Ok(UserLabels::default()));
    }

    #[test]
    fn labels_of_another_form_are_named() {
        for (document, expected) in [
            (doc! {"labels": 5}, UserDocumentError::Labels),
            (doc! {"labels": ["a"]}, UserDocumentError::Labels),
            (
                doc! {"labels": {"group": 5}},
                UserDocumentError::Label("group".into()),
            ),
            (
                doc! {"labels": {"group": ["a", 5]}},
                UserDocumentError::Label("group".into()),
            ),
            (
                doc! {"labels": {"group": {"a": "b"}}},
                UserDocumentError::Label("group".into()),
            ),
        ] {
            assert_eq!(labels(&document), Err(expected), "{document}");
        }
    }
}
