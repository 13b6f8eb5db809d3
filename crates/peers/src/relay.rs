//! A relay between a client and a server that closes its connections, or stops forwarding, after a
//! number of bytes, or loses the answer to one request.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What happens, and when.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// The relay closes a connection that has carried so many bytes, in either direction.
    Breaks(u64),
    /// The relay forwards nothing more on any connection when all have carried so many bytes. All
    /// stay open.
    Stops(u64),
    /// The relay closes the first connection whose client sends this text.
    Loses(&'static str, ExchangeLoss),
}

/// What is lost of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeLoss {
    /// The request: the server never sees it.
    Request,
    /// The answer: the server has done what it was asked for.
    Answer,
}

/// One of the two directions of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// The relay.
#[derive(Debug)]
pub struct Relay {
    address: String,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    to: String,
    habit: Habit,
    carried: AtomicU64,
    breaks: AtomicU64,
    /// Whether the limit no longer counts.
    mended: AtomicBool,
    silent: Mutex<bool>,
    fell_silent: Condvar,
}

/// What the two directions of a connection share.
#[derive(Debug, Default)]
struct ConnectionState {
    carried: AtomicU64,
    /// Whether the server's next answer is lost.
    is_losing: AtomicBool,
}

impl Relay {
    /// A relay to `to` (`HOST:PORT`) whose connections break after `bytes` bytes each.
    #[must_use]
    pub fn breaking(to: &str, bytes: u64) -> Self {
        Self::start(to, Habit::Breaks(bytes))
    }

    /// A relay to `to` (`HOST:PORT`) that forwards `bytes` bytes and then nothing more.
    #[must_use]
    pub fn stopping(to: &str, bytes: u64) -> Self {
        Self::start(to, Habit::Stops(bytes))
    }

    /// A relay to `to` (`HOST:PORT`) that closes the first connection whose client sends `text`
    /// within one packet, before the request or before its answer is forwarded.
    #[must_use]
    pub fn losing(to: &str, text: &'static str, lost: ExchangeLoss) -> Self {
        Self::start(to, Habit::Loses(text, lost))
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.clone()
    }

    /// How many connections it closed.
    #[must_use]
    pub fn breaks(&self) -> u64 {
        self.line.breaks.load(Ordering::Relaxed)
    }

    /// How many bytes it forwarded.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.line.carried.load(Ordering::Relaxed)
    }

    /// Waits until it forwards nothing more.
    pub fn wait_until_silent(&self) {
        let mut silent = self.line.silent.lock().unwrap();
        while !*silent {
            silent = self.line.fell_silent.wait(silent).unwrap();
        }
    }

    /// From now on, it forwards everything.
    pub fn mend(&self) {
        self.line.mended.store(true, Ordering::Relaxed);
    }

    fn start(to: &str, habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port to listen on");
        let address = listener
            .local_addr()
            .expect("the listener's own address")
            .to_string();
        let line = Arc::new(Line {
            to: to.to_owned(),
            habit,
            carried: AtomicU64::new(0),
            breaks: AtomicU64::new(0),
            mended: AtomicBool::new(false),
            silent: Mutex::new(false),
            fell_silent: Condvar::new(),
        });
        let serving = line.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let line = serving.clone();
                thread::spawn(move || line.connect(client));
            }
        });
        Self { address, line }
    }
}

impl Line {
    fn connect(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.to) else {
            return;
        };
        let state = Arc::new(ConnectionState::default());
        let (line, back, shared) = (self.clone(), (copy(&server), copy(&client)), state.clone());
        thread::spawn(move || line.carry(Direction::ToClient, back.0, back.1, &shared));
        self.carry(Direction::ToServer, client, server, &state);
    }

    fn carry(
        &self,
        direction: Direction,
        mut from: TcpStream,
        mut to: TcpStream,
        state: &ConnectionState,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let own = state.carried.fetch_add(length as u64, Ordering::Relaxed);
            let all = self.carried.fetch_add(length as u64, Ordering::Relaxed);
            match self.habit {
                _ if self.mended.load(Ordering::Relaxed) => {}
                Habit::Breaks(after) if own + length as u64 > after => {
                    self.breaks.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Habit::Stops(after) if all > after => return self.fall_silent(),
                Habit::Loses(text, lost) if direction == Direction::ToServer => {
                    let found = contains(&buffer[..length], text);
                    if found && self.breaks.fetch_add(1, Ordering::Relaxed) == 0 {
                        if lost == ExchangeLoss::Request {
                            break;
                        }
                        state.is_losing.store(true, Ordering::Relaxed);
                    }
                }
                Habit::Loses(..) if state.is_losing.load(Ordering::Relaxed) => break,
                Habit::Breaks(_) | Habit::Stops(_) | Habit::Loses(..) => {}
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn fall_silent(&self) {
        *self.silent.lock().unwrap() = true;
        self.fell_silent.notify_all();
        // The sockets stay open as long as the other end is open and nothing is read.
        while !self.mended.load(Ordering::Relaxed) {
            thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn copy(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a second handle of a socket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nginx, http};

    #[test]
    fn it_carries_breaks_and_stops() {
        let nginx = Nginx::start("listen @listen@; location / { return 200 here; }");
        let ask = |relay: &Relay| {
            http::try_request(&["--max-time", "2", &format!("http://{}/", relay.host_port())])
        };
        assert_eq!(
            ask(&Relay::breaking(&nginx.host_port(), 10_000))
                .unwrap()
                .body,
            "here"
        );
        let broken = Relay::breaking(&nginx.host_port(), 100);
        assert!(ask(&broken).is_none());
        assert_eq!(broken.breaks(), 1);
        for lost in [ExchangeLoss::Request, ExchangeLoss::Answer] {
            let losing = Relay::losing(&nginx.host_port(), "GET /", lost);
            assert!(ask(&losing).is_none());
            assert_eq!(ask(&losing).unwrap().body, "here");
        }
        let silent = Relay::stopping(&nginx.host_port(), 10);
        assert!(ask(&silent).is_none());
        silent.wait_until_silent();
        silent.mend();
        assert_eq!(ask(&silent).unwrap().body, "here");
        assert!(silent.carried() > 100);
    }
}
