//! What goes wrong during a storm.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use peers::{Fault, Signal};

use super::client::Random;
use super::database::Step;
use super::{Storm, World};
use crate::replicas::world::PROGRAM;

/// The steps of a request at which a replica is killed or paused.
const STEPS: [Step; 11] = [
    Step::Before("begin_upload_1"),
    Step::After("lease_upload_1"),
    Step::Before("record_upload_1"),
    Step::After("record_upload_1"),
    Step::Before("reserve_blob_1"),
    // The object is stored, and there is no row.
    Step::Before("commit_blob_1"),
    Step::After("commit_blob_1"),
    Step::Before("push_with_tags_1"),
    Step::After("push_with_tags_1"),
    Step::Before("remove_with_tags_1"),
    Step::After("remove_with_tags_1"),
];

/// The steps at which a collection is killed.
const COLLECTION_STEPS: [Step; 6] = [
    Step::Before("mark_blobs_1"),
    Step::After("mark_blobs_1"),
    Step::Before("set_horizons_1"),
    Step::Before("sweep_blobs_1"),
    Step::After("sweep_blobs_1"),
    Step::Before("DELETE FROM blobs WHERE generation"),
];

/// How long a step is waited for.
const STEP: Duration = Duration::from_secs(3);

/// How often each thing went wrong.
#[derive(Default)]
pub(super) struct Done(BTreeMap<&'static str, u32>);

impl Done {
    fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self
            .0
            .iter()
            .map(|(what, count)| format!("{count} × {what}"))
            .collect();
        f.write_str(&counts.join(", "))
    }
}

/// Lets things go wrong until `end`. Everything runs when it returns.
pub(super) fn run(storm: &Storm, world: &Mutex<World>, seed: u64, end: Instant) -> Done {
    let mut random = Random(seed);
    let mut done = Done::default();
    let count = storm.addresses.len() as u64;
    while Instant::now() < end {
        let calm = 200 + random.below(1500);
        thread::sleep(Duration::from_millis(calm));
        let victim = usize::try_from(random.below(count)).unwrap();
        let moment = Duration::from_millis(200 + random.below(3000));
        match random.below(12) {
            0..=1 => {
                let mut world = world.lock().unwrap();
                world.replicas.servers[victim].kill();
                world.replicas.servers[victim].start_again();
                done.add("killed");
            }
            2..=4 => done.add(kill_at_a_step(world, victim, &mut random)),
            5..=6 => {
                // One in four is paused for longer than its leases last.
                let moment = match random.below(4) {
                    0 => Duration::from_secs(35),
                    _ => moment,
                };
                done.add(pause(world, victim, moment, &mut random));
            }
            7 => done.add(stop_the_database(&mut world.lock().unwrap(), &mut random)),
            8 => {
                let World {
                    replicas, hosts, ..
                } = &mut *world.lock().unwrap();
                hosts.fail_over(&mut replicas.postgres, || {});
                done.add("standby promoted");
            }
            9 => {
                let fail = |fault| world.lock().unwrap().replicas.proxy.fail_all(fault);
                let status = Fault::Status(if random.below(2) == 0 { 503 } else { 500 });
                fail(Some(status));
                thread::sleep(moment);
                fail(None);
                done.add("store away");
            }
            fault => {
                let fault = match (fault, random.below(3)) {
                    (10, 0) => Fault::Cut,
                    (10, _) => Fault::LoseAnswer,
                    (_, 0) => Fault::ErrorWithin200,
                    (_, 1) => Fault::Delay(moment),
                    (_, _) => Fault::CutAnswer(1000),
                };
                let kind = ["PUT", "POST", "GET"][usize::try_from(random.below(3)).unwrap()];
                let world = world.lock().unwrap();
                world.replicas.proxy.fail(kind, 0, fault);
                done.add("request to the store failed");
            }
        }
    }
    done
}

/// Kills a replica at one of the steps, if it comes to it in time.
fn kill_at_a_step(world: &Mutex<World>, victim: usize, random: &mut Random) -> &'static str {
    let step = *random.one_of(&STEPS);
    let held = world.lock().unwrap().hosts.hold(victim, step);
    let is_reached = held.is_reached_within(STEP);
    let mut world = world.lock().unwrap();
    world.hosts.hold_nothing(victim);
    world.replicas.servers[victim].kill();
    held.discard();
    world.replicas.servers[victim].start_again();
    if is_reached {
        "killed at a step"
    } else {
        "killed"
    }
}

/// Pauses a replica, half of the time at one of the steps, whose message goes on afterwards.
fn pause(
    world: &Mutex<World>,
    victim: usize,
    moment: Duration,
    random: &mut Random,
) -> &'static str {
    let step = *random.one_of(&STEPS);
    let mut is_reached = false;
    let held = (random.below(2) == 0).then(|| world.lock().unwrap().hosts.hold(victim, step));
    if let Some(held) = &held {
        is_reached = held.is_reached_within(STEP);
        world.lock().unwrap().hosts.hold_nothing(victim);
    }
    let signal = |signal| world.lock().unwrap().replicas.servers[victim].signal(signal);
    signal(Signal::Stop);
    thread::sleep(moment);
    if let Some(held) = held {
        held.resume();
    }
    signal(Signal::Continue);
    if is_reached {
        "paused at a step"
    } else {
        "paused"
    }
}

fn stop_the_database(world: &mut World, random: &mut Random) -> &'static str {
    let postgres = &mut world.replicas.postgres;
    match random.below(2) {
        0 => postgres.kill(),
        _ => postgres.stop_immediately(),
    }
    postgres.start_again();
    "database stopped"
}

/// Collects until the storm is over, and kills some collections at a step. Returns how many succeeded, and
/// how many were killed: the others fail while everything fails.
pub(super) fn collect(storm: &Storm, world: &Mutex<World>, config: &Path, seed: u64) -> (u32, u32) {
    let mut random = Random(seed ^ 0xc011);
    let (mut succeeded, mut killed) = (0, 0);
    // The proxies of collection come after those of the replicas.
    let collector = storm.addresses.len();
    while !storm.is_over.load(Ordering::SeqCst) {
        let step = (random.below(3) == 0).then(|| *random.one_of(&COLLECTION_STEPS));
        let held = step.map(|step| world.lock().unwrap().hosts.hold(collector, step));
        let mut command = Command::new(PROGRAM);
        command.args(["registry", "gc"]).arg(config);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut collection = quiet.spawn().unwrap();
        if let Some(held) = held {
            if held.is_reached_within(STEP) {
                collection.kill().unwrap();
                killed += 1;
            }
            held.discard();
            world.lock().unwrap().hosts.hold_nothing(collector);
        }
        succeeded += u32::from(collection.wait().unwrap().success());
        thread::sleep(Duration::from_millis(500));
    }
    (succeeded, killed)
}
