//! `dial_info`: the servers of MongoDB, with the keys of a driver that docker_auth had once.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use mongo::{MongoAddress, MongoLogin, MongoServer, MongoSettings, MongoTls, ServerSelection};

use super::login::{IGNORED, read_login};
use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::Kind;
use crate::config::schema::key;
use crate::config::section::{Located, Section};

const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The servers, and the database.
pub(super) struct DialInfo {
    address: MongoAddress,
    database: String,
    timeout: Duration,
    selection: ServerSelection,
}

/// The keys that name servers and a user one by one, which `uri` replaces.
struct ServerKeys<'a> {
    servers: Option<Vec<MongoServer>>,
    direct: bool,
    replica_set: Option<String>,
    login: Option<MongoLogin>,
    has_tls: bool,
    uri: Option<Located<'a, String>>,
    authorities: Option<Located<'a, PathBuf>>,
}

/// Keys that make no sense beside `uri`, which says the same.
const REPLACED: [&str; 10] = [
    "addrs",
    "direct",
    "source",
    "service",
    "mechanism",
    "username",
    "password",
    "password_file",
    "enable_tls",
    "replica_set",
];

impl DialInfo {
    /// Reads the section `dial_info` of `parent`.
    pub(super) fn read(parent: &mut Section<'_>) -> Option<Self> {
        let key = key::mapping("dial_info")
            .docker_auth()
            .required("write where MongoDB is, such as dial_info: {addrs: [localhost], database: docker_auth}")
            .means("the servers of MongoDB, and how to log in there");
        parent.optional(key, Self::read_keys)
    }

    pub(super) fn settings(self, collection: String, connections: NonZeroU32) -> MongoSettings {
        MongoSettings {
            address: self.address,
            database: self.database,
            collection,
            timeout: self.timeout,
            selection: self.selection,
            connections,
        }
    }

    fn read_keys(section: &mut Section<'_>) -> Option<Self> {
        let keys = ServerKeys::read(section);
        let database = section.find(
            key::text("database")
                .docker_auth()
                .means("the database that has the collection")
                .otherwise("the one in `uri`"),
        );
        let timeout = section.get(
            key::duration("timeout", Duration::ZERO..=600 * SECOND)
                .docker_auth()
                .means("how long an operation may take, with connecting; 0s is the default")
                .default(DEFAULT_TIMEOUT),
        );
        let fails_fast = section.get(
            key::switch("failfast")
                .docker_auth()
                .means(
                    "whether an operation waits only a second, instead of `timeout`, while no \
                     server can be reached",
                )
                .default(false),
        );
        let address = keys.address(section);
        let database = database.filter(|name| !name.is_empty());
        let in_uri = || address.as_ref()?.database().map(str::to_owned);
        let database = database.or_else(in_uri);
        let may_be_in_uri = address.is_none() && section.has("uri");
        if database.is_none() && !may_be_in_uri {
            let message = "write the database that has the collection, such as docker_auth";
            section.error_about("database", Problem::Missing, message);
        }
        Some(Self {
            address: address?,
            database: database?,
            timeout: match timeout {
                Duration::ZERO => DEFAULT_TIMEOUT,
                timeout => timeout,
            },
            selection: match fails_fast {
                true => ServerSelection::FailFast,
                false => ServerSelection::Patient,
            },
        })
    }
}

impl<'a> ServerKeys<'a> {
    fn read(section: &mut Section<'a>) -> Self {
        let servers = read_servers(section);
        let direct = read_direct(section, servers.as_deref());
        let replica_set = section.find(
            key::text("replica_set")
                .means("only members of this replica set are asked")
                .otherwise("any"),
        );
        let uri = section.locate(
            key::text("uri")
                .secret()
                .not(&["url", "connection_string"])
                .means(
                    "instead of the other keys: a connection string, `mongodb://…` or \
                     `mongodb+srv://…`",
                ),
        );
        let login = read_login(section);
        let has_tls = section.get(
            key::switch("enable_tls")
                .docker_auth()
                .means("whether connections use TLS")
                .default(false),
        );
        let authorities = section.locate(
            key::path("ca_certificate")
                .means("TLS: the authorities that are trusted, PEM; read again when it changes")
                .otherwise("the system's"),
        );
        Self {
            servers,
            direct,
            replica_set,
            login,
            has_tls,
            uri,
            authorities,
        }
    }

