//! `postgres://user:password@host:port/database?key=value`, percent-encoded.

use form_urlencoded::parse as parse_query;

use super::DsnError;
use crate::dsn::value::percent_decoded;

const NOT_UTF8: DsnError = DsnError::Form("a percent-encoded part of it is not UTF-8");

/// The keys that the URL stands for.
pub(super) fn parse(url: &str) -> Result<Vec<(String, String)>, DsnError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (login, address),
        None => ("", authority),
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = address_parts(address);
    let mut keys = Vec::new();
    for (key, value) in [
        ("user", user),
        ("password", password),
        ("host", host),
        ("port", port),
        ("dbname", database),
    ] {
        if !value.is_empty() {
            let value = percent_decoded(value).ok_or(NOT_UTF8)?;
            keys.push((key.to_owned(), value.into_owned()));
        }
    }
    let query = parse_query(query.as_bytes());
    keys.extend(query.map(|(key, value)| (key.into_owned(), value.into_owned())));
    Ok(keys)
}

/// The host, without the brackets of an IPv6 address, and the port.
fn address_parts(address: &str) -> (&str, &str) {
    if let Some((host, rest)) = address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return (host, rest.strip_prefix(':').unwrap_or_default());
    }
    address.rsplit_once(':').unwrap_or((address, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded_and_a_query_wins() {
        let keys = |url: &str| {
            let keys = parse(url).unwrap().into_iter();
            keys.map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            keys("postgres://bob:s%3Ac%2Fret%40@db.example.com:6432/auth?sslmode=verify-full"),
            "user=bob password=s:c/ret@ host=db.example.com port=6432 dbname=auth sslmode=verify-full"
        );
        assert_eq!(keys("postgresql://[::1]:1/db"), "host=::1 port=1 dbname=db");
        assert_eq!(
            keys("postgres://h/db?host=/run/pg&a=b+c"),
            "host=h dbname=db host=/run/pg a=b c"
        );
        assert_eq!(keys("postgres://"), "");
        assert!(parse("postgres://%ff@h/db").is_err());
    }
}
