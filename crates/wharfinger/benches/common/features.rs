//! Features that do more for each request, to see what they cost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::thread;

/// A feature that a configuration turns on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
    /// Keys of `server`, each with a comma behind it.
    pub(crate) server: &'static str,
    /// More sections of the configuration.
    sections: Sections,
}

#[derive(Debug, PartialEq, Eq)]
enum Sections {
    None,
    Audit,
    Notifications,
    /// Those of all features.
    All,
}

/// Every one.
pub(crate) static FEATURES: [Feature; 4] = [
    Feature {
        name: "audit",
        server: "",
        sections: Sections::Audit,
    },
    Feature {
        name: "metrics",
        server: METRICS,
        sections: Sections::None,
    },
    Feature {
        name: "notifications",
        server: "",
        sections: Sections::Notifications,
    },
    Feature {
        name: "all three",
        server: METRICS,
        sections: Sections::All,
    },
];

const METRICS: &str = "metrics: {token: \"0123456789abcdef\"}, ";
const AUDIT: &str = "audit: {}\n";

impl Feature {
    /// The sections of the configuration.
    pub(crate) fn sections(&self) -> String {
        match self.sections {
            Sections::None => String::new(),
            Sections::Audit => AUDIT.to_owned(),
            Sections::Notifications => notifications(),
            Sections::All => AUDIT.to_owned() + &notifications(),
        }
    }
}

fn notifications() -> String {
    static RECEIVER: OnceLock<SocketAddr> = OnceLock::new();
    let receiver = RECEIVER.get_or_init(start_receiver);
    format!("notifications: {{endpoints: [{{name: bench, url: 'http://{receiver}/'}}]}}\n")
}

/// Starts a server that accepts whatever it is told, beside the load.
fn start_receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || while accept_request(&connection).is_some() {});
        }
    });
    address
}

/// Reads a request and accepts it. `None` at the end of the connection.
fn accept_request(mut connection: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    connection
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .ok()
}
