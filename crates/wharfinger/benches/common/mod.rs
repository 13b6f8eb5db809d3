//! What the benchmarks share: a server pinned to a core, and what it has used of it.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod content;
pub(crate) mod features;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod transfer;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many connections the load comes over.
pub(crate) const CONNECTIONS: usize = 16;

/// `program`, to be run on these cores.
pub(crate) fn pinned(cores: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// A server, ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
    /// From its start to its first answer.
    pub(crate) ready_after: Duration,
}

impl Process {
    /// Starts `command`, which is to listen on `address`, and waits until it answers at `path`.
    pub(crate) fn start(command: &mut Command, address: &str, path: &str) -> Self {
        Self::start_until(command, address, |process| process.get(path, "").is_some())
    }

    /// Starts `command` and waits until it accepts connections on `address`.
    pub(crate) fn start_listening(command: &mut Command, address: &str) -> Self {
        Self::start_until(command, address, |process| {
            TcpStream::connect(&process.address).is_ok()
        })
    }

    /// The same. Its log is written to this file.
    pub(crate) fn start_logging(command: &mut Command, address: &str, log: File) -> Self {
        Self::start_with(command, address, Stdio::from(log), |process| {
            TcpStream::connect(&process.address).is_ok()
        })
    }

    fn start_until(command: &mut Command, address: &str, is_ready: impl Fn(&Self) -> bool) -> Self {
        Self::start_with(command, address, Stdio::null(), is_ready)
    }

    fn start_with(
        command: &mut Command,
        address: &str,
        log: Stdio,
        is_ready: impl Fn(&Self) -> bool,
    ) -> Self {
        let began = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut process = Self {
            child,
            address: address.to_owned(),
            ready_after: Duration::ZERO,
        };
        while !is_ready(&process) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "{command:?} does not start"
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        process.ready_after = began.elapsed();
        process
    }

    /// The status of one GET over a connection of its own.
    pub(crate) fn get(&self, url: &str, header: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(
            stream,
            "GET {url} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n{header}\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Waits until it answers 200 at `path`.
    pub(crate) fn wait_for(&self, path: &str) {
        let began = Instant::now();
        while self.get(path, "") != Some(200) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{path} never answered 200"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks it to end (SIGTERM), and does not wait.
    pub(crate) fn terminate(&self) {
        let mut kill = Command::new(peers::program("kill"));
        let sent = kill.args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&format!("/proc/{}/stat", self.child.id()))
    }

    /// A field of its status, in MB: `VmRSS:` is what it has in memory, `VmHWM:` the most that it
    /// ever had.
    pub(crate) fn megabytes(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            * 1024.0
            / 1e6
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process or thread, from its `stat` file (proc(5): fields 14 and 15, in
/// hundredths).
pub(crate) fn cpu_seconds(stat: &str) -> f64 {
    let stat = std::fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// User and system time of a process with its children, of which each may have ended.
pub(crate) fn cpu_seconds_with_children(process: u32) -> f64 {
    let parent = process.to_string();
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // It may end meanwhile, and what is no process has no such file.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let counted = match fields[1] == parent {
            true => 11..13,
            // The waited-for children, too.
            false if entry.file_name() == *parent => 11..15,
            false => continue,
        };
        let times = fields[counted].iter().map(|ticks| ticks.parse::<f64>());
        ticks += times.map(Result::unwrap).sum::<f64>();
    }
    ticks / 100.0
}

/// How often `work` can be done in a second of one core, measured for three.
pub(crate) fn rate(mut work: impl FnMut() + Send) -> f64 {
    let measured = move || {
        let before = cpu_seconds("/proc/thread-self/stat");
        let (began, mut count) = (Instant::now(), 0.0);
        while began.elapsed() < Duration::from_secs(3) {
            work();
            count += 1.0;
        }
        count / (cpu_seconds("/proc/thread-self/stat") - before)
    };
    std::thread::scope(|scope| scope.spawn(measured).join().unwrap())
}

/// The middle one.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// 1,234, or 12.3 if it is small.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}
