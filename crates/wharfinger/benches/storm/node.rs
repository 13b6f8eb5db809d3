//! What one client does: a node pulls, a CI job pushes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::connection::{Answered, Connection, Tls};
use crate::image::{Image, MANIFEST};
use crate::stack::{SERVICE, Stack};

/// The repository that every node pulls from.
const REPOSITORY: &str = "fleet/app";
/// How many layers docker and containerd fetch at once over HTTP/1.1.
const LANES: usize = 3;

/// Pulls the image as a node does. Returns how long its token took.
pub(crate) async fn pull(
    stack: &Stack,
    tls: &Tls,
    image: &Image,
    login: bool,
    http2: bool,
) -> Result<Duration, String> {
    let mut registry = Connection::open(stack.registry(), tls, http2).await?;
    let ping = registry
        .send(Method::GET, "/v2/", &[], Bytes::new())
        .await?;
    expect(&ping, StatusCode::UNAUTHORIZED, "ping")?;
    let account = login.then_some("nodes");
    let (bearer, time) = token(stack, tls, account, REPOSITORY, "pull", http2).await?;
    let headers = [("Authorization", bearer.as_str()), ("Accept", MANIFEST)];
    for reference in ["latest".to_owned(), image.digest().to_string()] {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        let manifest = registry
            .send(Method::GET, &path, &headers, Bytes::new())
            .await?;
        expect(&manifest, StatusCode::OK, &path)?;
        if manifest.body() != &image.manifest {
            return Err(format!("{path}: other bytes"));
        }
    }
    fetch(&mut registry, &bearer, image, 0).await?;
    let layers: Vec<usize> = (1..image.blobs.len()).collect();
    if http2 {
        let all = layers.into_iter().map(|layer| {
            let connection = registry.another();
            let bearer = &bearer;
            async move {
                let mut connection = connection.ok_or("not HTTP/2")?;
                fetch(&mut connection, bearer, image, layer).await
            }
        });
        join(all).await?;
    } else {
        let lanes = (0..LANES).map(|lane| {
            let mine: Vec<usize> = layers.iter().copied().skip(lane).step_by(LANES).collect();
            let bearer = &bearer;
            async move {
                let mut connection = Connection::open(stack.registry(), tls, false).await?;
                for layer in mine {
                    fetch(&mut connection, bearer, image, layer).await?;
                }
                Ok(())
            }
        });
        join(lanes).await?;
    }
    Ok(time)
}

/// Pushes an image as a CI job does. Returns how long its token took.
pub(crate) async fn push(
    stack: &Stack,
    tls: &Tls,
    repository: &str,
    tag: &str,
    image: &Image,
) -> Result<Duration, String> {
    let (bearer, time) = token(stack, tls, Some("ci"), repository, "pull,push", false).await?;
    let mut registry = Connection::open(stack.registry(), tls, false).await?;
    let authorization = ("Authorization", bearer.as_str());
    for (digest, bytes) in &image.blobs {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = registry
            .send(Method::POST, &path, &[authorization], Bytes::new())
            .await?;
        expect(&begun, StatusCode::ACCEPTED, &path)?;
        let location = begun.headers()["location"].to_str().unwrap();
        let path = match location.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/').unwrap()..],
            None => location,
        };
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={digest}");
        let put = registry
            .send(Method::PUT, &path, &[authorization], bytes.clone())
            .await?;
        expect(&put, StatusCode::CREATED, &path)?;
    }
    let path = format!("/v2/{repository}/manifests/{tag}");
    let headers = [authorization, ("Content-Type", MANIFEST)];
    let put = registry
        .send(Method::PUT, &path, &headers, image.manifest.clone())
        .await?;
    expect(&put, StatusCode::CREATED, &path)?;
    Ok(time)
}

/// Fetches one blob and compares its bytes.
async fn fetch(
    connection: &mut Connection,
    bearer: &str,
    image: &Image,
    place: usize,
) -> Result<(), String> {
    let (digest, bytes) = &image.blobs[place];
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let headers = [("Authorization", bearer)];
    let blob = connection
        .send(Method::GET, &path, &headers, Bytes::new())
        .await?;
    expect(&blob, StatusCode::OK, &path)?;
    if blob.body() == bytes {
        Ok(())
    } else {
        Err(format!("{path}: other bytes"))
    }
}

/// Asks for a token over a new connection, with a password if there is an account. Returns the
/// value of `Authorization` and the time that it took.
async fn token(
    stack: &Stack,
    tls: &Tls,
    account: Option<&str>,
    repository: &str,
    actions: &str,
    http2: bool,
) -> Result<(String, Duration), String> {
    let began = Instant::now();
    let http2 = http2 && stack.token_server_speaks_http2();
    let mut connection = Connection::open(stack.token_server(), tls, http2).await?;
    let path = format!("/auth?service={SERVICE}&scope=repository:{repository}:{actions}");
    let basic = account.map(|account| {
        let pair = data_encoding::BASE64.encode(format!("{account}:secret").as_bytes());
        format!("Basic {pair}")
    });
    let headers: Vec<(&str, &str)> = basic
        .iter()
        .map(|basic| ("Authorization", basic.as_str()))
        .collect();
    let response = connection
        .send(Method::GET, &path, &headers, Bytes::new())
        .await?;
    expect(&response, StatusCode::OK, &path)?;
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    let token = body["token"].as_str().unwrap();
    Ok((format!("Bearer {token}"), began.elapsed()))
}

fn expect(response: &Answered, status: StatusCode, what: &str) -> Result<(), String> {
    if response.status() == status {
        return Ok(());
    }
    let body = String::from_utf8_lossy(response.body());
    Err(format!("{what}: {} {body}", response.status()))
}

/// Waits for all; returns the first error.
async fn join<F>(futures: impl Iterator<Item = F>) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let mut futures: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(move |context| {
        for slot in &mut futures {
            let Some(future) = slot else { continue };
            if let std::task::Poll::Ready(result) = future.as_mut().poll(context) {
                *slot = None;
                if let Err(error) = result {
                    return std::task::Poll::Ready(Err(error));
                }
            }
        }
        if futures.iter().all(Option::is_none) {
            std::task::Poll::Ready(Ok(()))
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
