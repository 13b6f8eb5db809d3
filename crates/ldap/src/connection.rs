//! A connection to a directory server: opened, bound, searched.
//!
//! The protocol is the crate `ldap3`. Each connection does one operation at a time. After an error
//! or a timeout it is dropped, which closes it: a late answer would belong to another operation.

use std::sync::Arc;
use std::time::Duration;

use common::Secret;
use identity::tls::{ClientTls, ClientTlsError};
use ldap3::asn1::StructureTag;
use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions, StdStream,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::{DirectoryAddress, TlsMode};
use crate::entry::DirectoryEntry;
use crate::error::{DirectoryError, OperationContext, reason};
use crate::isolation::isolated;
use crate::refusal::{BindRefusal, password_policy_request};
use crate::tls;

/// How long the parts of a login may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryTimeouts {
    /// A connection with its TLS handshake, for each server.
    pub connect: Duration,
    /// One operation: a bind or a search.
    pub operation: Duration,
}

/// The most bytes that the entries of one search may have.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// A server and how it is verified.
#[derive(Clone, Debug)]
pub struct DirectoryServer {
    address: DirectoryAddress,
    tls: Arc<ClientConfig>,
    /// What the library takes as the name in a TLS handshake.
    url: String,
    /// What logs and errors call it.
    name: String,
}

impl DirectoryServer {
    /// The server at `address`. If there is TLS, `tls` verifies it.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(address: DirectoryAddress, tls: &ClientTls) -> Result<Self, ClientTlsError> {
        let scheme = match address.tls() {
            TlsMode::Always => "ldaps",
            TlsMode::None | TlsMode::StartTls => "ldap",
        };
        // The library needs a DNS name. An IP address is not sent to the server, and the verifier
        // knows it.
        let host = match address.server_name() {
            ServerName::DnsName(name) => name.as_ref(),
            _ => "address.invalid",
        };
        Ok(Self {
            url: format!("{scheme}://{host}"),
            tls: Arc::new(tls::configuration(tls, address.server_name().clone())?),
            name: address.to_string(),
            address,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &DirectoryAddress {
        &self.address
    }

    /// What logs and errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct DirectoryConnection {
    ldap: Ldap,
    server: String,
    limit: Duration,
}

/// What came of a bind with the password of an account.
#[derive(Debug)]
pub(crate) enum BindOutcome {
    Accepted,
    Refused(BindRefusal),
}

/// A search of a base, or below it.
#[derive(Clone, Debug)]
pub(crate) struct DirectorySearch<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [String],
    /// How many entries are wanted.
    pub(crate) most: usize,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct SearchOutcome {
    pub(crate) entries: Vec<DirectoryEntry>,
    /// Whether there are more entries than were wanted.
    pub(crate) has_more: bool,
    /// Servers that may hold more entries (RFC 4511 §4.5.3). They are not asked.
    pub(crate) referrals: Vec<String>,
}

impl DirectoryConnection {
    /// Connects, with TLS as the server's address says. The error is a line for the log.
    pub(crate) async fn open(
        server: &DirectoryServer,
        timeouts: DirectoryTimeouts,
    ) -> Result<Self, String> {
        let opened = timeout(timeouts.connect, isolated(connect(server.clone()))).await;
        let ldap = match opened {
            Ok(Some(Ok(ldap))) => ldap,
            Ok(Some(Err(error))) => return Err(reason(&error)),
            Ok(None) => return Err("its answer is no LDAP message".to_owned()),
            Err(_) => return Err(format!("no connection within {:?}", timeouts.connect)),
        };
        Ok(Self {
            ldap,
            server: server.name.clone(),
            limit: timeouts.operation,
        })
    }

    /// What logs and errors call its server.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Whether the server has closed it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.ldap.is_closed()
    }

    /// Binds as the reader, whose name and password are the operator's.
    pub(crate) async fn bind_reader(
        &mut self,
        name: &str,
        password: &Secret,
    ) -> Result<(), DirectoryError> {
        let result = self.bind("binding the reader", name, password).await?;
        if result.rc == 0 {
            return Ok(());
        }
        Err(self.context("binding the reader").result(&result))
    }

    /// The bind of the reader had no turn in time.
    pub(crate) fn slow_reader(&self) -> DirectoryError {
        self.context("binding the reader").slow(self.limit)
    }

    /// Binds as an account.
    pub(crate) async fn bind_account(
        &mut self,
        name: &str,
        password: &Secret,
    ) -> Result<BindOutcome, DirectoryError> {
        let operation = "binding an account";
        // A bind with a name and no password succeeds without proving anything (RFC 4513 §5.1.2).
        if name.is_empty() || password.is_empty() {
            return Err(self.context(operation).malformed());
        }
        let result = self.bind(operation, name, password).await?;
        if result.rc == 0 {
            return Ok(BindOutcome::Accepted);
        }
        match BindRefusal::of(&result) {
            Some(refusal) => Ok(BindOutcome::Refused(refusal)),
            None => Err(self.context(operation).result(&result)),
        }
    }

    /// Searches, without following aliases and referrals.
    pub(crate) async fn search(
        &mut self,
        search: &DirectorySearch<'_>,
    ) -> Result<SearchOutcome, DirectoryError> {
        let limit = self.limit;
        match timeout(limit, self.search_without_limit(search)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.context("searching").slow(limit)),
        }
    }

