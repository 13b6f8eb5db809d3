//! A network for one test. It can have any address, public or private, and all its ports are free.

use std::process::Command;

use crate::{Output, program, run};

/// Runs a shell script in a network that has only a loopback device, to which `addresses` are added.
/// Processes that the script started in the background end with it.
///
/// # Panics
/// If `unshare` or `ip` is missing, or the script takes too long.
#[must_use]
pub fn in_network(addresses: &[&str], script: &str) -> Output {
    let ip = program("ip").display().to_string();
    let added: String = addresses
        .iter()
        .map(|address| format!("{ip} address add {address}/32 dev lo\n"))
        .collect();
    let script = format!("{ip} link set lo up\n{added}{script}");
    let mut command = Command::new(program("unshare"));
    command
        .args([
            "--net",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child=KILL",
        ])
        .arg(program("sh"));
    run(command.args(["-ec", &script]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_machine_has() {
        let output = in_network(&["203.0.113.5"], "ip -brief address show lo; sleep 600 &");
        assert!(output.succeeded().contains("203.0.113.5/32"), "{output}");
    }
}
