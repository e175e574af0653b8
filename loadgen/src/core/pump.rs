//! The loop between a core's ring and its driver. Decides nothing about clients.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::time::Duration;

use crossbeam_channel::Receiver;
use ring::{Event, Ring, SetupError, Stats};

use super::driver::Driver;
use super::{Command, Seat, Told};
use crate::clock::Nanos;
use crate::config::{RECV_BUFFER_SIZE, RECV_BUFFERS, SAMPLE_PERIOD, WAIT_MAX};
use crate::failure::Cause;
use crate::measure::{Bytes, Sample};

/// A core at work.
pub struct Pump {
    seat: Seat,
    commands: Receiver<Command>,
    ring: Ring,
    driver: Driver,
    next_sample: Nanos,
}

impl Pump {
    /// Sets up the ring.
    pub fn new(seat: Seat, commands: Receiver<Command>) -> Result<Pump, SetupError> {
        let sockets = u32::try_from(seat.plan.sockets(seat.index)).unwrap_or(u32::MAX);
        let ring = Ring::new(ring::Config {
            sockets_max: sockets,
            recv_buffer_size: RECV_BUFFER_SIZE,
            recv_buffers: RECV_BUFFERS,
            tick: Duration::ZERO,
            ..ring::Config::default()
        })?;
        let now = seat.clock.now();
        let seed = RandomState::new().hash_one(seat.index);
        let driver = Driver::new(seat.index, seat.plan.clone(), now, seed);
        Ok(Pump { seat, commands, ring, driver, next_sample: now.next_multiple(SAMPLE_PERIOD) })
    }

    /// Runs until told to stop, and returns the last counts. The connections end with the ring.
    ///
    /// It is the only task of its executor, so it never gives way.
    pub fn run(mut self) -> io::Result<Sample> {
        while self.obey() {
            self.turn()?;
        }
        Ok(self.driver.sample(self.seat.clock.now()))
    }

    /// Whether to go on. A control thread that is gone wants the end.
    fn obey(&mut self) -> bool {
        match self.commands.try_recv() {
            Err(crossbeam_channel::TryRecvError::Empty) => true,
            Ok(Command::Begin(step, phase)) => {
                self.tell_now(self.seat.clock.now());
                self.driver.begin(step, phase);
                true
            }
            Ok(Command::End(until)) => {
                self.driver.end(until);
                true
            }
            Ok(Command::Stop) | Err(crossbeam_channel::TryRecvError::Disconnected) => false,
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let wait = self.wait();
        let (driver, clock) = (&mut self.driver, self.seat.clock);
        self.ring.turn(wait, |event| deliver(driver, || clock.now(), event))?;
        let now = clock.now();
        self.connect(now);
        self.driver.drive(now);
        let (outbox, keep) = self.driver.outgoing();
        outbox.flush(&mut self.ring, keep)?;
        for socket in self.driver.closing() {
            self.ring.close(socket);
        }
        let Stats { bytes_in, bytes_out, receives, .. } = self.ring.stats();
        self.driver.on_bytes(now, Bytes { bytes_in, bytes_out, receives });
        self.tell(now);
        Ok(())
    }

    /// How long the ring may wait for something to happen.
    fn wait(&self) -> Duration {
        let now = self.seat.clock.now();
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

    fn tell(&mut self, now: Nanos) {
        if now >= self.next_sample {
            self.next_sample = now.next_multiple(SAMPLE_PERIOD);
            self.tell_now(now);
        }
    }

    fn tell_now(&mut self, now: Nanos) {
        // A control thread that is gone is noticed by `obey`.
        let _ = self.seat.told.send(Told::Sample(self.driver.sample(now)));
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
