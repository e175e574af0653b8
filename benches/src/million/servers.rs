//! One register, one gateway, one worker: started, asked, measured.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use cluster::own_address;
use cluster::process::{Process, binary_path};

use crate::kernel::{self, KernelMemory};
use crate::programs::giving_way;
use crate::watch::{Stopped, Watch};

/// The three processes. Dropped, they are killed.
pub(super) struct Servers {
    ip: Ipv4Addr,
    port: u16,
    gateway: Process,
    worker: Process,
    _register: Process,
}

/// What the processes and the kernel have used at one moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Seconds since the machine started.
    pub seconds: f64,
    /// CPU seconds of the gateway.
    pub gateway_cpu: f64,
    /// CPU seconds of the worker.
    pub worker_cpu: f64,
    /// Resident bytes of the gateway.
    pub gateway_rss: u64,
    /// Resident bytes of the worker.
    pub worker_rss: u64,
    /// TCP sockets of the machine.
    pub sockets: u64,
    /// The kernel's memory.
    pub kernel: KernelMemory,
    /// Bytes that are left.
    pub available: u64,
}

impl Servers {
    /// Starts them, with `shards` shards and one core of the worker, and waits until every shard has its worker.
    ///
    /// # Errors
    /// The worker does not get to all shards.
    ///
    /// # Panics
    /// A program does not start, with its output.
    pub(super) fn start(shards: usize, watch: &Watch<'_>) -> Result<Servers, Stopped> {
        let ip = own_address();
        let register = format!("{ip}:{REGISTER_PORT}");
        let start = |program: &str, mut command: Command, flags: String| {
            command.args(flags.split_ascii_whitespace());
            Process::spawn(program, command)
        };
        let plain = |program: &str| Command::new(binary_path(program));
        let register_process = start("register", plain("register"), format!("--listen {register}"));
        register_process.await_ready("register");
        let flags = format!(
            "--listen websocket://0.0.0.0:0 --lan-ip {ip} --count {shards} --register-address {register} \
             --admin {ip}:{ADMIN_PORT} --ping-interval {PING_SECONDS} --websocket-ping"
        );
        let gateway = start("gateway", giving_way(&binary_path("gateway")), flags);
        let ready = gateway.await_ready("gateway");
        let port = ready.split_ascii_whitespace().next().and_then(|url| url.rsplit(':').next()?.parse().ok());
        let port = port.ok_or_else(|| format!("no port in `gateway ready: {ready}`"))?;
        let flags = format!("--app echo --count 1 --no-master --register-address {register}");
        let worker = start("worker", plain("worker"), flags);
        let servers = Servers { ip, port, gateway, worker, _register: register_process };
        watch.until("the worker's links to all shards", LINKS_LIMIT, || {
            let linked = servers.ask().is_some_and(|rows| rows.iter().all(|row| row.links >= 1));
            Ok(linked.then_some(()))
        })?;
        Ok(servers)
    }

    /// The gateway, under a loopback address.
    pub(super) fn target(&self, last_octet: u8) -> String {
        format!("ws://127.0.0.{last_octet}:{}", self.port)
    }

    /// HOST:PORT of the register.
    pub(super) fn register(&self) -> String {
        format!("{}:{REGISTER_PORT}", self.ip)
    }

    /// Clients of each shard; none if not every one answered in time.
    pub(super) fn clients(&self) -> Option<Vec<u64>> {
        self.ask()?.iter().map(|row| row.clients).collect()
    }

    fn ask(&self) -> Option<Vec<admin::Row>> {
        let report = admin::fetch((self.ip, ADMIN_PORT).into(), None).ok()?;
        Some(report.rows)
    }

    /// Why the gateway has closed clients, or did not read them, and how often: its counters of that, of all shards.
    pub(super) fn causes(&self) -> BTreeMap<String, u64> {
        let mut causes = BTreeMap::new();
        let counters = self.ask().into_iter().flatten().flat_map(|row| row.counters);
        for (name, count) in counters.filter(|(name, count)| *count > 0 && is_cause(name)) {
            *causes.entry(name).or_default() += count;
        }
        causes
    }

    /// What gateway and worker have warned of.
    pub(super) fn warnings(&self) -> Vec<String> {
        let logs = [&self.gateway, &self.worker].map(Process::stderr);
        let warnings = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(" WARN "));
        warnings.map(str::to_owned).collect()
    }

    /// Now.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            seconds: kernel::uptime_seconds(),
            gateway_cpu: self.gateway.cpu_time().as_secs_f64(),
            worker_cpu: self.worker.cpu_time().as_secs_f64(),
            gateway_rss: self.gateway.rss(),
            worker_rss: self.worker.rss(),
            sockets: kernel::tcp_sockets(),
            kernel: KernelMemory::now(),
            available: kernel::available_bytes(),
        }
    }
}

/// What lies between two moments.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub before: Moment,
    pub after: Moment,
}

impl Span {
    pub(super) fn seconds(&self) -> f64 {
        self.after.seconds - self.before.seconds
    }

    /// How much of a core gateway and worker used.
    pub(super) fn cores(&self) -> [f64; 2] {
        let Span { before, after } = self;
        [after.gateway_cpu - before.gateway_cpu, after.worker_cpu - before.worker_cpu]
            .map(|seconds| seconds / self.seconds())
    }
}

impl Moment {
    /// Connections more than at `before`: both ends are on this machine.
    pub(super) fn conns_since(&self, before: &Moment) -> u64 {
        self.sockets.saturating_sub(before.sockets) / 2
    }
}

/// Whether a counter tells of clients that had to go, or to wait.
fn is_cause(name: &str) -> bool {
    ["clients_closed", "stalls_", "accept"].iter().any(|start| name.starts_with(start))
}

/// The gateway's heartbeat period.
pub(super) const PING_SECONDS: u32 = 25;

const REGISTER_PORT: u16 = 1236;
const ADMIN_PORT: u16 = 1237;

/// How long the worker may take to find all shards.
const LINKS_LIMIT: Duration = Duration::from_secs(60);
