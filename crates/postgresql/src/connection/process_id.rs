//! The process of the server that a connection was announced as.
//!
//! A server announces its own process. A pooler gives each client an invented one, and other
//! processes answer. So a difference tells that there is a pooler *before* a statement with a name
//! could meet a statement of the same name of another client.

use std::convert::Infallible;
use std::future::{Ready, ready};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_postgres::Client;
use tokio_postgres::tls::TlsConnect;

use crate::bound_stream::BoundStream;

/// The id in a request to cancel, which is made here and sent nowhere.
pub(super) async fn announced(client: &Client) -> Option<i32> {
    let (near, mut far) = tokio::io::duplex(64);
    // The answer to a request for TLS, which is made if the connection has it.
    far.write_all(b"S").await.ok()?;
    client
        .cancel_token()
        .cancel_query_raw(near, WithoutTls)
        .await
        .ok()?;
    let mut request = Vec::new();
    far.read_to_end(&mut request).await.ok()?;
    // A length, a code, the process, a secret key: four bytes each.
    let request = request.last_chunk::<16>()?;
    Some(i32::from_be_bytes(*request[8..].first_chunk()?))
}

/// Takes a stream for a protected one.
struct WithoutTls;

impl TlsConnect<DuplexStream> for WithoutTls {
    type Stream = BoundStream<DuplexStream>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Stream, Infallible>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(BoundStream::new(stream, None)))
    }
}
