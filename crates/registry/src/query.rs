//! A request's parameters.

use form_urlencoded::{Serializer, parse};

/// The decoded `name=value` pairs of a query, in their order.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        Self(
            parse(query.unwrap_or_default().as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of `name`, unless it is empty.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        let value = self
            .0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// Every value of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `path` with these parameters behind it.
pub(crate) fn with_parameters(path: &str, parameters: &[(&str, &str)]) -> String {
    Serializer::for_suffix(format!("{path}?"), path.len() + 1)
        .extend_pairs(parameters)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_encoded() {
        let query = Query::parse(Some("tag=1&tag=a%2Fb&last=&n=5"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["1", "a/b"]);
        assert_eq!(
            (query.first("n"), query.first("last"), query.first("x")),
            (Some("5"), None, None)
        );
        assert_eq!(
            with_parameters("/v2/_catalog", &[("n", "5"), ("last", "a/b")]),
            "/v2/_catalog?n=5&last=a%2Fb"
        );
    }
}
