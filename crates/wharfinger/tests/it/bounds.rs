//! Bounds on connections that no single request shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use peers::{Server, TestCertificate, TestKeyKind};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A server with these settings beside its address, and the folder of its keys; `KEY` and
/// `CERTIFICATE` stand for theirs.
fn server(settings: &str) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: '@addr@', {settings}}}\ntoken: {{issuer: i, expiration: 900, certificate: CERTIFICATE, key: KEY}}\n\
         users: {{'': {{}}}}\nacl: []\n"
    );
    let config = config.replace("CERTIFICATE", pair.certificate.to_str().unwrap());
    (
        Server::start(
            Path::new(PROGRAM),
            &config.replace("KEY", pair.key.to_str().unwrap()),
        ),
        folder,
    )
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.host_port()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

#[test]
fn a_handshake_that_never_comes_is_dropped() {
    let (server, _folder) =
        server("limits: {request_timeout: 1s}, certificate: CERTIFICATE, key: KEY");
    let mut silent = connect(&server);
    let mut stopped = connect(&server);
    // A record that announces 512 bytes, of which six come.
    stopped
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .unwrap();
    for stream in [&mut silent, &mut stopped] {
        assert!(
            matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_)),
            "nothing is said to it"
        );
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn an_http2_connection_has_bounds() {
    let (server, _folder) = server("limits: {header: 16KiB}");
    let mut stream = connect(&server);
    // The preface and empty settings (RFC 9113 §3.4, §6.5).
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(
        (head[3], head[4]),
        (4, 0),
        "the server's settings come first"
    );
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let setting = |id: u16| {
        let found = settings
            .chunks(6)
            .find(|setting| setting[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
    };
    assert_eq!(setting(3), Some(100), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(setting(6), Some(16 * 1024), "SETTINGS_MAX_HEADER_LIST_SIZE");
}
