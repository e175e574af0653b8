//! The figures of a run: what follows from moments and reports. No process, no clock.

use std::fmt;

use loadgen::{Broadcast, Failures, Latency, Outcome, Report};
use serde::{Deserialize, Serialize};

use super::servers::{Moment, PING_SECONDS};
use super::{Ledger, Setup};

/// Everything about one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// What was run.
    pub setup: Setup,
    /// Shards of the gateway.
    pub shards: usize,
    /// Clients of each shard at the end of the hold.
    pub clients_per_shard: Vec<u64>,
    /// What became of every client.
    pub ledger: Ledger,
    /// Memory.
    pub memory: Memory,
    /// Cores that the gateway used before the first client.
    pub empty_cores: f64,
    /// What coming costs.
    pub accept: AcceptCost,
    /// Cores that the gateway used in the hold.
    pub idle_cores: f64,
    /// Cores that the worker used in it.
    pub idle_worker_cores: f64,
    /// Echo with few clients idle.
    pub echo_few: Echo,
    /// Echo with all of them idle.
    pub echo_many: Echo,
    /// Every broadcast to all, in order.
    pub broadcasts: Vec<Broadcast>,
    /// Echo of others beside the last broadcast.
    pub stall: Option<StallDuringBroadcast>,
    /// Until the gateway had seen the last one leave.
    pub leave_seconds: f64,
    /// CPU of the gateway meanwhile.
    pub leave_gateway_cpu_seconds: f64,
    /// What the load generator saw.
    pub report: Report,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Of the gateway per client while they came and when all were there: clients, bytes of growth per client.
    pub user_per_client: Vec<(u64, f64)>,
    /// The same at the end of the hold, when all have been pinged and broadcast to.
    pub user_per_client_held: f64,
    /// Of the kernel per connection, one end of it: both ends' growth, halved.
    pub kernel_per_client_held: f64,
    /// What it is made of: objects of the kernel, bytes per connection and end.
    pub kernel_slabs: Vec<(String, f64)>,
    /// Memory that was available before, less what was available then, of all processes and the kernel.
    pub machine_held: u64,
    /// Resident in the gateway before the first client, at the end of the hold, and after all have left.
    pub gateway_rss: [u64; 3],
    /// Resident in the worker then.
    pub worker_rss: [u64; 3],
    /// Growth of the kernel's memory that stayed after all had left.
    pub kernel_left: i64,
}

/// CPU of clients that came before the first of them was due to be pinged, so that heartbeats are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AcceptCost {
    /// How many that were.
    pub clients: u64,
    /// In how many seconds.
    pub seconds: f64,
    /// CPU of the gateway for each, without what it uses when empty.
    pub gateway_us: f64,
    /// CPU of the worker for each.
    pub worker_us: f64,
}

/// An echo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Echo {
    /// Clients that were there; most of them idled.
    pub idle: usize,
    /// Echoes per second.
    pub per_second: f64,
    /// CPU of the gateway per echo, without what it uses for the idle.
    pub gateway_us: f64,
    /// CPU of the worker per echo, likewise.
    pub worker_us: f64,
    /// CPU of the gateway per echo, with it.
    pub gateway_us_gross: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that 99 % did not exceed.
    pub p99_us: f64,
}

/// Messages by the clock, some of which met a broadcast to all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StallDuringBroadcast {
    /// Messages.
    pub messages: u64,
    /// Those that never came back.
    pub unanswered: u64,
    /// Median latency from the intended send.
    pub p50_us: f64,
    /// Latency that 99 % did not exceed.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Memory {
    /// From the moment before the first client, those until all had come, the end of the hold, and after all left.
    pub(super) fn new(start: &Moment, on_the_way: &[Moment], held: &Moment, end: &Moment) -> Memory {
        let per_client = |moment: &Moment| {
            let growth = moment.gateway_rss as f64 - start.gateway_rss as f64;
            (moment.conns_since(start), growth / moment.conns_since(start).max(1) as f64)
        };
        let of_milestone =
            |clients: &u64| on_the_way.iter().map(per_client).find(|(there, _)| there >= clients);
        let ends = 2.0 * held.conns_since(start).max(1) as f64;
        let slabs = held.kernel.slab_growth(&start.kernel).into_iter();
        Memory {
            user_per_client: MILESTONES
                .iter()
                .filter_map(of_milestone)
                .chain(on_the_way.last().map(per_client))
                .collect(),
            user_per_client_held: per_client(held).1,
            kernel_per_client_held: held.kernel.growth(&start.kernel) as f64 / ends,
            kernel_slabs: slabs
                .map(|(name, bytes)| (name, bytes as f64 / ends))
                .filter(|(_, bytes)| *bytes >= SLAB_BYTES_MIN)
                .collect(),
            machine_held: start.available.saturating_sub(held.available),
            gateway_rss: [start, held, end].map(|moment| moment.gateway_rss),
            worker_rss: [start, held, end].map(|moment| moment.worker_rss),
            kernel_left: end.kernel.growth(&start.kernel),
        }
    }
}

