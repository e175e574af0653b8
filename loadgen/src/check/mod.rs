//! Whether this machine can carry out a plan: the plan and the machine's settings in, findings out. Touches neither.

mod system;

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{
    BYTES_PER_CLIENT, BYTES_PER_CORE, BYTES_PER_SERVER_CLIENT, BYTES_PER_SOCKET, FILES_PER_CORE, PAGE_SIZE,
    PORT_RANGE_MAX, SPREAD_MAX,
};
use crate::flags::Scenario;
use crate::plan::Plan;
use crate::step::Step;

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

/// The settings that are too low for `plan`; none if the machine is ready. Settings that are not known are taken as enough.
pub fn check(plan: &Plan, system: &System) -> Vec<Finding> {
    let rules = [ring_files, process_files, system_files, ports, accept_queue, tcp_pages, conntrack, memory];
    rules.into_iter().filter_map(|rule| rule(plan, system)).collect()
}

impl Finding {
    /// The finding if `value` is less than `needed`, both in the same unit.
    fn below(
        severity: Severity,
        setting: &'static str,
        value: u64,
        needed: u64,
        remedy: String,
    ) -> Option<Finding> {
        let (value_text, needed_text) = (value.to_string(), needed.to_string());
        let finding = Finding { severity, setting, value: value_text, needed: needed_text, remedy };
        (value < needed).then_some(finding)
    }
}

/// Direct descriptors: the kernel gives a ring as many as the process may have open files.
fn ring_files(plan: &Plan, system: &System) -> Option<Finding> {
    let limit = system.open_files?;
    let needed = (0..plan.cores()).map(|core| plan.sockets(core)).max()? as u64;
    let for_clients = usize::try_from(limit).ok()?.saturating_sub(plan.spare_sockets()).max(1);
    let threads = plan.flags.conns.div_ceil(for_clients);
    let setting = "open files (ulimit -n), for the sockets of one thread";
    let remedy = format!("`ulimit -n {needed}`, or --count {threads}");
    Finding::below(Severity::Error, setting, limit, needed, remedy)
}

/// Ordinary descriptors: each thread has some for its rings, whatever the sockets.
fn process_files(plan: &Plan, system: &System) -> Option<Finding> {
    let needed = FILES_PER_CORE * (plan.cores() as u64 + 1);
    let remedy = format!("`ulimit -n {needed}`, or a lower --count");
    let setting = "open files (ulimit -n), for all threads";
    Finding::below(Severity::Error, setting, system.open_files?, needed, remedy)
}

/// Sockets are files of the system, wherever their descriptors are.
fn system_files(plan: &Plan, system: &System) -> Option<Finding> {
    let needed = plan.flags.conns as u64 * plan.ends();
    let remedy = format!("`sysctl -w fs.file-max={}`", 2 * needed);
    let setting = "fs.file-max, less files in use,";
    Finding::below(Severity::Warning, setting, system.files_left?, needed, remedy)
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
            if plan.flags.source.len() > 1 { " and source" } else { "" }
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
        let sources = times * plan.flags.source.len().max(1) as u64;
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
    let needed = plan.flags.conns.min(plan.pending_max() * plan.cores()) as u64;
    let remedy = format!("`sysctl -w net.core.somaxconn={}` before the server starts", needed.min(65_535));
    let found = Finding::below(Severity::Warning, "net.core.somaxconn", queue, needed, remedy)?;
    Some(Finding { needed: format!("up to {needed}"), ..found })
}

/// A socket with a message in its buffers takes at least a page for it, an idle one none.
fn tcp_pages(plan: &Plan, system: &System) -> Option<Finding> {
    let mark = system.tcp_pages?;
    let busy = plan.steps.iter().filter(|step| step.scenario != Scenario::Idle);
    let pages = |step: &Step| step.clients as u64 * plan.ends() * (step.size as u64).div_ceil(PAGE_SIZE);
    let needed = busy.map(pages).max().unwrap_or(0);
    let remedy = format!("`sysctl -w net.ipv4.tcp_mem=\"{needed} {needed} {}\"`", 2 * needed);
    let found = Finding::below(Severity::Warning, "net.ipv4.tcp_mem, pressure,", mark, needed, remedy)?;
    let needed = format!("up to {needed}, if all have a message at once,");
    Some(Finding { value: format!("{mark} pages"), needed, ..found })
}

fn conntrack(plan: &Plan, system: &System) -> Option<Finding> {
    let Conntrack { tracked, max } = system.conntrack?;
    let needed = tracked + plan.flags.conns as u64;
    let setting = "net.netfilter.nf_conntrack_max";
    Finding::below(Severity::Error, setting, max, needed, format!("`sysctl -w {setting}={needed}`"))
}

