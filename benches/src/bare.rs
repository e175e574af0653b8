//! Programs made of `uring` alone: the budget that Ringway is measured against.

use std::process::Command;

use cluster::own_address;
use cluster::process::Process;

use crate::cpus::{self, Cpus};
use crate::goals::harness::Side;
use crate::programs;

/// One of the examples of `uring`, at work. Dropped, it is killed.
pub(crate) struct Bare {
    process: Process,
    /// HOST:PORT where it serves.
    address: String,
}

/// The path that a message takes through gateway and worker: client → `relay` → `echo` → `relay` → client.
pub(crate) struct TwoHops {
    hop: Bare,
    end: Bare,
}

impl TwoHops {
    /// Starts both.
    pub(crate) fn start(cpus: Cpus) -> TwoHops {
        let end = Bare::start(cpus, "echo", &[]);
        TwoHops { hop: Bare::start(cpus, "relay", &[&end.address]), end }
    }

    /// Both, as who is measured.
    pub(crate) fn side(&self) -> Side {
        Side { pids: vec![self.hop.process.id(), self.end.process.id()], ..self.hop.side() }
    }
}

impl Bare {
    /// Starts `example` on the servers' CPU, with an address to listen on and then `arguments`, and waits until it serves.
    pub(crate) fn start(cpus: Cpus, example: &str, arguments: &[&str]) -> Bare {
        let mut command = Command::new(programs::bare(example));
        command.arg(format!("{}:0", own_address())).args(arguments);
        let process = cpus::on(cpus.server, || Process::spawn(example, command));
        let address = process.await_line("ready: ");
        Bare { process, address }
    }

    /// It alone, as who is measured.
    pub(crate) fn side(&self) -> Side {
        Side { target: format!("tcp://{}", self.address), pids: vec![self.process.id()], admin: Vec::new() }
    }
}
