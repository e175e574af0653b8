//! Churn: clients leave and others come, by the clock. Who is on the way, and since when that was meant.

use std::collections::HashMap;

use ring::SocketId;

use crate::clock::Nanos;
use crate::measure::Phase;
use crate::pace::Pace;

/// One core's part of the coming and going.
#[derive(Debug)]
pub struct Churn {
    per_second: f64,
    /// Which of how many cores; they take turns.
    core: usize,
    cores: usize,
    running: Option<(Pace, Phase)>,
    /// Connections not open yet, with the moments they were meant to begin. Bounded by the driver's bound on those.
    under_way: HashMap<SocketId, Nanos>,
}

impl Churn {
    /// Nobody comes or goes before [`Churn::begin`].
    pub fn new(per_second: f64, core: usize, cores: usize) -> Churn {
        Churn { per_second, core, cores, running: None, under_way: HashMap::new() }
    }

    /// Says when to begin and to end.
    pub fn begin(&mut self, phase: Phase) {
        let pace = Pace::share(phase.load_from, self.per_second, self.core, self.cores);
        self.running = Some((pace, phase));
    }

    /// Nobody comes from `until` on.
    pub fn end(&mut self, until: Nanos) {
        if let Some((_, phase)) = &mut self.running {
            phase.until = phase.until.min(until);
        }
    }

    /// When the next one comes.
    pub fn next_at(&self) -> Option<Nanos> {
        let (pace, phase) = self.running.as_ref()?;
        Some(pace.next_at()).filter(|at| *at < phase.until)
    }

    /// The moment that the next one was meant to come, if it is due.
    pub fn take_due(&mut self, now: Nanos) -> Option<Nanos> {
        self.next_at()?;
        self.running.as_mut()?.0.take(now)
    }

    /// It has a socket.
    pub fn on_begun(&mut self, socket: SocketId, intended: Nanos) {
        self.under_way.insert(socket, intended);
    }

    /// It is open, or never will be. Returns when it was meant to come; none if it was there from the start.
    pub fn settle(&mut self, socket: SocketId) -> Option<Nanos> {
        self.under_way.remove(&socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_by_the_clock_until_the_end() {
        // One a microsecond of two cores, so every other one here.
        let mut churn = Churn::new(1e6, 1, 2);
        assert_eq!((churn.next_at(), churn.take_due(Nanos(u64::MAX))), (None, None));
        churn.begin(Phase { load_from: Nanos(1_000), from: Nanos(1_000), until: Nanos(5_000) });
        assert_eq!((churn.next_at(), churn.take_due(Nanos(1_999))), (Some(Nanos(2_000)), None));
        let due: Vec<_> = std::iter::from_fn(|| churn.take_due(Nanos(90_000))).collect();
        assert_eq!((due, churn.next_at()), (vec![Nanos(2_000), Nanos(4_000)], None));
    }

    #[test]
    fn each_settles_once() {
        let mut churn = Churn::new(1.0, 0, 1);
        let socket = SocketId::new(3, 1);
        churn.on_begun(socket, Nanos(7));
        assert_eq!(churn.settle(SocketId::new(3, 0)), None);
        assert_eq!((churn.settle(socket), churn.settle(socket)), (Some(Nanos(7)), None));
    }
}
