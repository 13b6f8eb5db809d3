//! What the system knows of this process, with the names that every Prometheus client library has.
//!
//! (Prometheus, "Writing client libraries", Process metrics; `proc_pid_stat(5)`.)

use std::fs;

use crate::Exposition;

/// How many times a second the kernel counts processor time. On Linux this is part of the interface
/// to programs (`USER_HZ`), and the same on every machine that this program is built for.
const TICKS: f64 = 100.0;

/// Writes the metrics of this process. What cannot be read is left out.
pub fn write(out: &mut Exposition) {
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(stat) = ProcessStat::parse(&stat)
    {
        out.counter(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
        )
        .sample(&[], stat.ticks as f64 / TICKS);
        if let Some(boot) = boot_time() {
            out.gauge(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
            )
            .sample(&[], boot as f64 + stat.start_ticks as f64 / TICKS);
        }
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (name, help, line) in [
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                "VmRSS:",
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                "VmSize:",
            ),
            (
                "process_threads",
                "Number of threads of the process.",
                "Threads:",
            ),
        ] {
            if let Some(value) = status_value(&status, line) {
                out.gauge(name, help).sample(&[], value);
            }
        }
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        out.gauge("process_open_fds", "Number of open file descriptors.")
            // The directory itself is open while it is read.
            .sample(&[], files.count().saturating_sub(1));
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = open_files_limit(&limits) {
        out.gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
        )
        .sample(&[], limit);
    }
}

/// Some fields of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct ProcessStat {
    /// Processor time, of the program and of the kernel for it.
    ticks: u64,
    start_ticks: u64,
}

impl ProcessStat {
    fn parse(text: &str) -> Option<Self> {
        // The name is in parentheses and may have spaces and parentheses itself.
        let (_, rest) = text.rsplit_once(") ")?;
        // The first of these is field 3, the state.
        let fields: Vec<_> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
        })
    }
}

/// A number of `/proc/self/status`, in bytes if it is a size.
fn status_value(status: &str, name: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim();
    match value.strip_suffix(" kB") {
        Some(kibibytes) => Some(kibibytes.parse::<u64>().ok()? << 10),
        None => value.parse().ok(),
    }
}

/// When the machine started, in seconds since the Unix epoch.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

/// The soft limit of `Max open files`.
fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextFormat;

    #[test]
    fn a_name_may_hold_anything() {
        let text = "42 (a) b ((c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 777 4096000 25 rest";
        assert_eq!(
            ProcessStat::parse(text),
            Some(ProcessStat {
                ticks: 200,
                start_ticks: 777,
            })
        );
        assert_eq!(ProcessStat::parse("42 (a) S"), None);
    }

    #[test]
    fn this_process_is_measured() {
        let mut exposition = Exposition::new(TextFormat::Prometheus);
        write(&mut exposition);
        let text = exposition.finish();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
        ] {
            assert!(
                text.contains(&format!("\n{name} ")),
                "{name} is not in\n{text}"
            );
        }
    }

    #[test]
    fn sizes_become_bytes() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(status_value(status, "VmRSS:"), Some(2 << 20));
        assert_eq!(status_value(status, "Threads:"), Some(7));
        assert_eq!(status_value(status, "VmSize:"), None);
    }

    #[test]
    fn a_limit_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
    }
}
