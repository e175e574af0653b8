//! A million connections: one gateway, one worker, one load generator, all on this machine.
//!
//! The run: measure the empty gateway; echo while a few thousand clients idle, for comparison; ramp up to all; broadcast
//! once to all; hold with heartbeats; echo on a few while the rest idles; broadcast once more while others echo; leave.
//! A load generator of its own does the echoes, so that what is held stays idle. CPU is what the kernel accounts to
//! the processes, memory what it says they have resident; its own memory is counted for both ends of the connections,
//! which are both on this machine, and halved.

mod figures;
mod kernel;
mod load;
mod servers;
mod watch;

use std::time::Duration;

use ringway_tests::wait::Deadline;
use serde::{Deserialize, Serialize};

use self::load::Load;
use self::servers::Servers;
use self::watch::{Stopped, Watch};

pub use figures::{Echo, Figures, Memory, StallDuringBroadcast};

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Connections to hold.
    pub conns: usize,
    /// Connections opened a second at most.
    pub ramp_per_second: f64,
    /// Seconds that idle clients are measured.
    pub hold_seconds: f64,
    /// Seconds for things to calm down before something is measured.
    pub quiet_seconds: f64,
    /// Seconds of each echo.
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

impl Setup {
    /// Shards: as many as the sockets need where each ring may have `open_files`, but one per CPU at least. The kernel
    /// deals connections out by a hash, so some shards get more than their share.
    pub fn shards(&self, open_files: u64, cpus: usize) -> usize {
        let fits = |shards: &usize| {
            let share = self.conns as f64 / *shards as f64;
            share * SHARE_MAX + OTHER_SOCKETS <= open_files as f64
        };
        (cpus.max(1)..SHARDS_MAX).find(fits).unwrap_or(SHARDS_MAX)
    }

    /// From the moment all are there until the second broadcast.
    fn until_second_broadcast(&self) -> f64 {
        self.quiet_seconds + self.hold_seconds + ECHO_ROOM * self.echo_seconds
    }
}

/// Carries it out. `stop` is asked often whether the user wants the end, `tell` hears what happens.
///
/// # Errors
/// The user wants the end, memory runs out, or a load generator fails: one line that says what.
///
/// # Panics
/// A program does not start, with its output.
pub fn run(setup: Setup, stop: &dyn Fn() -> bool, tell: &mut dyn FnMut(&str)) -> Result<Figures, String> {
    let watch = Watch::new(stop);
    let shards = setup.shards(program::raise_open_files(), program::cpus());
    let servers = Servers::start(shards, &watch)?;
    Run { setup, watch, servers, tell }.carry_out(shards)
}

struct Run<'a> {
    setup: Setup,
    watch: Watch<'a>,
    servers: Servers,
    tell: &'a mut dyn FnMut(&str),
}

