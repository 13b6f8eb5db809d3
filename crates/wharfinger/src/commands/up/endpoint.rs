//! Where a registry listens, and by which names clients reach it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::commands::certs::names::Names;
use crate::failure::Failure;

/// registry:2's own port.
const PORT: u16 = 5000;

/// Where a registry listens, and how it is reached there.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// As `server.addr` has it.
    pub(super) listen: String,
    /// The names in its certificate; `None` if only this machine reaches it. From elsewhere clients
    /// refuse plain HTTP, which would reveal passwords.
    pub(super) names: Option<Names>,
    /// `HOST:PORT`, as it begins the names of images.
    pub(super) registry: String,
}

impl Endpoint {
    pub(super) fn new(
        listen: Option<&str>,
        hosts: &[String],
        addresses: &[IpAddr],
    ) -> Result<Self, Failure> {
        let is_named = !hosts.is_empty() || !addresses.is_empty();
        let (host, port) = match listen {
            Some(text) => split(text)?,
            None if is_named => (String::new(), PORT),
            None => (Ipv4Addr::LOCALHOST.to_string(), PORT),
        };
        let address = host.parse::<IpAddr>().ok();
        let is_loopback =
            host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let listen = joined(&host, port);
        if is_loopback && !is_named {
            return Ok(Self {
                registry: listen.clone(),
                listen,
                names: None,
            });
        }
        // A single address or name to listen on is one by which clients reach it, too.
        let own = address.filter(|address| !address.is_unspecified());
        let own_name = (address.is_none() && !host.is_empty()).then(|| host.clone());
        let hosts: Vec<_> = hosts.iter().cloned().chain(own_name).collect();
        let addresses: Vec<_> = addresses.iter().copied().chain(own).collect();
        if hosts.is_empty() && addresses.is_empty() {
            return Err(Failure::usage(format!(
                "clients on other machines reach {listen}, but by which name?"
            ))
            .hint(
                "add --host registry.example.com or --ip 192.0.2.7; for this machine only, use --listen 127.0.0.1:5000",
            ));
        }
        let mut names = Names::new(&hosts, &addresses)?;
        let first = names
            .hosts
            .iter()
            .find(|host| !host.starts_with('*'))
            .cloned();
        let first = first.or_else(|| names.addresses.first().map(ToString::to_string));
        let registry = joined(first.as_deref().unwrap_or("localhost"), port);
        names.add_this_machine();
        Ok(Self {
            listen,
            names: Some(names),
            registry,
        })
    }

    /// The note for hosts whose clients cannot reach an address of this machine only.
    pub(super) fn unreachable_note(&self) -> Option<String> {
        let names = self.names.as_ref()?;
        let host = self.listen.rsplit_once(':')?.0;
        let bare = host.trim_matches(['[', ']']);
        let is_loopback =
            bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let named = names.hosts.iter().map(String::as_str);
        let named = named
            .chain(names.addresses.is_empty().then_some(""))
            .next()?;
        let port = self.listen.rsplit(':').next()?;
        is_loopback.then(|| {
            format!(
                "note: only this machine reaches {}, so other machines cannot use {named:?} unless a \
                 proxy passes on to it; to listen on all addresses, use --listen :{port}",
                self.listen
            )
        })
    }

    /// Fails if another program listens there. This runs before anything is created that would be
    /// wrong for another address.
    pub(super) fn must_be_free(&self) -> Result<(), Failure> {
        let tried = match self.listen.strip_prefix(':') {
            Some(port) => {
                let port = port.parse().unwrap_or(PORT);
                let everywhere = [
                    IpAddr::from(Ipv6Addr::UNSPECIFIED),
                    IpAddr::from(Ipv4Addr::UNSPECIFIED),
                ];
                TcpListener::bind(
                    everywhere
                        .map(|address| SocketAddr::new(address, port))
                        .as_slice(),
                )
            }
            None => self
                .listen
                .to_socket_addrs()
                .and_then(|addresses| TcpListener::bind(&*addresses.collect::<Vec<_>>())),
        };
        tried.map(drop).map_err(|error| {
            let failure =
                Failure::system(format!("cannot listen on {}", self.listen)).caused_by(&error);
            match error.kind() {
                ErrorKind::AddrInUse => {
                    failure.hint("choose another port: --listen 127.0.0.1:5001")
                }
                _ => failure,
            }
        })
    }
}

