//! Several replicas of one server: PostgreSQL, one bucket, and any of them for each request.

mod clients;
mod shared_state;
mod storm;
mod world;