impl AcceptCost {
    /// From the moment before the first client, those until all had come, and the cores that the empty gateway uses.
    pub(super) fn new(start: &Moment, on_the_way: &[Moment], empty_cores: f64) -> AcceptCost {
        let unpinged = |moment: &&Moment| moment.seconds - start.seconds < f64::from(PING_SECONDS);
        let last = on_the_way.iter().rfind(unpinged).unwrap_or(start);
        let (seconds, clients) = (last.seconds - start.seconds, last.conns_since(start));
        let us = |cpu_seconds: f64| cpu_seconds * 1e6 / clients.max(1) as f64;
        AcceptCost {
            clients,
            seconds,
            gateway_us: us(last.gateway_cpu - start.gateway_cpu - empty_cores * seconds),
            worker_us: us(last.worker_cpu - start.worker_cpu),
        }
    }
}

impl Echo {
    pub(super) fn new(
        idle: usize,
        report: &Outcome,
        before: &Moment,
        after: &Moment,
        background: (f64, f64),
    ) -> Echo {
        let seconds = after.seconds - before.seconds;
        let echoes = report.measured.received.max(1) as f64;
        let us = |cores: f64| cores * seconds * 1e6 / echoes;
        let (p50_us, p99_us) =
            report.latency_us.as_ref().map_or((0.0, 0.0), |latency| (latency.p50, latency.p99));
        Echo {
            idle,
            per_second: report.measured.received_per_second,
            gateway_us: us(after.gateway_cores(before) - background.0),
            worker_us: us(after.worker_cores(before) - background.1),
            gateway_us_gross: us(after.gateway_cores(before)),
            p50_us,
            p99_us,
        }
    }
}

impl StallDuringBroadcast {
    /// None if nothing came back.
    pub(super) fn new(report: &Outcome) -> Option<StallDuringBroadcast> {
        let Latency { p50, p99, max, .. } = report.latency_us.clone()?;
        Some(StallDuringBroadcast {
            messages: report.measured.sent,
            unanswered: report.measured.unanswered,
            p50_us: p50,
            p99_us: p99,
            max_us: max,
        })
    }
}

impl Figures {
    fn held(&self) -> f64 {
        self.ledger.held.max(1) as f64
    }

    /// CPU of the gateway per client and second of the hold, in microseconds.
    pub fn idle_us(&self) -> f64 {
        self.idle_cores * 1e6 / self.held()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: String, bar: &str| writeln!(f, "{name:<24} {value:<58} {bar}");
        self.fmt_clients(&mut row)?;
        self.fmt_cpu(&mut row)?;
        for echo in [&self.echo_few, &self.echo_many] {
            row(&format!("echo, {} idle", echo.idle), echo.to_string(), "")?;
        }
        self.fmt_broadcasts(&mut row)?;
        self.fmt_leaving(&mut row)
    }
}

impl Figures {
    fn fmt_clients(&self, row: &mut impl FnMut(&str, String, &str) -> fmt::Result) -> fmt::Result {
        let Ledger { asked, opened, failed, lost, held, gateway_held } = &self.ledger;
        let causes = |failures: &Failures| match failures.total() {
            0 => "0".to_owned(),
            total => format!("{total} ({})", failures.summary()),
        };
        row(
            "clients",
            format!("{asked} = {held} held + {} lost + {} failed", lost.total(), failed.total()),
            "all held",
        )?;
        row("  opened", format!("{opened}"), "")?;
        row("  failed, by cause", causes(failed), "")?;
        row("  lost, by cause", causes(lost), "")?;
        row("  held, says the gateway", format!("{gateway_held}"), "the same")?;
        row("per shard", self.spread(), "")?;
        for (clients, bytes) in &self.memory.user_per_client {
            row("user memory per client", format!("{bytes:.0} B at {clients}"), "300 B")?;
        }
        row("", format!("{:.0} B at the end of the hold", self.memory.user_per_client_held), "300 B")?;
        row(
            "kernel memory per client",
            format!("{:.0} B ({})", self.memory.kernel_per_client_held, self.slabs()),
            "3900 B",
        )?;
        row(
            "machine",
            format!("{:.2} GiB for both ends and all programs", gib(self.memory.machine_held)),
            "",
        )?;
        let connections = &self.report.connections;
        row(
            "ramp",
            format!("{:.0}/s, {:.1} s", connections.opened_per_second, connections.ramp_seconds),
            "",
        )?;
        Ok(())
    }

