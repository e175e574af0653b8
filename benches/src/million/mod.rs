//! A million connections: one gateway, one worker, one load generator, all on this machine.
//!
//! The run: measure the empty gateway; echo on some of a few thousand clients, for comparison; ramp up to all; broadcast
//! once to all; hold with heartbeats; echo on some of those that are held; broadcast once more while others echo; leave.
//! One load generator holds all of them; what it does with them are its steps, each of which says when it begins. A second
//! one has the clients that echo beside the last broadcast. CPU is what the kernel accounts to the processes, memory
//! what it says they have resident; its own memory is counted for both ends of the connections, which are both on this
//! machine, and halved.

mod figures;
mod ledger;
mod servers;

use std::time::Duration;

use cluster::wait::Deadline;
use loadgen::{Outcome, Report};
use serde::Serialize;

use self::servers::{Moment, Servers, Span};
use crate::load::Load;
use crate::shards::shards;
use crate::watch::{Stopped, Watch};

pub use figures::{AcceptCost, Echo, Figures, Memory};
pub use ledger::Ledger;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setup {
    /// Connections to hold.
    pub conns: usize,
    /// Connections opened a second at most.
    pub ramp_per_second: f64,
    /// Seconds that idle clients are measured.
    pub hold_seconds: f64,
    /// Seconds for things to calm down before something is measured.
    pub quiet_seconds: f64,
    /// Seconds of each echo, and of the idling before the first.
    pub echo_seconds: f64,
    /// Connections that echo.
    pub echo_conns: usize,
    /// Connections that idle during the first echo, which the second one is compared with.
    pub few: usize,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            conns: 1_000_000,
            ramp_per_second: 50_000.0,
            hold_seconds: 60.0,
            quiet_seconds: 15.0,
            echo_seconds: 8.0,
            echo_conns: 1000,
            few: 10_000,
        }
    }
}

/// Carries it out. `stop` is asked often whether the user wants the end, `print` gets a line about each step.
///
/// # Errors
/// The user wants the end, memory runs out, a load generator fails, or its clients do not add up: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(setup: Setup, stop: &dyn Fn() -> bool, print: &mut dyn FnMut(&str)) -> Result<Figures, String> {
    let watch = Watch::new(stop, setup.conns);
    let (open_files, cpus) = (program::raise_open_files(), program::cpus());
    let shards = shards(setup.conns, open_files, cpus);
    let threads = setup.conns.div_ceil(usize::try_from(open_files).map_or(1, |files| files - 512)).max(cpus);
    let servers = Servers::start(shards, &watch)?;
    Run { setup, watch, servers, threads, print }.carry_out(shards)
}

struct Run<'a> {
    setup: Setup,
    watch: Watch<'a>,
    servers: Servers,
    /// Of the load generator.
    threads: usize,
    print: &'a mut dyn FnMut(&str),
}

