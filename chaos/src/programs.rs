//! How the programs of a run are started: ours, or PHP's.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::process::{Process, Signal, binary_path};

use crate::clock::Clock;
use crate::proxy::address_beside;

/// How many gateways there are; the second has two shards.
pub const GATEWAYS: usize = 2;

/// Whose programs a run is of.
#[derive(Clone, Debug)]
pub enum Programs {
    /// Ours.
    Ours {
        /// Workers have nothing kept for them.
        at_most_once: bool,
    },
    /// PHP's, in this folder, one checkout beside the other.
    Php(PathBuf),
}

/// What all programs of a run are told.
#[derive(Debug)]
pub(crate) struct Place {
    pub ip: Ipv4Addr,
    pub clock: Clock,
    /// For journals and logs.
    pub folder: PathBuf,
}

impl Programs {
    /// What of it is not there.
    pub fn missing(&self) -> Option<String> {
        let Programs::Php(folder) = self else { return None };
        let missing = CHECKOUTS.iter().find(|name| !folder.join(name).is_dir());
        missing.map(|name| {
            format!("{} has no {name}; scripts/interop --php says how to get it", folder.display())
        })
    }

    pub(crate) fn register(&self, place: &Place) -> Process {
        match self {
            Programs::Ours { .. } => {
                let flags = ["--listen".to_owned(), place.register_address().to_string()];
                Process::start("register", "register", &flags)
            }
            Programs::Php(php) => {
                let command = php_command(php, place, "../interop/start_register.php", "register");
                Process::spawn_group("register", command)
            }
        }
    }

    pub(crate) fn gateway(&self, place: &Place, index: usize) -> Process {
        let (name, ports) = (format!("gateway {index}"), inner_ports(index));
        let clients = place.client_address(index);
        let proxy = address_beside(place.ip);
        match self {
            Programs::Ours { .. } => {
                let flags = [
                    ("--listen", format!("text://{clients}")),
                    ("--lan-ip", proxy.to_string()),
                    ("--inner-listen", place.ip.to_string()),
                    ("--start-port", ports.start.to_string()),
                    ("--count", ports.len().to_string()),
                    ("--register-address", place.register_address().to_string()),
                    ("--no-worker-wait", NO_WORKER_WAIT.to_owned()),
                ];
                let flags: Vec<_> =
                    flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
                Process::start(&name, "gateway", &flags)
            }
            Programs::Php(php) => {
                let mut command = php_command(php, place, "php/gateway.php", &format!("gateway{index}"));
                command.env("CHAOS_LISTEN", clients.to_string());
                command.env("CHAOS_LAN_IP", proxy.to_string());
                command.env("CHAOS_INNER_LISTEN", place.ip.to_string());
                command.env("CHAOS_START_PORT", ports.start.to_string());
                command.env("CHAOS_SHARDS", ports.len().to_string());
                Process::spawn_group(&name, command)
            }
        }
    }

    /// `run` counts the runs of all workers; `name` is what gateways know it by.
    pub(crate) fn worker(&self, place: &Place, run: usize, name: &str) -> Process {
        let label = format!("{name}, run {run}");
        let journal = place.folder.join(format!("{JOURNAL}{run}"));
        match self {
            Programs::Ours { at_most_once } => {
                let mut command = Command::new(binary_path("chaos-worker"));
                command.args(["--no-master", "--count", "1", "--name", name]);
                command.args(["--register-address", &place.register_address().to_string()]);
                command.arg("--journal").arg(journal);
                command.args(["--began", &place.clock.began_us().to_string()]);
                if *at_most_once {
                    command.arg("--at-most-once");
                }
                Process::spawn(&label, command)
            }
            Programs::Php(php) => {
                let mut command = php_command(php, place, "php/worker.php", &format!("worker{run}"));
                command.env("CHAOS_NAME", name);
                command.env("CHAOS_JOURNAL", journal);
                command.env("CHAOS_BEGAN", place.clock.began_us().to_string());
                let shards: usize = (0..GATEWAYS).map(|gateway| inner_ports(gateway).len()).sum();
                command.env("CHAOS_SHARDS", shards.to_string());
                Process::spawn_group(&label, command)
            }
        }
    }

    /// What has a worker replaced by itself; `None`: another one is started beside it.
    pub(crate) fn reload_signal(&self) -> Option<Signal> {
        match self {
            Programs::Ours { .. } => None,
            Programs::Php(_) => Some(Signal::USR1),
        }
    }
}

impl Place {
    pub(crate) fn register_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, REGISTER_PORT)
    }

    /// Where a gateway serves clients.
    pub(crate) fn client_address(&self, gateway: usize) -> SocketAddr {
        SocketAddrV4::new(self.ip, CLIENT_PORT + gateway as u16).into()
    }

    /// The journals of all runs of workers that have begun one, in the order of runs.
    ///
    /// # Panics
    /// The folder cannot be read.
    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let entries = self.folder.read_dir().expect("the folder of the run can be read");
        let paths = entries.map(|entry| entry.expect("the folder of the run can be read").path());
        let mut journals: Vec<_> = paths.filter_map(|path| Some((run_of(&path)?, path))).collect();
        journals.sort();
        journals.into_iter().map(|(_, path)| path).collect()
    }
}

/// Which run a journal is of. A worker that was reloaded by itself has several, each with a process id behind the run.
fn run_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?.strip_prefix(JOURNAL)?;
    name.split('.').next()?.parse().ok()
}

/// Where the shards of a gateway serve workers.
pub(crate) fn inner_ports(gateway: usize) -> Range<u16> {
    let first = INNER_PORT + gateway as u16 * INNER_PORT_STEP;
    first..first + gateway as u16 + 1
}

/// `program` names what Workerman keeps of it in the folder of the run.
fn php_command(php: &Path, place: &Place, script: &str, program: &str) -> Command {
    let mut command = Command::new("php");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script)).args(["start", "-q"]);
    command.env("INTEROP_PHP", php).env("INTEROP_RUN", &place.folder).env("INTEROP_KEY", "");
    command.env("INTEROP_REGISTER", place.register_address().to_string());
    command.env("CHAOS_PROGRAM", program);
    command
}

/// What a gateway says when it serves, and a worker.
pub(crate) const GATEWAY_READY: &str = "gateway ready: ";
pub(crate) const WORKER_READY: &str = "chaos-worker ready: ";

/// What the names of journals begin with.
const JOURNAL: &str = "journal.";
const REGISTER_PORT: u16 = 1236;
const CLIENT_PORT: u16 = 8282;
const INNER_PORT: u16 = 2900;
/// Between the inner ports of two gateways.
const INNER_PORT_STEP: u16 = 100;
/// How long gateways keep clients that have no worker, in seconds: longer than any fault.
const NO_WORKER_WAIT: &str = "120";
/// What the folder of PHP's programs has to have.
const CHECKOUTS: [&str; 3] = ["GatewayWorker", "workerman", "coroutine"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_known_by_its_name() {
        for (name, run) in [("journal.12", Some(12)), ("journal.3.4711", Some(3)), ("12.log", None)] {
            assert_eq!(run_of(&Path::new("folder").join(name)), run, "{name}");
        }
    }
}