    async fn bind(
        &mut self,
        operation: &'static str,
        name: &str,
        password: &Secret,
    ) -> Result<LdapResult, DirectoryError> {
        let limit = self.limit;
        let bind = isolated(
            self.ldap
                .with_controls(password_policy_request())
                .simple_bind(name, password.expose()),
        );
        match timeout(limit, bind).await {
            Ok(Some(Ok(result))) => Ok(result),
            Ok(Some(Err(error))) => Err(self.context(operation).lost(&error)),
            Ok(None) => Err(self.context(operation).malformed()),
            Err(_) => Err(self.context(operation).slow(limit)),
        }
    }

    async fn search_without_limit(
        &mut self,
        search: &DirectorySearch<'_>,
    ) -> Result<SearchOutcome, DirectoryError> {
        let operation = "searching";
        let options = SearchOptions::new()
            .sizelimit(i32::try_from(search.most).unwrap_or(i32::MAX))
            .timelimit(i32::try_from(self.limit.as_secs().max(1)).unwrap_or(i32::MAX));
        self.ldap.with_search_options(options);
        let started = self
            .ldap
            .streaming_search(search.base, search.scope, search.filter, search.attributes)
            .await;
        let mut stream = started.map_err(|error| self.context(operation).lost(&error))?;
        let mut found = SearchOutcome {
            entries: Vec::new(),
            has_more: false,
            referrals: Vec::new(),
        };
        let mut bytes = 0;
        loop {
            let next = stream.next().await;
            let next = next.map_err(|error| self.context(operation).lost(&error))?;
            let Some(entry) = next else { break };
            if entry.is_intermediate() {
                continue;
            }
            if entry.is_ref() {
                let urls = entry.0.expect_constructed().unwrap_or_default();
                let urls = urls.into_iter().filter_map(StructureTag::expect_primitive);
                let urls = urls.filter_map(|url| String::from_utf8(url).ok());
                found.referrals.extend(urls.take(MOST_REFERRALS));
                found.referrals.truncate(MOST_REFERRALS);
                continue;
            }
            let entry = DirectoryEntry::read(entry);
            let entry = entry.ok_or_else(|| self.context(operation).malformed())?;
            bytes += entry.size();
            if bytes > MOST_BYTES {
                return Err(DirectoryError::TooMuch(MOST_BYTES));
            }
            // A server need not obey the limit.
            if found.entries.len() == search.most {
                return Ok(SearchOutcome {
                    has_more: true,
                    ..found
                });
            }
            found.entries.push(entry);
        }
        let result = stream.finish().await;
        match result.rc {
            0 => Ok(found),
            SIZE_LIMIT if found.entries.len() == search.most => Ok(SearchOutcome {
                has_more: true,
                ..found
            }),
            _ => Err(self.context(operation).result(&result)),
        }
    }

    fn context(&self, operation: &'static str) -> OperationContext<'_> {
        OperationContext {
            server: &self.server,
            operation,
        }
    }
}

/// The result code `sizeLimitExceeded`.
const SIZE_LIMIT: u32 = 4;

/// How many referrals are kept for the log.
const MOST_REFERRALS: usize = 8;

async fn connect(server: DirectoryServer) -> Result<Ldap, LdapError> {
    let host = server.address.host();
    let stream = TcpStream::connect((&*host, server.address.port())).await?;
    stream.set_nodelay(true)?;
    let settings = LdapConnSettings::new()
        .set_std_stream(StdStream::Tcp(stream.into_std()?))
        .set_config(Arc::clone(&server.tls))
        .set_starttls(server.address.tls() == TlsMode::StartTls);
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &server.url).await?;
    let name = server.name;
    // It ends when the handle is dropped, or with the connection.
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(
                server = name,
                error = reason(&error),
                "a connection to a directory ended"
            );
        }
    });
    Ok(ldap)
}
