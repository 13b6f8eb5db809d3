//! What goes wrong during a storm.

use std::fmt;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use peers::{Fault, Signal, run as run_command};

use super::Storm;
use super::client::Random;
use crate::replicas::world::{PROGRAM, Replicas};

/// How often each thing went wrong.
#[derive(Default)]
pub(super) struct Done {
    kills: u32,
    pauses: u32,
    database_stops: u32,
    store_outages: u32,
    store_faults: u32,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} pauses, {} stops of the database, {} outages of the store, {} other faults of it",
            self.kills, self.pauses, self.database_stops, self.store_outages, self.store_faults
        )
    }
}

/// Lets things go wrong until `end`. Everything runs when it returns.
pub(super) fn run(storm: &Storm, replicas: &Mutex<Replicas>, seed: u64, end: Instant) -> Done {
    let mut random = Random(seed);
    let mut done = Done::default();
    let count = storm.addresses.len() as u64;
    while Instant::now() < end {
        let calm = 200 + random.below(1500);
        thread::sleep(Duration::from_millis(calm));
        let victim = usize::try_from(random.below(count)).unwrap();
        let moment = Duration::from_millis(200 + random.below(3000));
        match random.below(10) {
            0..=3 => {
                let mut replicas = replicas.lock().unwrap();
                replicas.servers[victim].kill();
                replicas.servers[victim].start_again();
                done.kills += 1;
            }
            4..=5 => {
                // One in four is paused for longer than its leases last.
                let moment = match random.below(4) {
                    0 => Duration::from_secs(35),
                    _ => moment,
                };
                let signal = |signal| replicas.lock().unwrap().servers[victim].signal(signal);
                signal(Signal::Stop);
                thread::sleep(moment);
                signal(Signal::Continue);
                done.pauses += 1;
            }
            6 => {
                let mut replicas = replicas.lock().unwrap();
                replicas.postgres.kill();
                replicas.postgres.start_again();
                done.database_stops += 1;
            }
            7 => {
                let fail = |fault| replicas.lock().unwrap().proxy.fail_all(fault);
                let status = Fault::Status(if random.below(2) == 0 { 503 } else { 500 });
                fail(Some(status));
                thread::sleep(moment);
                fail(None);
                done.store_outages += 1;
            }
            fault => {
                let fault = match (fault, random.below(3)) {
                    (8, 0) => Fault::Cut,
                    (8, _) => Fault::LoseAnswer,
                    (_, 0) => Fault::ErrorWithin200,
                    (_, 1) => Fault::Delay(moment),
                    (_, _) => Fault::CutAnswer(1000),
                };
                let kind = ["PUT", "POST", "GET"][usize::try_from(random.below(3)).unwrap()];
                replicas.lock().unwrap().proxy.fail(kind, 0, fault);
                done.store_faults += 1;
            }
        }
    }
    done
}

/// Collects until the storm is over. Returns how often that succeeded: it may fail while everything fails.
pub(super) fn collect(storm: &Storm, replicas: &Mutex<Replicas>) -> u32 {
    let config = replicas.lock().unwrap().servers[0].config();
    let mut succeeded = 0;
    while !storm.is_over.load(Ordering::SeqCst) {
        let mut command = Command::new(PROGRAM);
        let output = run_command(command.args(["registry", "gc"]).arg(&config));
        succeeded += u32::from(output.status.success());
        thread::sleep(Duration::from_millis(500));
    }
    succeeded
}
