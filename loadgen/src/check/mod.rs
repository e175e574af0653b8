//! Whether this machine can carry out a plan: the plan and the machine's settings in, findings out. Touches neither.

mod system;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{
    BYTES_PER_CLIENT, BYTES_PER_CORE, BYTES_PER_SERVER_CLIENT, BYTES_PER_SOCKET, FILES_PER_CORE,
    LOCKED_BYTES_MIN, PAGE_SIZE, PENDING_MAX, PORT_RANGE_MAX, SPREAD_MAX,
};
use crate::plan::Plan;
use crate::step::{Step, Workload};

pub use system::{Conntrack, System};

/// A setting of the machine that is too low for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What follows from it.
    pub severity: Severity,
    /// The setting, as the system names it.
    pub setting: &'static str,
    /// Its value, with the unit if there is one.
    pub value: String,
    /// The lowest value that does, in the same unit.
    pub needed: String,
    /// The command or the flag that helps.
    pub remedy: String,
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The run may be slower, or lose connections, than the server is to blame for.
    Warning,
    /// The run cannot succeed.
    Error,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let Finding { setting, value, needed, remedy, .. } = self;
        write!(f, "{severity}: {setting} is {value}, {needed} needed: {remedy}")
    }
}

/// What stands in the way of `plan`; nothing if the machine is ready. Settings that are not known are taken as enough.
pub fn check(plan: &Plan, system: &System) -> Vec<Finding> {
    let rules = [ring_files, process_files, system_files, ports, accept_queue, tcp_pages, conntrack];
    let rules = rules.into_iter().chain([locked_memory, memory]);
    rules.filter_map(|rule| rule(plan, system)).collect()
}

/// Direct descriptors: the kernel gives a ring as many as the process may have open files.
fn ring_files(plan: &Plan, system: &System) -> Option<Finding> {
    let limit = system.open_files?;
    let needed = (0..plan.cores()).map(|core| plan.sockets(core)).max()? as u64;
    let others = plan.spare_sockets();
    let threads = plan.conns.div_ceil(usize::try_from(limit).ok()?.saturating_sub(others).max(1));
    (limit < needed).then(|| Finding {
        severity: Severity::Error,
        setting: "open files (ulimit -n), for the sockets of one thread",
        value: limit.to_string(),
        needed: needed.to_string(),
        remedy: format!("`ulimit -n {needed}`, or --count {threads}"),
    })
}

/// Ordinary descriptors: each thread has some for its rings, whatever the sockets.
fn process_files(plan: &Plan, system: &System) -> Option<Finding> {
    let limit = system.open_files?;
    let needed = FILES_PER_CORE * (plan.cores() as u64 + 1);
    (limit < needed).then(|| Finding {
        severity: Severity::Error,
        setting: "open files (ulimit -n), for all threads",
        value: limit.to_string(),
        needed: needed.to_string(),
        remedy: format!("`ulimit -n {needed}`, or a lower --count"),
    })
}

/// Sockets are files of the system, wherever their descriptors are.
fn system_files(plan: &Plan, system: &System) -> Option<Finding> {
    let left = system.files_left?;
    let needed = plan.conns as u64 * plan.ends();
    (left < needed).then(|| Finding {
        severity: Severity::Warning,
        setting: "fs.file-max, less files in use,",
        value: left.to_string(),
        needed: needed.to_string(),
        remedy: format!("`sysctl -w fs.file-max={}`", 2 * needed),
    })
}

/// Each connection has a port of its own towards its destination. The kernel gives out the odd half of the range fast,
/// the rest slowly.
fn ports(plan: &Plan, system: &System) -> Option<Finding> {
    let range = system.ports?;
    let needed = plan.ports_per_destination();
    let severity = if needed > range { Severity::Error } else { Severity::Warning };
    (needed > range / 2).then(|| Finding {
        severity,
        setting: "net.ipv4.ip_local_port_range",
        value: format!("{range} ports, {} of them found fast", range / 2),
        needed: format!(
            "{needed} per destination{}",
            if plan.sources.len() > 1 { " and source" } else { "" }
        ),
        remedy: more_ports(plan, range, needed),
    })
}

