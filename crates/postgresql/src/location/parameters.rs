//! The parameters of a URL, named as libpq names them.

use std::path::PathBuf;
use std::time::Duration;

use client_tls::ServerVerification;
use tokio_postgres::config::ChannelBinding;

use super::{
    LocationError, PemSource, PostgresLocation, PostgresTls, PostgresTlsSettings, TargetSession,
    short_enough,
};

/// The parameters that are known, and those of them that say where the server is.
const KNOWN: [&str; 14] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "target_session_attrs",
    "connect_timeout",
    "application_name",
    "channel_binding",
    "fallback_application_name",
];
const KNOWN_LIST: &str = "sslmode, sslrootcert, sslcert, sslkey, target_session_attrs, \
                          connect_timeout, application_name, channel_binding, host, port, user, \
                          password and dbname";

const BAD_TLS_MODE: LocationError = LocationError::Value {
    name: "sslmode",
    wanted: "disable, require, verify-ca or verify-full",
};
/// libpq's `allow` and `prefer` go on without TLS if the answer is that there is none, and any machine
/// in between can give that answer.
const WEAK_TLS_MODE: LocationError = LocationError::Value {
    name: "sslmode",
    wanted: "verify-full, verify-ca, require or disable: `allow` and `prefer` do not protect, \
             because a machine in between can refuse TLS",
};

/// The longest connect_timeout, in seconds.
const LONGEST_TIMEOUT: u64 = 60;
/// How much of an unknown name is shown.
const SHOWN: usize = 40;

/// What was written and not used yet.
pub(super) struct UrlParameters(Vec<(&'static str, String)>);

impl UrlParameters {
    pub(super) fn parse(query: &str) -> Result<Self, LocationError> {
        let mut parameters = Vec::<(&'static str, String)>::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            // libpq decodes `%20` and leaves `+` as it is.
            let part = part.replace('+', "%2B");
            let Some((name, value)) = form_urlencoded::parse(part.as_bytes()).next() else {
                continue;
            };
            let Some(known) = KNOWN.into_iter().find(|known| *known == name) else {
                let shown: String = name.chars().take(SHOWN).collect();
                return Err(LocationError::UnknownParameter {
                    name: common::escape_line(&shown).into_owned(),
                    known: KNOWN_LIST,
                });
            };
            if parameters.iter().any(|(name, _)| *name == known) {
                return Err(LocationError::Repeated(known));
            }
            short_enough("value of a parameter", &value, 4096)?;
            parameters.push((known, value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The value of `name`, if it is there and not empty.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(place).1).filter(|value| !value.is_empty())
    }

    /// Those that say how the servers are reached.
    pub(super) fn apply(mut self, location: &mut PostgresLocation) -> Result<(), LocationError> {
        location.target = self.target(location.hosts.len())?;
        location.tls = self.tls(location)?;
        if let Some(seconds) = self.take("connect_timeout") {
            let seconds = seconds.parse().ok();
            let seconds = seconds.filter(|seconds| (1..=LONGEST_TIMEOUT).contains(seconds));
            location.connect_timeout =
                Duration::from_secs(seconds.ok_or(LocationError::Value {
                    name: "connect_timeout",
                    wanted: "a number of seconds from 1 to 60",
                })?);
        }
        let fallback = self.take("fallback_application_name");
        if let Some(name) = self.take("application_name").or(fallback) {
            short_enough("application_name", &name, 63)?;
            location.application_name = name;
        }
        location.channel_binding = match self.take("channel_binding").as_deref() {
            Some("disable") => ChannelBinding::Disable,
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("require") => ChannelBinding::Require,
            Some(_) => {
                return Err(LocationError::Value {
                    name: "channel_binding",
                    wanted: "disable, prefer or require",
                });
            }
        };
        Ok(())
    }

    fn target(&mut self, hosts: usize) -> Result<TargetSession, LocationError> {
        match self.take("target_session_attrs").as_deref() {
            None if hosts > 1 => Ok(TargetSession::ReadWrite),
            None | Some("any") => Ok(TargetSession::Any),
            Some("read-write" | "primary") => Ok(TargetSession::ReadWrite),
            Some(_) => Err(LocationError::Value {
                name: "target_session_attrs",
                wanted: "read-write, primary or any: this program writes",
            }),
        }
    }

    fn tls(&mut self, location: &mut PostgresLocation) -> Result<PostgresTls, LocationError> {
        let mut file = |name| {
            self.take(name)
                .map(|path| PemSource::File(PathBuf::from(path)))
        };
        let (certificate, key) = (file("sslcert"), file("sslkey"));
        let root = self.take("sslrootcert");
        let mode = self.take("sslmode");
        let is_local = |host: &super::PostgresHost| host.is_socket() || host.is_loopback();
        let is_local = location.hosts.iter().all(is_local);
        let verification = match mode.as_deref() {
            // No other machine is in between.
            None if is_local && root.is_none() => return Ok(PostgresTls::Off),
            Some("disable") => {
                if !is_local {
                    location.warnings.push(
                        "sslmode=disable sends everything to another machine in the clear: write \
                         sslmode=verify-full",
                    );
                }
                return Ok(PostgresTls::Off);
            }
            None | Some("verify-full") => ServerVerification::AuthorityAndName,
            Some("verify-ca") => ServerVerification::Authority,
            // As in libpq: a root that is there is a reason to verify.
            Some("require") if root.is_some() => ServerVerification::Authority,
            Some("require") => {
                location
                    .warnings
                    .push("sslmode=require does not verify the server: write sslmode=verify-full");
                ServerVerification::Nothing
            }
            Some("prefer" | "allow") => return Err(WEAK_TLS_MODE),
            Some(_) => return Err(BAD_TLS_MODE),
        };
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(LocationError::Form("it has only one of sslcert and sslkey")),
        };
        let authorities = root
            .filter(|root| root != "system")
            .map(|path| PemSource::File(PathBuf::from(path)));
        Ok(PostgresTls::Required(PostgresTlsSettings {
            verification,
            authorities,
            certificate,
        }))
    }
}
