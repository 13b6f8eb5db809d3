//! A relay between a client and a server that closes its connections, or stops forwarding, after a
//! number of bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What happens when a connection has carried so many bytes, in either direction.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// The relay closes it.
    Breaks(u64),
    /// The relay forwards nothing more on any connection. All stay open.
    Stops(u64),
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
        let carried = Arc::new(AtomicU64::new(0));
        let (line, back, count) = (
            self.clone(),
            (copy(&server), copy(&client)),
            carried.clone(),
        );
        thread::spawn(move || line.carry(back.0, back.1, &count));
        self.carry(client, server, &carried);
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, carried: &AtomicU64) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let own = carried.fetch_add(length as u64, Ordering::Relaxed);
            let all = self.carried.fetch_add(length as u64, Ordering::Relaxed);
            match self.habit {
                _ if self.mended.load(Ordering::Relaxed) => {}
                Habit::Breaks(after) if own + length as u64 > after => {
                    self.breaks.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Habit::Stops(after) if all > after => return self.fall_silent(),
                Habit::Breaks(_) | Habit::Stops(_) => {}
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
        let silent = Relay::stopping(&nginx.host_port(), 10);
        assert!(ask(&silent).is_none());
        silent.wait_until_silent();
        silent.mend();
        assert_eq!(ask(&silent).unwrap().body, "here");
        assert!(silent.carried() > 100);
    }
}