/// Sockets of both ends if the server is here, what both programs keep for each, and the threads.
fn memory(plan: &Plan, system: &System) -> Option<Finding> {
    let available = system.memory?;
    let server = if plan.is_local() { BYTES_PER_SERVER_CLIENT } else { 0 };
    let each = BYTES_PER_SOCKET * plan.ends() + BYTES_PER_CLIENT + server;
    let threads = plan.cores() as u64 * BYTES_PER_CORE;
    let needed = plan.flags.conns as u64 * each + threads;
    let conns = available.saturating_sub(threads) / each;
    let remedy = format!("--conns {conns}, or a machine with more memory");
    let found = Finding::below(Severity::Error, "MemAvailable", available, needed, remedy)?;
    let (value, needed) = (available >> 20, needed.div_ceil(1 << 20));
    Some(Finding { value: format!("{value} MiB"), needed: format!("{needed} MiB"), ..found })
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;
    use crate::Flags;

    /// A machine that has plenty of everything.
    fn plenty() -> System {
        System {
            cpus: vec![0, 1],
            open_files: Some(1 << 20),
            files_left: Some(1 << 40),
            ports: Some(28_232),
            accept_queue: Some(65_535),
            tcp_pages: Some(1 << 40),
            conntrack: Some(Conntrack { tracked: 10, max: 1 << 40 }),
            memory: Some(1 << 60),
        }
    }

    fn plan(line: &str) -> Plan {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = Flags::from_args(&["loadgen"], &words).unwrap();
        Plan::new(&flags, &System { open_files: Some(20_000), ..plenty() }).unwrap()
    }

    /// The only finding.
    fn finding(line: &str, system: System) -> Finding {
        let found = check(&plan(line), &system);
        let [finding] = found.as_slice() else { panic!("{line}: {found:?}") };
        finding.clone()
    }

    #[test]
    fn a_machine_that_is_ready_is_not_mentioned() {
        for line in
            ["", "--conns 28000 --spread 2", "--conns 1000000 --spread 72", "--scenario echo --size 1000000"]
        {
            assert_eq!(check(&plan(line), &plenty()), [], "{line}");
            assert_eq!(check(&plan(line), &System::default()), [], "{line}");
        }
    }

    #[test]
    fn open_files_count_for_each_ring() {
        let few = System { open_files: Some(20_000), ..plenty() };
        assert_eq!(check(&plan("--conns 1000000 --spread 72"), &few), []);
        let found = finding("--conns 1000000 --spread 72 --count 8", few);
        assert_eq!((found.severity, found.needed.as_str()), (Severity::Error, "125064"));
        assert_eq!(found.remedy, "`ulimit -n 125064`, or --count 51");
        let threads = finding("--conns 100 --count 50", System { open_files: Some(500), ..plenty() });
        assert!(threads.setting.contains("all threads") && threads.severity == Severity::Error, "{threads}");
    }

    #[test]
    fn sockets_are_files_of_the_system_at_both_ends() {
        let few = System { files_left: Some(15_000), ..plenty() };
        let found = finding("--conns 10000", few.clone());
        assert_eq!((found.severity, found.needed.as_str()), (Severity::Warning, "20000"));
        assert_eq!(found.remedy, "`sysctl -w fs.file-max=40000`");
        assert_eq!(check(&plan("--conns 10000 --target ws://192.0.2.1:1"), &few), []);
    }

    #[test]
    fn ports_are_counted_for_each_destination() {
        let slow = finding("--conns 28000", plenty());
        assert_eq!(slow.severity, Severity::Warning);
        assert!(slow.remedy.contains("ip_local_port_range=\"1024 65535\""), "{slow}");
        let none = finding("--conns 1000000", plenty());
        assert_eq!((none.severity, none.needed.as_str()), (Severity::Error, "1000000 per destination"));
        assert!(none.remedy.starts_with("--spread 71,") && none.remedy.contains("0.0.0.0"), "{none}");
        let listeners = finding("--conns 1000000 --target ws://127.0.0.1:1,text://127.0.0.1:2", plenty());
        assert!(listeners.remedy.starts_with("--spread 36,"), "{listeners}");
        let far = finding("--conns 60000 --target ws://192.0.2.1:1", plenty());
        assert!(far.remedy.starts_with("--source with 5 addresses, or 5 times as many targets"), "{far}");
        assert_eq!(far.severity, Severity::Error);
        let sources = "--source 192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6";
        assert_eq!(
            check(&plan(&format!("--conns 60000 --target ws://192.0.2.1:1 {sources}")), &plenty()),
            []
        );
    }

    #[test]
    fn queues_of_this_machine_matter_only_to_servers_on_it() {
        let short = System { accept_queue: Some(128), ..plenty() };
        let found = finding("--conns 10000", short.clone());
        assert_eq!((found.severity, found.needed.as_str()), (Severity::Warning, "up to 1024"));
        assert_eq!(finding("--conns 200", short.clone()).needed, "up to 200");
        assert_eq!(check(&plan("--conns 10000 --target ws://192.0.2.1:1"), &short), []);
    }

    #[test]
    fn buffers_matter_to_those_who_talk() {
        let small = System { tcp_pages: Some(1_000), ..plenty() };
        assert_eq!(check(&plan("--conns 10000"), &small), []);
        let found = finding("--conns 10000 --scenario echo --size 5000", small);
        assert_eq!(found.severity, Severity::Warning);
        assert_eq!(found.remedy, "`sysctl -w net.ipv4.tcp_mem=\"40000 40000 80000\"`");
    }

    #[test]
    fn a_table_of_connections_must_have_room() {
        let full = System { conntrack: Some(Conntrack { tracked: 200, max: 1_100 }), ..plenty() };
        let found = finding("--conns 1000", full);
        assert_eq!((found.severity, found.needed.as_str()), (Severity::Error, "1200"));
    }

    #[test]
    fn memory_is_for_both_ends() {
        let small = System { memory: Some(6 << 30), ..plenty() };
        let found = finding("--conns 1000000 --spread 72", small.clone());
        assert_eq!((found.severity, found.value.as_str()), (Severity::Error, "6144 MiB"));
        let fits: usize = found.remedy.split([' ', ',']).nth(1).unwrap().parse().unwrap();
        assert_eq!(check(&plan(&format!("--conns {fits} --spread 72 --count 51")), &small), []);
        assert_eq!(
            check(
                &plan("--conns 800000 --target ws://192.0.2.1:1,ws://192.0.2.1:2"),
                &System { ports: None, ..small }
            ),
            []
        );
        let none = finding("--conns 1", System { memory: Some(0), ..plenty() });
        assert_eq!(
            none.to_string(),
            "error: MemAvailable is 0 MiB, 25 MiB needed: --conns 0, or a machine with more memory"
        );
    }
}