/// The host (without brackets) and the port of `HOST:PORT`.
fn split(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || {
        Failure::usage(format!("{text:?} is not an address to listen on"))
            .hint("write 127.0.0.1:5000, [::1]:5000 or :5000")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_bracketed = bare.is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok());
    if (bare.is_some() && !is_bracketed) || (bare.is_none() && host.contains(':')) {
        return Err(wrong());
    }
    // Port 0 would be another port at every start, which no client knows. `u16` would take a
    // sign.
    let port = port
        .parse()
        .ok()
        .filter(|&number: &u16| number != 0 && !port.starts_with('+'))
        .ok_or_else(wrong)?;
    Ok((bare.unwrap_or(host).to_owned(), port))
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(
        listen: Option<&str>,
        hosts: &[&str],
        addresses: &[&str],
    ) -> Result<Endpoint, String> {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let addresses: Vec<_> = addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        Endpoint::new(listen, &hosts, &addresses).map_err(|failure| failure.to_string())
    }

    #[test]
    fn this_machine_alone_needs_no_certificate() {
        for (listen, expected) in [
            (None, "127.0.0.1:5000"),
            (Some("127.0.0.1:5001"), "127.0.0.1:5001"),
            (Some("127.0.0.2:5000"), "127.0.0.2:5000"),
            (Some("[::1]:5000"), "[::1]:5000"),
            (Some("localhost:80"), "localhost:80"),
        ] {
            let endpoint = endpoint(listen, &[], &[]).unwrap();
            assert!(endpoint.names.is_none(), "{listen:?}");
            assert_eq!(
                (endpoint.listen.as_str(), endpoint.registry.as_str()),
                (expected, expected)
            );
        }
    }

    #[test]
    fn others_reach_it_by_names_in_a_certificate() {
        for (listen, hosts, addresses, expected) in [
            (
                None,
                &["r.example.com"][..],
                &[][..],
                (":5000", "r.example.com:5000"),
            ),
            (
                Some(":443"),
                &["*.example.com", "r.example.com"],
                &["192.0.2.7"],
                (":443", "r.example.com:443"),
            ),
            (
                Some("192.0.2.7:5000"),
                &[],
                &[],
                ("192.0.2.7:5000", "192.0.2.7:5000"),
            ),
            (
                Some("0.0.0.0:5000"),
                &[],
                &["2001:db8::1"],
                ("0.0.0.0:5000", "[2001:db8::1]:5000"),
            ),
            (
                Some("r.internal:5000"),
                &[],
                &[],
                ("r.internal:5000", "r.internal:5000"),
            ),
            (
                Some("127.0.0.1:5000"),
                &["r.example.com"],
                &[],
                ("127.0.0.1:5000", "r.example.com:5000"),
            ),
        ] {
            let endpoint = endpoint(listen, hosts, addresses).unwrap();
            assert_eq!(
                (endpoint.listen.as_str(), endpoint.registry.as_str()),
                expected
            );
            let names = endpoint.names.unwrap();
            assert!(
                names.hosts.contains(&"localhost".to_owned())
                    && names.addresses.contains(&Ipv4Addr::LOCALHOST.into())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_made() {
        for listen in [
            "5000",
            "127.0.0.1",
            "::1:5000",
            "127.0.0.1:0",
            "127.0.0.1:+80",
            "[x]:80",
            "a:65536",
        ] {
            assert!(
                endpoint(Some(listen), &[], &[])
                    .unwrap_err()
                    .contains("is not an address to listen on"),
                "{listen}"
            );
        }
        for listen in [":5000", "0.0.0.0:5000", "[::]:5000"] {
            assert!(
                endpoint(Some(listen), &[], &[])
                    .unwrap_err()
                    .contains("add --host"),
                "{listen}"
            );
        }
        assert!(
            endpoint(None, &["https://r.example.com"], &[])
                .unwrap_err()
                .contains("is not a host name")
        );
    }
}