fn more_ports(plan: &Plan, range: u64, needed: u64) -> String {
    let widest = needed <= PORT_RANGE_MAX / 2 && range < PORT_RANGE_MAX;
    let range = if widest { PORT_RANGE_MAX } else { range };
    let times = needed.div_ceil((range / 2).max(1));
    let listeners: BTreeSet<u16> = plan.destinations.iter().map(|target| target.address.port()).collect();
    let addresses = times * plan.destinations.len() as u64 / listeners.len().max(1) as u64;
    if widest {
        "`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`".into()
    } else if !plan.is_local() {
        let sources = times * plan.sources.len().max(1) as u64;
        format!("--source with {sources} addresses, or {times} times as many targets (addresses or ports)")
    } else if addresses <= u64::from(SPREAD_MAX) {
        format!("--spread {addresses}, with a server that listens on 0.0.0.0")
    } else {
        format!("--spread {SPREAD_MAX} and more targets, with servers that listen on 0.0.0.0")
    }
}

/// What does not fit into a listener's queue is dropped, and comes again after a second.
fn accept_queue(plan: &Plan, system: &System) -> Option<Finding> {
    let queue = system.accept_queue.filter(|_| plan.is_local())?;
    let needed = plan.conns.min(PENDING_MAX * plan.cores()) as u64;
    (queue < needed).then(|| Finding {
        severity: Severity::Warning,
        setting: "net.core.somaxconn",
        value: queue.to_string(),
        needed: format!("up to {needed}"),
        remedy: format!("`sysctl -w net.core.somaxconn={}` before the server starts", needed.min(65_535)),
    })
}

/// A socket with a message in its buffers takes at least a page for it, an idle one none.
fn tcp_pages(plan: &Plan, system: &System) -> Option<Finding> {
    let mark = system.tcp_pages?;
    let busy = plan.steps.iter().filter(|step| !matches!(step.workload, Workload::Idle));
    let pages = |step: &Step| step.clients as u64 * plan.ends() * (step.size as u64).div_ceil(PAGE_SIZE);
    let needed = busy.map(pages).max().unwrap_or(0);
    (mark < needed).then(|| Finding {
        severity: Severity::Warning,
        setting: "net.ipv4.tcp_mem, pressure,",
        value: format!("{mark} pages"),
        needed: format!("up to {needed}, if all have a message at once,"),
        remedy: format!("`sysctl -w net.ipv4.tcp_mem=\"{needed} {needed} {}\"`", 2 * needed),
    })
}

fn conntrack(plan: &Plan, system: &System) -> Option<Finding> {
    let Conntrack { tracked, max } = system.conntrack?;
    let needed = tracked + plan.conns as u64;
    (max < needed).then(|| Finding {
        severity: Severity::Error,
        setting: "net.netfilter.nf_conntrack_max",
        value: max.to_string(),
        needed: needed.to_string(),
        remedy: format!("`sysctl -w net.netfilter.nf_conntrack_max={needed}`"),
    })
}

fn locked_memory(_: &Plan, system: &System) -> Option<Finding> {
    let limit = system.locked_memory?;
    (limit < LOCKED_BYTES_MIN).then(|| Finding {
        severity: Severity::Error,
        setting: "locked memory (ulimit -l)",
        value: format!("{} KiB", limit >> 10),
        needed: format!("{} KiB", LOCKED_BYTES_MIN >> 10),
        remedy: "`ulimit -l unlimited`".into(),
    })
}

/// Sockets of both ends if the server is here, what both programs keep for each, and the threads.
fn memory(plan: &Plan, system: &System) -> Option<Finding> {
    let available = system.memory?;
    let server = if plan.is_local() { BYTES_PER_SERVER_CLIENT } else { 0 };
    let each = BYTES_PER_SOCKET * plan.ends() + BYTES_PER_CLIENT + server;
    let needed = plan.conns as u64 * each + plan.cores() as u64 * BYTES_PER_CORE;
    (available < needed).then(|| Finding {
        severity: Severity::Error,
        setting: "MemAvailable",
        value: format!("{} MiB", available >> 20),
        needed: format!("{} MiB", needed.div_ceil(1 << 20)),
        remedy: format!("--conns {}, or a machine with more memory", {
            available.saturating_sub(plan.cores() as u64 * BYTES_PER_CORE) / each
        }),
    })
}
