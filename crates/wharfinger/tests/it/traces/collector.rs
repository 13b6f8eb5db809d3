//! A collector of traces: it takes OTLP over HTTP, and reads the Protocol Buffers with code of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running collector. It ends with the tests.
pub(super) struct Collector {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<CollectorRequest>>>,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub(super) struct CollectorRequest {
    pub(super) path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A span that it got.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) resource: Vec<(String, String)>,
    pub(super) trace_id: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) state: String,
    pub(super) name: String,
    pub(super) kind: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
    attributes: Vec<(String, String)>,
}

impl Collector {
    pub(super) fn start() -> Self {
        Self::answering("200 OK")
    }

    /// It answers everything with this status.
    pub(super) fn answering(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(request) = answer(stream, status) {
                    kept.lock().unwrap().push(request);
                }
            }
        });
        Self { address, requests }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<CollectorRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// The spans so far, when they are enough.
    pub(super) fn wait_for(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        for _ in 0..200 {
            let requests = self.requests();
            let spans: Vec<_> = requests.iter().flat_map(|it| spans(&it.body)).collect();
            if enough(&spans) {
                return spans;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("too few spans: {:#?}", self.requests());
    }
}

impl CollectorRequest {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Span {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

fn answer(stream: TcpStream, status: &str) -> Option<CollectorRequest> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length?.1.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.get_mut().write_all(response.as_bytes()).ok()?;
    Some(CollectorRequest {
        path,
        headers,
        body,
    })
}

/// A value on the wire.
#[derive(Clone, Debug)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message (Protocol Buffers, "Encoding").
fn fields(mut bytes: &[u8]) -> Vec<(u64, Wire<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)),
            1 => Wire::Number(fixed(&mut bytes, 8)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Wire::Bytes(value)
            }
            5 => Wire::Number(fixed(&mut bytes, 4)),
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn fixed(bytes: &mut &[u8], length: usize) -> u64 {
    let (value, rest) = bytes.split_at(length);
    *bytes = rest;
    let mut whole = [0; 8];
    whole[..length].copy_from_slice(value);
    u64::from_le_bytes(whole)
}

/// The messages in a field.
fn messages(bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let found = fields(bytes)
        .into_iter()
        .filter(|(number, _)| *number == field);
    let found = found.map(|(_, value)| match value {
        Wire::Bytes(bytes) => bytes,
        Wire::Number(number) => panic!("{number} instead of a message"),
    });
    found.collect()
}

fn number(bytes: &[u8], field: u64) -> u64 {
    let found = fields(bytes)
        .into_iter()
        .find(|(number, _)| *number == field);
    match found {
        Some((_, Wire::Number(number))) => number,
        _ => 0,
    }
}

fn text(bytes: &[u8], field: u64) -> String {
    let found = messages(bytes, field);
    String::from_utf8(found.first().copied().unwrap_or_default().to_vec()).unwrap()
}

fn hex(bytes: &[u8], field: u64) -> String {
    let found = messages(bytes, field);
    data_encoding::HEXLOWER.encode(found.first().copied().unwrap_or_default())
}

/// `KeyValue`s, with their values as texts.
fn attributes(bytes: &[u8], field: u64) -> Vec<(String, String)> {
    let pairs = messages(bytes, field).into_iter();
    let pairs = pairs.map(|pair| {
        let value = messages(pair, 2)[0];
        let shown = match &fields(value)[0] {
            (1, Wire::Bytes(text)) => String::from_utf8(text.to_vec()).unwrap(),
            (2, Wire::Number(flag)) => (*flag == 1).to_string(),
            (3, Wire::Number(number)) => number.cast_signed().to_string(),
            other => panic!("{other:?}"),
        };
        (text(pair, 1), shown)
    });
    pairs.collect()
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in messages(body, 1) {
        let resource = attributes(messages(of_resource, 1)[0], 1);
        for of_scope in messages(of_resource, 2) {
            for span in messages(of_scope, 2) {
                spans.push(Span {
                    resource: resource.clone(),
                    trace_id: hex(span, 1),
                    id: hex(span, 2),
                    state: text(span, 3),
                    parent: hex(span, 4),
                    name: text(span, 5),
                    kind: number(span, 6),
                    begin: number(span, 7),
                    end: number(span, 8),
                    attributes: attributes(span, 9),
                });
            }
        }
    }
    spans
}