    fn address(self, section: &Section<'_>) -> Option<MongoAddress> {
        let address = match &self.uri {
            Some(uri) => {
                refuse_beside_uri(section);
                uri.setting.checked(MongoAddress::from_uri(&uri.value))?
            }
            None => self.listed(section)?,
        };
        let address = match self.authorities {
            Some(file) if address.has_tls() => {
                let pem = file.read()?;
                let trusted = identity::tls::ClientTls::default().trusting(&pem);
                file.setting.checked_file(&file.value, trusted)?;
                let file = file.value;
                let tls = address.with_tls(MongoTls::Authorities { file, pem });
                tls.ok()?
            }
            Some(file) => {
                let message = "no effect without TLS; set enable_tls: true";
                file.setting.warn(Problem::NoEffect, message);
                address
            }
            None => address,
        };
        warn_of(section, &address);
        Some(address)
    }

    /// The servers of `addrs`.
    fn listed(&self, section: &Section<'_>) -> Option<MongoAddress> {
        let Some(servers) = &self.servers else {
            if !section.has("addrs") {
                let message = "write the servers, such as addrs: [localhost], or uri: mongodb://…";
                section.error_about("addrs", Problem::Missing, message);
            }
            return None;
        };
        let mut address = MongoAddress::of_servers(servers.clone());
        if self.direct && servers.len() == 1 {
            address = address.direct();
        }
        if let Some(name) = self.replica_set.as_ref().filter(|name| !name.is_empty()) {
            address = address.in_replica_set(name.clone());
        }
        if let Some(login) = &self.login {
            address = address.with_login(login.clone());
        }
        let tls = match (self.has_tls, &self.authorities) {
            (false, _) => MongoTls::Off,
            // Its own file follows.
            (true, Some(file)) => MongoTls::Authorities {
                file: file.value.clone(),
                pem: Vec::new(),
            },
            (true, None) => MongoTls::System,
        };
        match address.with_tls(tls) {
            Ok(address) => Some(address),
            Err(error) => {
                section.error_about("enable_tls", Problem::Invalid, error.to_string());
                None
            }
        }
    }
}

fn read_servers(section: &mut Section<'_>) -> Option<Vec<MongoServer>> {
    let setting = section.setting(
        key::custom("addrs", Kind::List(Box::new(Kind::Form("server"))))
            .docker_auth()
            .means(
                "`HOST` or `HOST:PORT` of one or more servers; the other members of their replica \
                 set are found",
            ),
    )?;
    let items = setting.items()?;
    if items.is_empty() {
        setting.error("the list is empty; write a server, such as localhost");
        return None;
    }
    let servers: Vec<Option<MongoServer>> =
        items.iter().map(|item| item.parse(str::parse)).collect();
    let servers: Vec<MongoServer> = servers.into_iter().collect::<Option<_>>()?;
    let shown = servers.iter().map(Effective::quoted).collect();
    section.show("addrs", Effective::List(shown));
    Some(servers)
}

fn read_direct(section: &mut Section<'_>, servers: Option<&[MongoServer]>) -> bool {
    let direct = section.get(
        key::switch("direct")
            .docker_auth()
            .means("whether only the server of `addrs` is asked, not its replica set")
            .default(false),
    );
    if direct {
        match servers {
            Some([_, _, ..]) => section.warn_about(
                "direct",
                Problem::NoEffect,
                "no effect with several servers: the primary among them is asked",
            ),
            _ => section.warn_about("direct", Problem::Doubtful, IGNORED),
        }
    }
    direct
}

fn refuse_beside_uri(section: &Section<'_>) {
    for name in REPLACED {
        if let Some(setting) = section.present(name).filter(|setting| !setting.is_null()) {
            setting.report(Problem::Conflict, "uri says this; remove one of them");
        }
    }
}

fn warn_of(section: &Section<'_>, address: &MongoAddress) {
    if address.skips_verification() {
        let message = "certificates are not verified: any server in between can change answers";
        section.warn_about("uri", Problem::Insecure, message);
    }
    if !address.has_tls() && !address.is_loopback() {
        let (key, remedy) = match section.has("uri") {
            true => ("uri", "add the option tls=true"),
            false => ("enable_tls", "set enable_tls: true"),
        };
        let message = format!("hashes and rules cross the network in clear text; {remedy}");
        section.warn_about(key, Problem::Insecure, message);
    }
}
