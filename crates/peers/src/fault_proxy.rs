//! A reverse proxy that fails as networks and servers do, and counts requests.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::Breakpoint;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is forwarded after a while.
    Delay(Duration),
    /// It is not forwarded, and the connection is closed.
    Cut,
    /// The answer is cut after so many bytes of its body.
    CutAnswer(usize),
    /// It is not forwarded, and this is the status of the answer.
    Status(u16),
    /// It is forwarded, and the connection is closed instead of an answer.
    LoseAnswer,
    /// It is not forwarded. The answer has status 200 and an error in its body, as S3 answers when
    /// the completion of an upload fails late.
    ErrorWithin200,
    /// It is forwarded, and the answer loses this header.
    WithoutHeader(&'static str),
    /// It is held before it is forwarded.
    Hold(Breakpoint),
    /// It is forwarded, and the answer is held.
    HoldAnswer(Breakpoint),
}

/// The proxy. Each connection carries one request.
#[derive(Debug)]
pub struct FaultProxy {
    address: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    to: Mutex<String>,
    seen: Mutex<Vec<String>>,
    /// For which requests faults are, and how many of those are forwarded before.
    faults: Mutex<VecDeque<(String, usize, Fault)>>,
    /// What happens to every request.
    outage: Mutex<Option<Fault>>,
}

impl FaultProxy {
    /// A proxy that forwards to `to` (`HOST:PORT`).
    #[must_use]
    pub fn start(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port to listen on");
        let address = listener.local_addr().expect("the listener's own address");
        let state = Arc::new(State {
            to: Mutex::new(to.to_owned()),
            seen: Mutex::default(),
            faults: Mutex::default(),
            outage: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                thread::spawn(move || state.serve(client));
            }
        });
        Self {
            address: address.to_string(),
            state,
        }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> &str {
        &self.address
    }

    /// From now on, forwards to another server.
    pub fn redirect(&self, to: &str) {
        to.clone_into(&mut self.state.to.lock().unwrap());
    }

    /// Method and target of each request since the last call of this.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// The next request whose method and target contain `pattern` fails, after `skip` others that do.
    pub fn fail(&self, pattern: &str, skip: usize, fault: Fault) {
        let mut faults = self.state.faults.lock().unwrap();
        faults.push_back((pattern.to_owned(), skip, fault));
    }

    /// From now on, this happens to every request, or nothing does.
    pub fn fail_all(&self, fault: Option<Fault>) {
        *self.state.outage.lock().unwrap() = fault;
    }
}

impl State {
    fn serve(&self, client: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(client.try_clone().ok()?);
        let head = read_head(&mut reader)?;
        let line = head.first()?;
        let mut words = line.split(' ');
        let request = format!("{} {}", words.next()?, words.next()?);
        self.seen.lock().unwrap().push(request.clone());
        let fault = self.fault(&request);
        match &fault {
            Some(Fault::Cut) => return client.shutdown(Shutdown::Both).ok(),
            Some(Fault::Delay(delay)) => thread::sleep(*delay),
            Some(Fault::Status(status)) => {
                return answer(&client, &mut reader, &head, *status, "SlowDown");
            }
            Some(Fault::ErrorWithin200) => {
                return answer(&client, &mut reader, &head, 200, "InternalError");
            }
            Some(Fault::Hold(breakpoint)) if !breakpoint.hold() => {
                return client.shutdown(Shutdown::Both).ok();
            }
            Some(
                Fault::Hold(_)
                | Fault::HoldAnswer(_)
                | Fault::LoseAnswer
                | Fault::CutAnswer(_)
                | Fault::WithoutHeader(_),
            )
            | None => {}
        }
        let mut server = TcpStream::connect(self.to.lock().unwrap().as_str()).ok()?;
        let kept = head.iter().filter(|line| !is_connection(line));
        let mut sent: String = kept.cloned().collect();
        sent.insert_str(line.len(), "Connection: close\r\n");
        server.write_all(sent.as_bytes()).ok()?;
        copy_body(&mut reader, &head, &mut server)?;
        self.copy_answer(server, client, fault.as_ref())
    }

    fn copy_answer(
        &self,
        server: TcpStream,
        mut client: TcpStream,
        fault: Option<&Fault>,
    ) -> Option<()> {
        let mut reader = BufReader::new(server);
        let head = read_head(&mut reader)?;
        if fault == Some(&Fault::LoseAnswer) {
            let _ = reader.read_to_end(&mut Vec::new());
            return client.shutdown(Shutdown::Both).ok();
        }
        if let Some(Fault::HoldAnswer(breakpoint)) = fault
            && !breakpoint.hold()
        {
            return client.shutdown(Shutdown::Both).ok();
        }
        let removed = match fault {
            Some(Fault::WithoutHeader(name)) => name,
            _ => "connection",
        };
        let is_removed = |line: &str| {
            let name = line.split(':').next().unwrap_or_default();
            name.eq_ignore_ascii_case(removed)
        };
        let kept = head
            .iter()
            .filter(|line| !is_connection(line) && !is_removed(line));
        let mut sent: String = kept.cloned().collect();
        sent.insert_str(head[0].len(), "Connection: close\r\n");
        client.write_all(sent.as_bytes()).ok()?;
        match fault {
            Some(Fault::CutAnswer(length)) => {
                let mut body = vec![0; *length];
                reader.read_exact(&mut body).ok()?;
                client.write_all(&body).ok()?;
            }
            _ => drop(std::io::copy(&mut reader, &mut client)),
        }
        client.shutdown(Shutdown::Both).ok()
    }

    fn fault(&self, request: &str) -> Option<Fault> {
        if let Some(outage) = self.outage.lock().unwrap().clone() {
            return Some(outage);
        }
        let mut faults = self.faults.lock().unwrap();
        let at = faults
            .iter()
            .position(|(pattern, ..)| request.contains(pattern.as_str()))?;
        let (_, skip, _) = faults.get_mut(at)?;
        if *skip > 0 {
            *skip -= 1;
            return None;
        }
        faults.remove(at).map(|(_, _, fault)| fault)
    }
}

/// The lines of a head, with their ends.
fn read_head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let is_end = line == "\r\n";
        head.push(line);
        if is_end {
            return Some(head);
        }
    }
}

fn is_connection(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("connection:")
}

/// Copies a request's body. `object_store` always names its length.
fn copy_body(reader: &mut impl BufRead, head: &[String], to: &mut impl Write) -> Option<()> {
    let length = head.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<u64>().ok())?
    });
    let mut body = reader.take(length.unwrap_or(0));
    std::io::copy(&mut body, to).ok().map(drop)
}

/// Takes the body and answers with an error of S3's form.
fn answer(
    mut client: &TcpStream,
    reader: &mut impl BufRead,
    head: &[String],
    status: u16,
    code: &str,
) -> Option<()> {
    copy_body(reader, head, &mut std::io::sink())?;
    let body = format!("<Error><Code>{code}</Code><Message>as the test wishes</Message></Error>");
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).ok()
}
