//! Storage as a registry meets it: one suite for whatever implements a seam, and the ways to break it.

mod blobs;
mod collecting;
mod content;
mod faults;
mod interleavings;
mod kill;
mod manifests;
mod pages;
mod recovery;
mod uploads;
mod world;
