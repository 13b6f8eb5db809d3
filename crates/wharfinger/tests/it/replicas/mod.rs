//! Several replicas of one server: PostgreSQL, one bucket, and any of them for each request.

mod checks;
mod clients;
mod cluster;
mod image;
mod kill_points;
mod outage;
mod rolling_restart;
mod shared_state;
mod stale_reads;
mod storm;
mod wire;
mod world;