    fn fmt_cpu(&self, row: &mut impl FnMut(&str, String, &str) -> fmt::Result) -> fmt::Result {
        row(
            "CPU per accept",
            format!(
                "{:.1} µs gateway, {:.1} µs worker: the first {}, before pings",
                self.accept.gateway_us, self.accept.worker_us, self.accept.clients
            ),
            "30 µs",
        )?;
        row(
            "CPU without clients",
            format!(
                "{:.2} % of a core, {:.2} % per shard",
                self.empty_cores * 100.0,
                self.empty_cores * 100.0 / self.shards as f64
            ),
            "0.5 % per shard",
        )?;
        row(
            "CPU idle",
            format!(
                "{:.2} µs per client and second ({:.0} % of a core), {:.2} without the empty shards' own",
                self.idle_us(),
                self.idle_cores * 100.0,
                self.idle_us() - self.empty_cores * 1e6 / self.held()
            ),
            "0.6 µs",
        )?;
        Ok(())
    }

    fn fmt_leaving(&self, row: &mut impl FnMut(&str, String, &str) -> fmt::Result) -> fmt::Result {
        row(
            "leaving",
            format!(
                "{:.1} s, {:.1} µs gateway CPU each",
                self.leave_seconds,
                self.leave_gateway_cpu_seconds * 1e6 / self.held()
            ),
            "",
        )?;
        let [before, held, after] = self.memory.gateway_rss.map(mib);
        row("gateway memory", format!("{before:.1} MiB before, {held:.1} held, {after:.1} after"), "")?;
        let [before, held, after] = self.memory.worker_rss.map(mib);
        row(
            "worker memory",
            format!("{before:.1} MiB before, {held:.1} held, {after:.1} after"),
            "nothing per client",
        )?;
        row("kernel memory left", format!("{:.1} MiB", self.memory.kernel_left as f64 / (1 << 20) as f64), "")
    }

    fn fmt_broadcasts(&self, row: &mut impl FnMut(&str, String, &str) -> fmt::Result) -> fmt::Result {
        for Broadcast { delivered, expected, last_receiver_us, .. } in &self.broadcasts {
            let last = last_receiver_us.unwrap_or(0.0) / 1e6;
            row("broadcast", format!("to {delivered} of {expected}, the last one after {last:.2} s"), "all")?;
        }
        match &self.stall {
            Some(stall) => row(
                "echo during broadcast",
                format!(
                    "p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms; {} of {} unanswered",
                    stall.p50_us / 1e3,
                    stall.p99_us / 1e3,
                    stall.max_us / 1e3,
                    stall.unanswered,
                    stall.messages
                ),
                "",
            ),
            None => row("echo during broadcast", "none came back".to_owned(), ""),
        }
    }

    fn spread(&self) -> String {
        let clients = &self.clients_per_shard;
        match (clients.iter().min(), clients.iter().max()) {
            (Some(least), Some(most)) => {
                let ratio = *most as f64 / (*least).max(1) as f64;
                format!("{} shards, {least} to {most} ({ratio:.3})", self.shards)
            }
            _ => format!("{} shards", self.shards),
        }
    }

    fn slabs(&self) -> String {
        let parts = self.memory.kernel_slabs.iter().take(SLABS_SHOWN);
        parts.map(|(name, bytes)| format!("{name} {bytes:.0}")).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Echo { per_second, gateway_us, worker_us, p50_us, p99_us, .. } = self;
        write!(
            f,
            "{gateway_us:.1} + {worker_us:.1} µs CPU, p50 {:.1} ms, p99 {:.1} ms, {per_second:.0}/s",
            p50_us / 1e3,
            p99_us / 1e3
        )
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 30) as f64
}

/// Clients at which memory is looked at on the way up.
const MILESTONES: [u64; 2] = [200_000, 500_000];

/// Bytes per client from which on a kind of kernel object is kept.
const SLAB_BYTES_MIN: f64 = 1.0;

/// Kinds of kernel objects in the table.
const SLABS_SHOWN: usize = 6;
