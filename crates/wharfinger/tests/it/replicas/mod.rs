//! Several replicas of one server: PostgreSQL, one bucket, and any of them for each request.

mod clients;
mod storm;
mod world;
