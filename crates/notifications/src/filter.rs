//! Which notifications an endpoint wants.

use crate::NotificationAction;

/// What an endpoint does not get (`ignore` and `ignoredmediatypes`): a notification that either list
/// names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationFilter {
    /// Media types of targets. Deletions have none.
    pub ignored_media_types: Vec<String>,
    /// Actions.
    pub ignored_actions: Vec<NotificationAction>,
}

impl NotificationFilter {
    /// Whether the endpoint gets a notification with this action and media type.
    #[must_use]
    pub fn accepts(&self, action: NotificationAction, media_type: &str) -> bool {
        let is_ignored = |ignored: &String| ignored == media_type;
        !self.ignored_actions.contains(&action) && !self.ignored_media_types.iter().any(is_ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_list_is_enough() {
        use NotificationAction::{Delete, Pull, Push};
        let filter = NotificationFilter {
            ignored_media_types: vec!["application/octet-stream".to_owned()],
            ignored_actions: vec![Pull],
        };
        for (action, media_type, expected) in [
            (Push, "application/vnd.oci.image.manifest.v1+json", true),
            (Pull, "application/vnd.oci.image.manifest.v1+json", false),
            (Push, "application/octet-stream", false),
            // Media types are compared as they are written, as Distribution does.
            (Push, "application/octet-Stream", true),
            (Delete, "", true),
        ] {
            assert_eq!(
                filter.accepts(action, media_type),
                expected,
                "{action:?} {media_type}"
            );
            assert!(NotificationFilter::default().accepts(action, media_type));
        }
    }
}
