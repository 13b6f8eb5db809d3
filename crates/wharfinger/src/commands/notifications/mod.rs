//! `wharfinger notifications`: what became of notifications, and sending them again.

mod list;
mod retry;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use database::Database;
use notifications::{DeliveryList, DeliveryListError, DeliveryStore, EndpointNames};

use super::managed_database::failed;
use super::runtime;
use crate::config::Config;
use crate::failure::Failure;

/// Show what became of notifications, and send them again
///
/// A server with endpoints in `notifications` tells them of each push and deletion of a manifest or tag
/// until they accept it. Pulls and what happens to blobs are only in its memory, and are not listed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListDeliveries),
    Retry(retry::Retry),
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
        match arguments.command {
            Command::List(list) => list.run().await,
            Command::Retry(retry) => retry.run().await,
        }
    })
}

/// The notifications of the server that `config` configures.
fn deliveries(config: &Config, database: Database) -> DeliveryList {
    let endpoints = match (&config.notifications, &config.registry) {
        (Some(settings), _) => EndpointNames::of(settings),
        (None, Some(_)) => EndpointNames::Configured(Vec::new()),
        (None, None) => EndpointNames::Elsewhere,
    };
    DeliveryList::new(DeliveryStore::new(database), endpoints)
}

fn refused(error: &DeliveryListError) -> Failure {
    match error {
        DeliveryListError::UnknownEndpoint { .. } | DeliveryListError::RemovedEndpoint { .. } => {
            Failure::usage(error.to_string())
        }
        DeliveryListError::Database(error) => failed(error),
    }
}
