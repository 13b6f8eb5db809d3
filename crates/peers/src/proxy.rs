//! A forward proxy, for `HTTP_PROXY` and `HTTPS_PROXY`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use data_encoding::BASE64;

/// The proxy. It forwards every request to one server, so the names of hosts need not exist.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    to: String,
    /// The value that `Proxy-Authorization` must have.
    wanted: Option<String>,
    seen: Mutex<Vec<String>>,
}

impl Proxy {
    /// A proxy that forwards to `to` (`HOST:PORT`). With `login` (`user:password`), it serves only
    /// requests that have it.
    #[must_use]
    pub fn start(to: &str, login: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port to listen on");
        let address = listener
            .local_addr()
            .expect("the listener's own address")
            .to_string();
        let wanted = login.map(|login| format!("Basic {}", BASE64.encode(login.as_bytes())));
        let desk = Arc::new(Desk {
            to: to.to_owned(),
            wanted,
            seen: Mutex::default(),
        });
        let serving = desk.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let desk = serving.clone();
                thread::spawn(move || desk.serve(client));
            }
        });
        Self { address, desk }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.clone()
    }

    /// Method and target of each request: `CONNECT r.example:443`, `GET http://r.example/v2/`.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.desk.seen.lock().unwrap().clone()
    }
}

impl Desk {
    /// One request: a tunnel, or a request that is forwarded with the rest of the connection.
    fn serve(&self, client: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(client.try_clone().ok()?);
        let (mut head, mut login) = (Vec::new(), None);
        loop {
            let mut line = String::new();
            reader
                .read_line(&mut line)
                .ok()
                .filter(|&length| length > 2 || !head.is_empty())?;
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("proxy-authorization") => {
                    login = Some(value.trim().to_owned());
                }
                _ => head.push(line.clone()),
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut words = head[0].split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        self.seen.lock().unwrap().push(format!("{method} {target}"));
        if self.wanted.is_some() && self.wanted != login {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return (&client).write_all(refusal.as_bytes()).ok();
        }
        let mut server = TcpStream::connect(&self.to).ok()?;
        if method == "CONNECT" {
            (&client)
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .ok()?;
        } else {
            // RFC 9112 §3.2: the target is a path for a server, and a URL for a proxy.
            let path = target
                .strip_prefix("http://")?
                .split_once('/')
                .map_or("", |(_, path)| path);
            head[0] = format!("{method} /{path} HTTP/1.1\r\n");
            head.insert(1, "Connection: close\r\n".to_owned());
            server.write_all(head.concat().as_bytes()).ok()?;
        }
        server.write_all(reader.buffer()).ok()?;
        let (back, to) = (server.try_clone().ok()?, client.try_clone().ok()?);
        thread::spawn(move || pour(back, to));
        pour(client, server);
        Some(())
    }
}

/// Copies until one end closes.
fn pour(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Nginx, http};

    #[test]
    fn it_hands_on_for_whom_it_knows() {
        let nginx = Nginx::start("listen @listen@; location / { return 200 $host$uri; }");
        let proxy = Proxy::start(&nginx.host_port(), Some("ann:sesame"));
        let ask = |login: &str, more: &[&str]| {
            let proxy = format!("http://{login}@{}", proxy.host_port());
            http::try_request(&[&["--proxy", &proxy, "http://r.example/a"], more].concat())
        };
        assert_eq!(ask("ann:sesame", &[]).unwrap().body, "r.example/a");
        assert_eq!(ask("ann:wrong", &[]).unwrap().status, 407);
        assert!(ask("ann:wrong", &["--proxytunnel"]).is_none());
        assert_eq!(proxy.seen()[0], "GET http://r.example/a");
        assert_eq!(proxy.seen()[2], "CONNECT r.example:80");
    }
}