impl Run<'_> {
    fn carry_out(self, shards: usize) -> Result<Figures, Stopped> {
        let quiet = seconds(self.setup.quiet_seconds);
        self.watch.pause(quiet / 3)?;
        let start = self.servers.moment();
        self.watch.pause(quiet)?;
        let empty = Span { before: start.clone(), after: self.servers.moment() };
        (self.print)(&format!("{shards} shards serve; echo with a few clients idle"));
        let echo_few = self.echo_among_few()?;
        self.await_empty()?;

        (self.print)(&format!("ramp up to {} clients", self.setup.conns));
        let ramp_start = self.servers.moment();
        let mut all = Load::start("all", None, &self.flags_of_all());
        let on_the_way = self.watch_ramp(&mut all)?;
        (self.print)("all are there: broadcast, then hold with heartbeats");
        // The broadcast, and the calm after it.
        for _ in 0..2 {
            all.await_measuring(&self.watch, || ())?;
        }
        let hold = self.measure_step(&mut all)?;
        let clients = self.servers.clients().unwrap_or_default();
        (self.print)("echo on some of them while all others idle");
        let echo = self.measure_step(&mut all)?;
        (self.print)("broadcast while others echo");
        let (probe, gateway_held) = self.probe_last_broadcast(&mut all)?;
        all.await_done(&self.watch)?;

        (self.print)("all leave");
        let leave_start = self.servers.moment();
        let report = all.finish(&self.watch)?;
        self.await_empty()?;
        let left = self.servers.moment();
        self.watch.pause(quiet)?;
        let end = self.servers.moment();
        let ledger = Ledger::new(&report.connections, gateway_held)?;
        if !ledger.is_complete() {
            (self.print)(&format!("the gateway counts {:?}", self.servers.causes()));
            self.servers.warnings().iter().for_each(|warning| (self.print)(warning));
        }
        let background = hold.cores();
        let [empty_cores, _] = empty.cores();
        Ok(Figures {
            setup: self.setup,
            shards,
            clients_per_shard: clients,
            ledger,
            memory: Memory::new(&start, &on_the_way, &hold.after, &end),
            empty_cores,
            accept: AcceptCost::new(&ramp_start, &on_the_way, empty_cores),
            idle_cores: background[0],
            idle_worker_cores: background[1],
            echo_few,
            echo_many: Echo::new(self.setup.conns, of_step(&report, ECHO_STEP)?, &echo, background),
            broadcasts: broadcasts(&report),
            probe: probe.first().clone(),
            leave_seconds: left.seconds - leave_start.seconds,
            leave_gateway_cpu_seconds: left.gateway_cpu - leave_start.gateway_cpu,
            report,
        })
    }

    /// One load generator for the whole time: idle, broadcast, calm, hold, echo, calm, broadcast, end.
    fn flags_of_all(&self) -> String {
        let Setup { conns, ramp_per_second, quiet_seconds, hold_seconds, echo_seconds, echo_conns, .. } =
            self.setup;
        let broadcast = format!("--then broadcast,size={BROADCAST_SIZE},rate=1,hold=1");
        let echo_conns = echo_conns.min(conns);
        format!(
            "--conns {conns} --spread {} --target {} --register {} --ramp {ramp_per_second} --count {} --timeout 60 \
             --drain {DRAIN_SECONDS} --hold {quiet_seconds} {broadcast} --then idle --then idle,hold={hold_seconds} \
             --then echo,clients={echo_conns},hold={echo_seconds} --then idle,hold={} {broadcast} --then idle,hold={}",
            conns.div_ceil(CONNS_PER_DESTINATION).max(1),
            self.servers.target(1),
            self.servers.register(),
            self.threads,
            quiet_seconds / 3.0,
            quiet_seconds.max(LAST_SECONDS_MIN),
        )
    }

    /// Looks at the servers until all are there, and once more then.
    fn watch_ramp(&self, all: &mut Load) -> Result<Vec<Moment>, Stopped> {
        let mut on_the_way = Vec::new();
        let mut next = Deadline::after(Duration::ZERO);
        all.await_measuring(&self.watch, || {
            if next.is_over() {
                next = Deadline::after(RAMP_PERIOD);
                on_the_way.push(self.servers.moment());
            }
        })?;
        on_the_way.push(self.servers.moment());
        Ok(on_the_way)
    }

    /// The moments at both ends of the next step's measured phase.
    fn measure_step(&self, load: &mut Load) -> Result<Span, Stopped> {
        load.await_measuring(&self.watch, || ())?;
        let before = self.servers.moment();
        load.await_measured(&self.watch)?;
        Ok(Span { before, after: self.servers.moment() })
    }

    fn echo_among_few(&self) -> Result<Echo, Stopped> {
        let Setup { few, echo_conns, echo_seconds, .. } = self.setup;
        let mut load = Load::start(
            "few",
            None,
            &format!(
                "--conns {few} --target {} --hold {echo_seconds} --timeout 60 --count {} \
                 --then echo,clients={},hold={echo_seconds}",
                self.servers.target(FEW_OCTET),
                self.threads.min(few),
                echo_conns.min(few),
            ),
        );
        let background = self.measure_step(&mut load)?.cores();
        let echo = self.measure_step(&mut load)?;
        let report = load.finish(&self.watch)?;
        Ok(Echo::new(few, of_step(&report, 1)?, &echo, background))
    }

    /// Messages by the clock, from the calm before the last broadcast until everybody has that, or was given up. Also how
    /// many of all clients the gateway says that it holds then.
    fn probe_last_broadcast(&self, all: &mut Load) -> Result<(Report, u64), Stopped> {
        all.await_measuring(&self.watch, || ())?;
        let mut probe = Load::start(
            "probe",
            None,
            &format!(
                "--scenario echo --rate {PROBE_RATE} --conns {PROBE_CONNS} --target {} --hold 3600 --warmup 0.2 \
                 --count 1 --timeout 60",
                self.servers.target(PROBE_OCTET)
            ),
        );
        probe.await_measuring(&self.watch, || ())?;
        // The broadcast, and then the step behind it.
        for _ in 0..2 {
            all.await_measuring(&self.watch, || ())?;
        }
        let held: u64 = self.servers.clients().unwrap_or_default().iter().sum();
        probe.interrupt();
        let report = probe.finish(&self.watch)?;
        let probes = report.connections.opened - report.connections.losses.total();
        Ok((report, held.saturating_sub(probes)))
    }

    fn await_empty(&self) -> Result<(), Stopped> {
        self.watch.until("the end of all clients", LEAVE_LIMIT, || {
            let gone =
                self.servers.clients().is_some_and(|clients| clients.iter().all(|clients| *clients == 0));
            Ok(gone.then_some(()))
        })
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn of_step(report: &Report, index: usize) -> Result<Outcome, Stopped> {
    report.steps.get(index).cloned().ok_or_else(|| format!("step {index} is missing: {report}"))
}

/// Every broadcast, in order.
fn broadcasts(report: &Report) -> Vec<loadgen::Broadcast> {
    let fanouts = report.steps.iter().filter_map(|step| step.fanout.as_ref());
    fanouts.flat_map(|fanout| fanout.broadcasts.iter().copied()).collect()
}

/// Which of the steps of all clients is the echo, counted from 0.
const ECHO_STEP: usize = 4;

/// How long all stay after the last broadcast at least, so that the gateway can be asked how many there are.
const LAST_SECONDS_MIN: f64 = 2.0;

/// How often the servers are looked at while clients come.
const RAMP_PERIOD: Duration = Duration::from_millis(100);

/// How long the last receiver of a broadcast is waited for, in seconds: a million deliveries on a busy machine.
const DRAIN_SECONDS: u32 = 120;

/// Ports that Linux hands out fast towards one address.
const CONNS_PER_DESTINATION: usize = 14_000;

/// Last octets of addresses that the clients of the ramp do not use, so that ports are not short.
const FEW_OCTET: u8 = 253;
const PROBE_OCTET: u8 = 254;

/// Bytes of a broadcast: not as long as an echo, so that they are told apart.
const BROADCAST_SIZE: usize = 128;

/// Messages per second during the last broadcast, and the connections that send them.
const PROBE_RATE: u32 = 500;
const PROBE_CONNS: u32 = 50;

/// A million connections are not closed at once.
const LEAVE_LIMIT: Duration = Duration::from_secs(300);
