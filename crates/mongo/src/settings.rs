//! What a section says of its collection.

use std::num::NonZeroU32;
use std::time::Duration;

use mongodb::error::Error;
use mongodb::options::ClientOptions;

use crate::address::MongoAddress;

/// A collection, and how it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct MongoSettings {
    /// The servers.
    pub address: MongoAddress,
    /// The name of the database.
    pub database: String,
    /// The name of the collection.
    pub collection: String,
    /// How long an operation may take, with connecting.
    pub timeout: Duration,
    /// What happens while no server can be reached.
    pub selection: ServerSelection,
    /// How many connections there may be to each server.
    pub connections: NonZeroU32,
}

/// How long an operation waits for a server that can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSelection {
    /// As long as the operation may take: an election in a replica set fails no login.
    Patient,
    /// A second.
    FailFast,
}

/// The name of this program in the server's log.
const APP_NAME: &str = "wharfinger";

impl MongoSettings {
    /// The options of a client. Records of `mongodb+srv` are looked up.
    pub(crate) async fn options(&self) -> Result<ClientOptions, Error> {
        let selection = match self.selection {
            // Before the time of the whole operation is up: the driver knows why no server was found.
            ServerSelection::Patient => self.timeout.mul_f64(0.9),
            ServerSelection::FailFast => self.timeout.min(Duration::from_secs(1)),
        };
        let mut connection = self.address.connection().clone();
        connection.connect_timeout = shorter(connection.connect_timeout, self.timeout);
        connection.server_selection_timeout =
            shorter(connection.server_selection_timeout, selection);
        connection.max_pool_size = Some(self.connections.get());
        let name = &mut connection.app_name;
        name.get_or_insert_with(|| APP_NAME.to_owned());
        ClientOptions::parse(connection).await
    }
}

/// The time that a connection string gives, if it is shorter.
fn shorter(own: Option<Duration>, limit: Duration) -> Option<Duration> {
    Some(own.map_or(limit, |own| own.min(limit)))
}