impl Run<'_> {
    fn carry_out(mut self, shards: usize) -> Result<Figures, Stopped> {
        let (quiet, hold) = (seconds(self.setup.quiet_seconds), seconds(self.setup.hold_seconds));
        self.watch.pause(quiet / 3)?;
        let start = self.servers.moment();
        self.watch.pause(quiet)?;
        let empty = self.servers.moment();
        (self.tell)(&format!("{shards} shards serve; echo with a few clients idle"));
        let echo_few = self.echo_among_few()?;
        self.await_empty()?;

        (self.tell)(&format!("ramp up to {} clients", self.setup.conns));
        let ramp_start = self.servers.moment();
        let mut all = Load::start("all", &self.flags_of_all());
        let mut on_the_way = Vec::new();
        let servers = &self.servers;
        all.await_measuring(&self.watch, || on_the_way.push(servers.moment()))?;
        let second_broadcast = Deadline::after(seconds(self.setup.until_second_broadcast()));
        let ramp_end = self.servers.moment();
        on_the_way.push(ramp_end.clone());

        (self.tell)("all are there: broadcast, then hold with heartbeats");
        self.watch.pause(quiet)?;
        let hold_start = self.servers.moment();
        self.watch.pause(hold)?;
        let hold_end = self.servers.moment();
        let clients = self.servers.clients().unwrap_or_default();

        (self.tell)("echo while all others idle");
        let background = (hold_end.gateway_cores(&hold_start), hold_end.worker_cores(&hold_start));
        let echo_many = self.echo(self.setup.conns, background)?;
        (self.tell)("broadcast while others echo");
        let stall = self.echo_during_broadcast(second_broadcast)?;
        all.await_measured(&self.watch)?;

        (self.tell)("all leave");
        let leave_start = self.servers.moment();
        let report = all.finish(&self.watch)?;
        self.await_empty()?;
        let left = self.servers.moment();
        self.watch.pause(quiet)?;
        let end = self.servers.moment();
        Ok(Figures {
            setup: self.setup,
            shards,
            clients_per_shard: clients,
            memory: Memory::new(&start, &on_the_way, &hold_end, &end),
            empty_cores: empty.gateway_cores(&start),
            ramp_gateway_cpu_seconds: ramp_end.gateway_cpu - ramp_start.gateway_cpu,
            ramp_worker_cpu_seconds: ramp_end.worker_cpu - ramp_start.worker_cpu,
            idle_cores: hold_end.gateway_cores(&hold_start),
            idle_worker_cores: hold_end.worker_cores(&hold_start),
            echo_few,
            echo_many,
            stall,
            leave_seconds: left.seconds - leave_start.seconds,
            leave_gateway_cpu_seconds: left.gateway_cpu - leave_start.gateway_cpu,
            report,
        })
    }

    /// One load generator for the whole time. Its broadcasts are the two: one when it begins to measure, one a period
    /// later.
    fn flags_of_all(&self) -> String {
        let Setup { conns, ramp_per_second, quiet_seconds, .. } = self.setup;
        let period = self.setup.until_second_broadcast();
        format!(
            "--scenario broadcast --conns {conns} --spread {} --target {} --register {} --ramp {ramp_per_second} \
             --rate {} --hold {} --size {BROADCAST_SIZE} --timeout 60",
            conns.div_ceil(CONNS_PER_DESTINATION),
            self.servers.target(1),
            self.servers.register(),
            1.0 / period,
            period + quiet_seconds,
        )
    }

    fn echo_among_few(&mut self) -> Result<Echo, Stopped> {
        let few = self.setup.few;
        let target = self.servers.target(FEW_OCTET);
        let mut idle =
            Load::start("few", &format!("--conns {few} --target {target} --hold 3600 --timeout 60"));
        idle.await_measuring(&self.watch, || ())?;
        let before = self.servers.moment();
        self.watch.pause(seconds(self.setup.echo_seconds))?;
        let after = self.servers.moment();
        let background = (after.gateway_cores(&before), after.worker_cores(&before));
        let echo = self.echo(few, background)?;
        idle.interrupt();
        idle.finish(&self.watch)?;
        Ok(echo)
    }

    /// `background`: cores that gateway and worker use without it.
    fn echo(&self, idle: usize, background: (f64, f64)) -> Result<Echo, Stopped> {
        let Setup { echo_conns, echo_seconds, .. } = self.setup;
        let target = self.servers.target(ECHO_OCTET);
        let mut load = Load::start(
            "echo",
            &format!(
                "--scenario echo --depth 1 --conns {echo_conns} --target {target} --hold {echo_seconds} --timeout 60"
            ),
        );
        load.await_measuring(&self.watch, || ())?;
        let before = self.servers.moment();
        load.await_measured(&self.watch)?;
        let after = self.servers.moment();
        Ok(Echo::new(idle, &load.finish(&self.watch)?, &before, &after, background))
    }

    /// Messages by the clock, before, during and after the second broadcast.
    fn echo_during_broadcast(&self, broadcast: Deadline) -> Result<Option<StallDuringBroadcast>, Stopped> {
        let quiet = self.setup.quiet_seconds;
        let lead = seconds(quiet / 3.0);
        self.watch.pause(broadcast.left().saturating_sub(lead))?;
        let target = self.servers.target(ECHO_OCTET);
        let load = Load::start(
            "probe",
            &format!(
                "--scenario echo --rate {PROBE_RATE} --conns {PROBE_CONNS} --target {target} --hold {quiet} \
                 --warmup 0.5 --count 1 --timeout 60"
            ),
        );
        Ok(StallDuringBroadcast::new(&load.finish(&self.watch)?))
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

/// What a shard gets at most, as a multiple of its share: 1.09 was too little for a million connections.
const SHARE_MAX: f64 = 1.2;

/// Listeners, links, accepts in flight and a start for the broadcasts.
const OTHER_SOCKETS: f64 = 512.0;

/// Shards beyond which threads cost more than they hold.
const SHARDS_MAX: usize = 1024;

/// Ports that Linux hands out fast towards one address.
const CONNS_PER_DESTINATION: usize = 14_000;

/// Last octets of addresses that the clients of the ramp do not use, so that ports are not short.
const FEW_OCTET: u8 = 253;
const ECHO_OCTET: u8 = 254;

/// Room for an echo of `echo_seconds`, with connecting, warming up and looking, as a multiple of it.
const ECHO_ROOM: f64 = 4.0;

/// Bytes of a broadcast: not as long as an echo, so that they are told apart.
const BROADCAST_SIZE: usize = 128;

/// Messages per second during the second broadcast, and the connections that send them.
const PROBE_RATE: u32 = 500;
const PROBE_CONNS: u32 = 50;

/// A million connections are not closed at once.
const LEAVE_LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_leave_room_for_chance() {
        let setup = Setup::default();
        assert_eq!(setup.shards(20_000, 2), 62);
        assert_eq!(setup.shards(1 << 20, 2), 2);
        assert_eq!(Setup { conns: 10_000, ..setup }.shards(20_000, 4), 4);
    }
}
