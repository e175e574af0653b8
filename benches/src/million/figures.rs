//! The figures of a run: what follows from moments and reports. No process, no clock.

use std::fmt;

use loadgen::{Broadcast, Connections, Failures, Measured, Outcome, Report};
use serde::Serialize;

use super::servers::{Moment, PING_SECONDS, Span};
use super::{Ledger, Setup};

/// Everything about one run.
#[derive(Clone, Debug, Serialize)]
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
    /// Echo of others beside the last broadcast, by the clock, timed from the intended send.
    pub probe: Outcome,
    /// Until the gateway had seen the last one leave.
    pub leave_seconds: f64,
    /// CPU of the gateway meanwhile.
    pub leave_gateway_cpu_seconds: f64,
    /// What the load generator saw.
    pub report: Report,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub struct Echo {
    /// Clients that were there; most of them idled.
    pub idle: usize,
    /// CPU of the gateway per echo, without what it uses for the idle.
    pub gateway_us: f64,
    /// CPU of the worker per echo, likewise.
    pub worker_us: f64,
    /// CPU of the gateway per echo, with it.
    pub gateway_us_gross: f64,
    /// What the load generator saw.
    pub outcome: Outcome,
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
    pub(super) fn new(idle: usize, outcome: Outcome, span: &Span, background: [f64; 2]) -> Echo {
        let echoes = outcome.measured.received.max(1) as f64;
        let us = |cores: f64| cores * span.seconds() * 1e6 / echoes;
        let [gateway, worker] = span.cores();
        Echo {
            idle,
            gateway_us: us(gateway - background[0]),
            worker_us: us(worker - background[1]),
            gateway_us_gross: us(gateway),
            outcome,
        }
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
        for (name, value, aim) in
            [self.clients(), self.memory(), self.cpu(), self.messages(), self.end()].concat()
        {
            writeln!(f, "{name:<24} {value:<58} {aim}")?;
        }
        Ok(())
    }
}

/// A line of the table: name, figure, what is aimed at.
type Row = (String, String, &'static str);

fn row(name: &str, value: String, aim: &'static str) -> Row {
    (name.to_owned(), value, aim)
}

impl Figures {
    fn clients(&self) -> Vec<Row> {
        let Ledger { asked, opened, failed, lost, held, gateway_held } = &self.ledger;
        let causes = |failures: &Failures| match failures.total() {
            0 => "0".to_owned(),
            total => format!("{total} ({})", failures.summary()),
        };
        let sum = format!("{asked} = {held} held + {} lost + {} failed", lost.total(), failed.total());
        vec![
            row("clients", sum, "all held"),
            row("  opened", opened.to_string(), ""),
            row("  failed, by cause", causes(failed), ""),
            row("  lost, by cause", causes(lost), ""),
            row("  held, says the gateway", gateway_held.to_string(), "the same"),
            row("per shard", self.spread(), ""),
        ]
    }

    fn memory(&self) -> Vec<Row> {
        let Memory { user_per_client, user_per_client_held, kernel_per_client_held, machine_held, .. } =
            &self.memory;
        let kernel = format!("{kernel_per_client_held:.0} B ({})", self.slabs());
        let machine = format!("{:.2} GiB for both ends and all programs", mib(*machine_held as f64) / 1024.0);
        let on_the_way = user_per_client.iter().map(|(clients, bytes)| {
            row("user memory per client", format!("{bytes:.0} B at {clients}"), "300 B")
        });
        let held = [
            row("", format!("{user_per_client_held:.0} B at the end of the hold"), "300 B"),
            row("kernel memory per client", kernel, "3900 B"),
            row("machine", machine, ""),
        ];
        on_the_way.chain(held).collect()
    }

    fn cpu(&self) -> Vec<Row> {
        let Connections { opened_per_second, ramp_seconds, .. } = &self.report.connections;
        let AcceptCost { gateway_us, worker_us, clients, .. } = &self.accept;
        let accept = format!(
            "{gateway_us:.1} µs gateway, {worker_us:.1} µs worker: the first {clients}, before pings"
        );
        let (empty, idle, idle_us) = (self.empty_cores * 100.0, self.idle_cores * 100.0, self.idle_us());
        let empty_us = self.empty_cores * 1e6 / self.held();
        let per_shard = empty / self.shards as f64;
        let idle = format!(
            "{idle_us:.2} µs per client and second ({idle:.0} % of a core), {:.2} without the empty shards' own",
            idle_us - empty_us
        );
        vec![
            row("ramp", format!("{opened_per_second:.0}/s, {ramp_seconds:.1} s"), "20000/s"),
            row("CPU per accept", accept, "30 µs"),
            row(
                "CPU without clients",
                format!("{empty:.2} % of a core, {per_shard:.3} % per shard"),
                "0.03 % per shard",
            ),
            row("CPU idle", idle, "0.6 µs"),
        ]
    }

    fn messages(&self) -> Vec<Row> {
        let echoes = [(&self.echo_few, ""), (&self.echo_many, "1.3 times the CPU")].map(|(echo, aim)| {
            let Echo { idle, gateway_us, worker_us, outcome, .. } = echo;
            let (latency, rate) = (latency(outcome), outcome.measured.received_per_second);
            let value = format!("{gateway_us:.1} + {worker_us:.1} µs CPU, {latency}, {rate:.0}/s");
            row(&format!("echo, {idle} idle"), value, aim)
        });
        let broadcasts = self.broadcasts.iter().map(|broadcast| {
            let Broadcast { delivered, expected, last_receiver_us, .. } = broadcast;
            let last = last_receiver_us.unwrap_or(0.0) / 1e6;
            row("broadcast", format!("to {delivered} of {expected}, the last one after {last:.2} s"), "all")
        });
        let Measured { unanswered, sent, .. } = &self.probe.measured;
        let probe = format!("{}; {unanswered} of {sent} unanswered", latency(&self.probe));
        echoes
            .into_iter()
            .chain(broadcasts)
            .chain([row("echo during broadcast", probe, "p50 100 ms, p99 500 ms")])
            .collect()
    }

    fn end(&self) -> Vec<Row> {
        let Memory { gateway_rss, worker_rss, kernel_left, .. } = &self.memory;
        let cpu_us = self.leave_gateway_cpu_seconds * 1e6 / self.held();
        let rss = |bytes: [u64; 3]| {
            let [before, held, after] = bytes.map(|bytes| mib(bytes as f64));
            format!("{before:.1} MiB before, {held:.1} held, {after:.1} after")
        };
        vec![
            row("leaving", format!("{:.1} s, {cpu_us:.1} µs gateway CPU each", self.leave_seconds), ""),
            row("gateway memory", rss(*gateway_rss), ""),
            row("worker memory", rss(*worker_rss), "nothing per client"),
            row("kernel memory left", format!("{:.1} MiB", mib(*kernel_left as f64)), ""),
        ]
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

fn latency(outcome: &Outcome) -> String {
    outcome.latency_us.as_ref().map_or("none came back".to_owned(), |latency| {
        let [p50, p99, max] = [latency.p50, latency.p99, latency.max].map(|us| us / 1e3);
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, at most {max:.1} ms")
    })
}

fn mib(bytes: f64) -> f64 {
    bytes / (1 << 20) as f64
}

/// Clients at which memory is looked at on the way up.
const MILESTONES: [u64; 2] = [200_000, 500_000];

/// Bytes per client from which on a kind of kernel object is kept.
const SLAB_BYTES_MIN: f64 = 1.0;

/// Kinds of kernel objects in the table.
const SLABS_SHOWN: usize = 6;
