//! A program made of `ring` alone: the budget that Ringway is measured against.

use std::process::Command;
use std::time::Duration;

use cluster::own_address;
use cluster::process::Process;
use cluster::wait::wait_until;

use crate::cpus::{self, Cpus};
use crate::programs;

/// One of the examples of `ring`, at work. Dropped, it is killed.
pub struct Bare {
    process: Process,
    address: String,
}

impl Bare {
    /// Starts `example` on the servers' CPU, with an address to listen on and then `arguments`, and waits until it serves.
    pub fn start(cpus: Cpus, example: &str, arguments: &[&str]) -> Bare {
        let mut command = Command::new(programs::bare(example));
        command.arg(format!("{}:0", own_address())).args(arguments);
        let process = cpus::on(cpus.server, || Process::spawn(example, command));
        let address = wait_until("a bare program's address", || {
            let stdout = process.stdout();
            let (line, _) = stdout.split_once('\n')?;
            Some(line.strip_prefix("ready: ").expect("a bare program says where it serves").to_owned())
        });
        Bare { process, address }
    }

    /// HOST:PORT where it serves.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// CPU time it has used so far.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }
}
