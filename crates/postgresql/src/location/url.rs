//! The parts of a URL: login, servers, database, parameters.

use common::Secret;
use percent_encoding::percent_decode_str;

use super::parameters::UrlParameters;
use super::{LocationError, PostgresHost, PostgresLocation, short_enough};

/// The longest URL.
const LONGEST: usize = 8 * 1024;
/// How many servers it may name.
const MAX_HOSTS: usize = 16;
/// The longest name of a host, as DNS has it; a socket's path is shorter.
const LONGEST_HOST: usize = 253;
/// The longest name in PostgreSQL (`NAMEDATALEN`), which cuts longer ones silently.
const LONGEST_NAME: usize = 63;
const LONGEST_PASSWORD: usize = 1024;

const DEFAULT_PORT: &str = "5432";
const BAD_PORT: LocationError = LocationError::Value {
    name: "port",
    wanted: "a number from 1 to 65535",
};

pub(super) fn parse(text: &str) -> Result<PostgresLocation, LocationError> {
    short_enough("URL", text, LONGEST)?;
    let schemes = ["postgres://", "postgresql://"];
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or(LocationError::Form("it does not begin with `postgres://`"))?;
    if rest.contains('#') {
        return Err(LocationError::Form("it has a `#`, which must be `%23`"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parameters = UrlParameters::parse(query)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, servers) = match authority.rsplit_once('@') {
        Some((login, servers)) => (login, servers),
        None => ("", authority),
    };
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (login, None),
    };
    let user = parameters.take("user").map_or_else(|| decoded(user), Ok)?;
    if user.is_empty() && path.contains('@') {
        let problem =
            "a `/` in the password must be `%2F`, and `@` and `%` must be `%40` and `%25`";
        return Err(LocationError::Form(problem));
    }
    if user.is_empty() {
        return Err(LocationError::Form("it has no user"));
    }
    let database = match parameters.take("dbname") {
        Some(name) => name,
        None if path.is_empty() => user.clone(),
        None => decoded(path)?,
    };
    let password = parameters.take("password").or(password);
    short_enough("user", &user, LONGEST_NAME)?;
    short_enough("database", &database, LONGEST_NAME)?;
    short_enough(
        "password",
        password.as_deref().unwrap_or_default(),
        LONGEST_PASSWORD,
    )?;
    let hosts = match parameters.take("host") {
        Some(names) => hosts_of_parameters(&names, parameters.take("port"))?,
        None => match parameters.take("port") {
            Some(_) => return Err(LocationError::Form("it has a `port` without a `host`")),
            None => hosts_of_authority(servers)?,
        },
    };
    let mut location = PostgresLocation::at(hosts[0].clone(), user, database);
    location.hosts = hosts;
    location.password = password
        .filter(|password| !password.is_empty())
        .map(Secret::from);
    parameters.apply(&mut location)?;
    Ok(location)
}

/// `h1:5432,[::1]:5433,%2Frun%2Fpostgresql`. There is at least one.
fn hosts_of_authority(text: &str) -> Result<Vec<PostgresHost>, LocationError> {
    let mut hosts = Vec::new();
    for server in text.split(',') {
        let (name, port) = match server.strip_prefix('[') {
            Some(rest) => {
                let unclosed = LocationError::Form("an address in brackets does not end");
                let (name, rest) = rest.split_once(']').ok_or(unclosed)?;
                match (rest, rest.strip_prefix(':')) {
                    ("", _) => (name, DEFAULT_PORT),
                    (_, Some(port)) => (name, port),
                    (_, None) => return Err(BAD_PORT),
                }
            }
            None => server.split_once(':').unwrap_or((server, DEFAULT_PORT)),
        };
        hosts.push(host(&decoded(name)?, port)?);
    }
    few_enough(hosts)
}

/// `host=h1,h2&port=5432,5433`, or one port for all.
fn hosts_of_parameters(
    names: &str,
    ports: Option<String>,
) -> Result<Vec<PostgresHost>, LocationError> {
    let names: Vec<&str> = names.split(',').collect();
    let ports = ports.unwrap_or_else(|| DEFAULT_PORT.to_owned());
    let ports: Vec<&str> = ports.split(',').collect();
    let ports = match ports[..] {
        [port] => vec![port; names.len()],
        _ if ports.len() == names.len() => ports,
        _ => {
            return Err(LocationError::Value {
                name: "port",
                wanted: "one port, or as many as there are hosts",
            });
        }
    };
    let pairs = names.iter().zip(ports);
    let hosts: Result<Vec<_>, _> = pairs.map(|(name, port)| host(name, port)).collect();
    few_enough(hosts?)
}

fn few_enough(hosts: Vec<PostgresHost>) -> Result<Vec<PostgresHost>, LocationError> {
    match hosts.len() {
        0..=MAX_HOSTS => Ok(hosts),
        _ => Err(LocationError::Form("it has more than 16 hosts")),
    }
}

fn host(name: &str, port: &str) -> Result<PostgresHost, LocationError> {
    let is_usable = |c: char| !c.is_control() && !c.is_whitespace();
    if name.is_empty() {
        return Err(LocationError::Form("it has no host"));
    }
    if !name.chars().all(is_usable) {
        return Err(LocationError::Form(
            "a host has a character that no name has",
        ));
    }
    short_enough("name of a host", name, LONGEST_HOST)?;
    let port = port.parse().ok().filter(|port| *port > 0);
    Ok(PostgresHost {
        name: name.to_owned(),
        port: port.ok_or(BAD_PORT)?,
    })
}

fn decoded(text: &str) -> Result<String, LocationError> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded =
        decoded.map_err(|_| LocationError::Form("a percent-encoded part of it is not UTF-8"))?;
    Ok(decoded.into_owned())
}
