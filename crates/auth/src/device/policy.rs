//! How long device logins wait for a person, and how many there may be.

use std::time::Duration;

/// The bounds of device logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceLoginPolicy {
    /// How long a person has time to approve (`expires_in`).
    pub ttl: Duration,
    /// How long a device waits between two polls (`interval`).
    pub interval: Duration,
    /// How many device logins there may be at once.
    pub max_logins: u32,
    /// How many of them one client's network may have begun.
    pub per_network: u32,
}

impl Default for DeviceLoginPolicy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(10 * 60),
            interval: Duration::from_secs(5),
            max_logins: 10_000,
            per_network: 50,
        }
    }
}
