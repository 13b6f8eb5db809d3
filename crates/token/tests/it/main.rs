//! What the crate does, seen from outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

mod certificates;
mod constraints;
mod fuzz;
mod keys;
mod tokens;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::SystemEntropy;
use token::{Certificate, CertificateRequest, KeyKind, PrivateKey};

/// The moment at which all these tests take place: 2033-05-18T03:33:20Z.
const NOW: u64 = 2_000_000_000;
const DAY: u64 = 24 * 3600;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A request for a certificate that is valid for a day before and after [`NOW`].
fn request(name: &str) -> CertificateRequest {
    CertificateRequest {
        common_name: name.to_owned(),
        hosts: vec![format!("{name}.example.com")],
        addresses: Vec::new(),
        not_before: at(NOW - DAY),
        not_after: at(NOW + DAY),
        authority: false,
    }
}

fn certified(kind: KeyKind, name: &str) -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(kind).unwrap();
    let certificate = request(name).self_signed(&key, &SystemEntropy).unwrap();
    (key, certificate)
}
