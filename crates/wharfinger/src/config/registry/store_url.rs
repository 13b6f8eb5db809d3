//! The URL of a store, without a path.

/// Whether the host of a URL is this machine.
pub(super) fn is_this_machine(url: &str) -> bool {
    let uri = url.parse::<http::Uri>().ok();
    uri.as_ref().and_then(http::Uri::host).is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// The endpoint as a URL without a path.
pub(super) fn store_url(text: &str, secure: bool) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let url = match text.split_once("://") {
        Some(("http" | "https", _)) => text.to_owned(),
        Some(_) => return Err("must begin with https:// or http://".to_owned()),
        None if secure => format!("https://{text}"),
        None => format!("http://{text}"),
    };
    let uri: http::Uri = url.parse().map_err(|_| "not a URL")?;
    if uri.path() != "/" || uri.query().is_some() {
        return Err("must be a URL without a path; the bucket is in `bucket`".to_owned());
    }
    Ok(url)
}
