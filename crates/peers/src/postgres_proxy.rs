//! A proxy in front of PostgreSQL that holds back a statement, or what the server says to it.
//!
//! It reads the messages of the protocol (PostgreSQL's manual, "Message Formats") without TLS. A client
//! prepares a statement once and then names it, so the proxy remembers the texts of each connection.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::Breakpoint;

/// The proxy.
#[derive(Debug)]
pub struct PostgresProxy {
    port: u16,
    state: Arc<PostgresProxyState>,
}

#[derive(Debug)]
struct PostgresProxyState {
    to: Mutex<u16>,
    held: Mutex<Vec<HeldStatement>>,
}

/// A statement that is held when it is next run.
#[derive(Debug)]
struct HeldStatement {
    /// Its text contains this.
    text: String,
    message: HeldMessage,
    breakpoint: Breakpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldMessage {
    /// The server does not see the statement yet.
    Statement,
    /// The server has run and committed it, and the client does not know.
    Answer,
}

/// The breakpoint of the next answer on a connection.
type NextAnswer = Arc<Mutex<Option<Breakpoint>>>;

impl PostgresProxy {
    /// A proxy to the server at `port` on 127.0.0.1.
    #[must_use]
    pub fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port to listen on");
        let address = listener.local_addr().expect("the listener's own address");
        let state = Arc::new(PostgresProxyState {
            to: Mutex::new(port),
            held: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.connect(client));
            }
        });
        Self {
            port: address.port(),
            state,
        }
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on, connects to another server. Open connections stay.
    pub fn redirect(&self, port: u16) {
        *self.state.to.lock().unwrap() = port;
    }

    /// Holds the next statement that contains `text` before the server sees it.
    #[must_use]
    pub fn hold_statement(&self, text: &str) -> Breakpoint {
        self.hold(text, HeldMessage::Statement)
    }

    /// Holds the answer to the next statement that contains `text`, which the server has run by itself
    /// and committed.
    #[must_use]
    pub fn hold_answer(&self, text: &str) -> Breakpoint {
        self.hold(text, HeldMessage::Answer)
    }

    fn hold(&self, text: &str, message: HeldMessage) -> Breakpoint {
        let breakpoint = Breakpoint::default();
        self.state.held.lock().unwrap().push(HeldStatement {
            text: text.to_owned(),
            message,
            breakpoint: breakpoint.clone(),
        });
        breakpoint
    }

    /// Holds nothing that has not come yet.
    pub fn hold_nothing(&self) {
        self.state.held.lock().unwrap().clear();
    }
}

impl PostgresProxyState {
    fn connect(self: Arc<Self>, mut client: TcpStream) -> Option<()> {
        let to = *self.to.lock().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", to)).ok()?;
        let next = NextAnswer::default();
        let (from, back) = (server.try_clone().ok()?, client.try_clone().ok()?);
        let answers = Arc::clone(&next);
        thread::spawn(move || {
            forward_answers(from, back, &answers);
        });
        self.forward_statements(&mut client, &mut server, &next);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        Some(())
    }

    fn forward_statements(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        next: &NextAnswer,
    ) -> Option<()> {
        // The first message has no type.
        let first = read_rest(client, Vec::new())?;
        server.write_all(&first).ok()?;
        let mut texts: HashMap<String, String> = HashMap::new();
        loop {
            let message = read_message(client)?;
            let mut strings = message[5..].split(|&byte| byte == 0);
            let mut string = || Some(String::from_utf8_lossy(strings.next()?).into_owned());
            let text = match message[0] {
                // Parse: the name of a statement, and its text.
                b'P' => {
                    texts.insert(string()?, string()?);
                    None
                }
                // Bind: the name of a portal, and of its statement.
                b'B' => {
                    let _portal = string()?;
                    texts.get(&string()?).cloned()
                }
                // Query: a text.
                b'Q' => string(),
                _ => None,
            };
            if let Some(held) = text.and_then(|text| self.held(&text)) {
                match held.message {
                    HeldMessage::Statement if !held.breakpoint.hold() => return None,
                    HeldMessage::Statement => {}
                    HeldMessage::Answer => *next.lock().unwrap() = Some(held.breakpoint),
                }
            }
            server.write_all(&message).ok()?;
        }
    }

    fn held(&self, text: &str) -> Option<HeldStatement> {
        let mut held = self.held.lock().unwrap();
        let place = held.iter().position(|held| text.contains(&held.text))?;
        Some(held.remove(place))
    }
}

fn forward_answers(mut server: TcpStream, mut client: TcpStream, next: &NextAnswer) -> Option<()> {
    let mut kept = Vec::new();
    let ended = loop {
        let Some(message) = read_message(&mut server) else {
            break None;
        };
        let is_ready = message[0] == b'Z';
        kept.extend(message);
        // A held answer is complete, and its transaction ended, with ReadyForQuery.
        let held = next.lock().unwrap().is_some();
        if held && !is_ready {
            continue;
        }
        let breakpoint = next.lock().unwrap().take();
        if breakpoint.is_some_and(|breakpoint| !breakpoint.hold()) {
            break None;
        }
        if client.write_all(&kept).is_err() {
            break None;
        }
        kept.clear();
    };
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    ended
}

/// A message with its type.
fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    read_rest(stream, kind.to_vec())
}

/// A length, which counts itself, and what follows.
fn read_rest(stream: &mut TcpStream, mut message: Vec<u8>) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    message.extend(length);
    let rest = u32::from_be_bytes(length).checked_sub(4)?;
    let taken = stream.take(rest.into()).read_to_end(&mut message).ok()?;
    (taken == rest as usize).then_some(message)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{Postgres, program, run};

    #[test]
    fn it_holds_a_statement_and_the_answer_to_one() {
        let postgres = Postgres::start();
        postgres.run(
            "postgres",
            "CREATE ROLE ann LOGIN SUPERUSER PASSWORD 'sesame'; CREATE TABLE t (n int)",
        );
        let proxy = PostgresProxy::start(postgres.port());
        let (port, options) = (proxy.port(), "sslmode=disable gssencmode=disable");
        let location = format!(
            "host=127.0.0.1 port={port} user=ann password=sesame dbname=postgres {options}"
        );
        let insert = |number: u32| {
            let (location, sql) = (location.clone(), format!("INSERT INTO t VALUES ({number})"));
            thread::spawn(move || {
                let mut psql = Command::new(program("psql"));
                run(psql.args(["--dbname", &location, "--command", &sql]))
            })
        };
        let count = || postgres.run("postgres", "SELECT count(*) FROM t");
        assert!(insert(1).join().unwrap().status.success());
        let held = proxy.hold_statement("VALUES (2)");
        let inserted = insert(2);
        held.wait_until_reached();
        assert_eq!(count().trim(), "1");
        held.resume();
        assert!(inserted.join().unwrap().status.success());
        let held = proxy.hold_answer("VALUES (3)");
        let inserted = insert(3);
        held.wait_until_reached();
        assert_eq!(count().trim(), "3");
        held.discard();
        assert!(!inserted.join().unwrap().status.success());
        let _ = proxy.hold_statement("VALUES (4)");
        proxy.hold_nothing();
        assert!(insert(4).join().unwrap().status.success());
    }
}
