//! The loop between a core's ring and its driver. Decides nothing about clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use uring::{Event, Ring, SetupError};

use super::channel::{Command, Reported};
use super::driver::Driver;
use crate::clock::{Clock, Nanos};
use crate::config::{RECV_BUFFER_SIZE, RECV_BUFFERS, SAMPLE_PERIOD, WAIT_MAX};
use crate::failure::Cause;
use crate::measure::Sample;
use crate::plan::Plan;

/// A core at work.
pub(super) struct Pump {
    clock: Clock,
    reports: Sender<Reported>,
    commands: Receiver<Command>,
    ring: Ring,
    driver: Driver,
    next_sample: Nanos,
}

impl Pump {
    /// Sets up the ring of core number `core`.
    pub(super) fn new(
        core: usize,
        plan: Arc<Plan>,
        clock: Clock,
        reports: Sender<Reported>,
        commands: Receiver<Command>,
    ) -> Result<Pump, SetupError> {
        let sockets = u32::try_from(plan.sockets(core)).unwrap_or(u32::MAX);
        let ring = Ring::new(uring::Config {
            sockets_max: sockets,
            recv_buffer_size: RECV_BUFFER_SIZE,
            recv_buffers: RECV_BUFFERS,
            tick: Duration::ZERO,
            ..uring::Config::default()
        })?;
        let now = clock.now();
        let driver = Driver::new(core, plan, now, fastrand::u64(..));
        Ok(Pump { clock, reports, commands, ring, driver, next_sample: now.next_multiple(SAMPLE_PERIOD) })
    }

    /// Runs until it is to stop, and returns the last counts. The connections end with the ring; one that breaks ends the
    /// process.
    ///
    /// It is the only task of its executor, so it never yields.
    pub(super) fn run(mut self) -> Sample {
        while self.take_command() {
            self.turn().unwrap_or_else(|error| program::give_up(format_args!("the ring broke: {error}")));
        }
        self.driver.sample(self.clock.now())
    }

    /// Carries out a command, if there is one. Returns whether to go on: not if the control thread is gone.
    fn take_command(&mut self) -> bool {
        match self.commands.try_recv() {
            Err(TryRecvError::Empty) => {}
            Ok(Command::Begin(step, phase)) => {
                self.report(self.clock.now());
                self.driver.begin(step, phase);
            }
            Ok(Command::End(until)) => self.driver.end(until),
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return false,
        }
        true
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = self.wait();
        let (driver, clock) = (&mut self.driver, self.clock);
        self.ring.turn(wait, |event| deliver(driver, || clock.now(), event))?;
        let now = clock.now();
        self.connect(now);
        self.driver.drive(now);
        let (outbox, keep) = self.driver.outgoing();
        outbox.flush(&mut self.ring, keep)?;
        for socket in self.driver.closing() {
            self.ring.close(socket);
        }
        self.driver.on_stats(now, self.ring.stats());
        if now >= self.next_sample {
            self.next_sample = now.next_multiple(SAMPLE_PERIOD);
            self.report(now);
        }
        Ok(())
    }

    /// How long the ring may wait for something to happen.
    fn wait(&self) -> Duration {
        let now = self.clock.now();
        let next = self.driver.next_at().map_or(self.next_sample, |at| at.min(self.next_sample));
        next.since(now).min(WAIT_MAX)
    }

    fn connect(&mut self, now: Nanos) {
        while let Some(connect) = self.driver.connect_due(now) {
            match self.ring.connect(connect.address, connect.source) {
                Ok(socket) => self.driver.on_connect_begun(now, socket, connect),
                Err(error) => self.driver.on_connect_failed(now, connect, &error),
            }
        }
    }

    fn report(&mut self, now: Nanos) {
        // A control thread that is gone is noticed by `take_command`.
        let _ = self.reports.send(Ok(self.driver.sample(now)));
    }
}

fn deliver(driver: &mut Driver, now: impl Fn() -> Nanos, event: Event<'_>) {
    match event {
        Event::Connected { socket } => driver.on_connected(now(), socket),
        Event::Received { socket, bytes } => driver.on_received(now(), socket, bytes),
        Event::EndOfStream { socket } => driver.on_end(now(), socket, Cause::Closed),
        Event::Writable { socket } => driver.on_writable(socket),
        Event::Failed { socket, error } => driver.on_end(now(), socket, Cause::of(&error)),
        Event::Accepted { .. }
        | Event::AcceptFailed { .. }
        | Event::Closed { .. }
        | Event::Woken
        | Event::Tick => {}
    }
}
