//! Echo: who sends when. Closed loop: the next message when one has come back. Open loop: by the clock.

use crate::client::{Client, Clients};
use crate::clock::Nanos;
use crate::config::SENDS_PER_TURN;
use crate::measure::Phase;
use crate::pace::Pace;
use crate::step::Load;

/// One core's part of an echo load.
#[derive(Debug)]
pub struct Echo {
    load: Load,
    /// How many of the core's clients send: the first of them.
    talkers: usize,
    /// Which of how many cores that send; they take turns in an open loop.
    turn: (usize, usize),
    running: Option<Running>,
}

/// The load once it began.
#[derive(Debug)]
struct Running {
    phase: Phase,
    /// Slots below this one hold those who send; none before the first message.
    slots: Option<usize>,
    /// Closed loop: the first slot whose client has not been started.
    started: usize,
    /// Open loop: this core's share of the rate.
    pace: Option<Pace>,
}

impl Echo {
    /// Nothing is sent before [`Echo::begin`]. `turn`: which of how many cores this one is.
    pub fn new(load: Load, talkers: usize, turn: (usize, usize)) -> Echo {
        Echo { load, talkers, turn, running: None }
    }

    /// Says when to send.
    pub fn begin(&mut self, phase: Phase) {
        let pace = match self.load {
            Load::Closed { .. } => None,
            Load::Open { per_second } => {
                Some(Pace::share(phase.load_from, per_second, self.turn.0, self.turn.1))
            }
        };
        self.running = Some(Running { phase, slots: None, started: 0, pace });
    }

    /// Says that nothing is to be sent from `until` on.
    pub fn end(&mut self, until: Nanos) {
        if let Some(running) = &mut self.running {
            running.phase.until = running.phase.until.min(until);
        }
    }

    /// Sends what is due.
    pub fn drive(&mut self, now: Nanos, clients: &mut Clients, mut send: impl FnMut(&mut Client, Nanos)) {
        let Some(running) = self.running.as_mut().filter(|running| running.phase.load_from <= now) else {
            return;
        };
        let slots = *running.slots.get_or_insert_with(|| clients.slots_of_first(self.talkers));
        match (self.load, &mut running.pace) {
            (Load::Closed { depth }, _) => running.start(now, depth, slots, clients, send),
            (Load::Open { .. }, Some(pace)) => {
                let last = now.min(Nanos(running.phase.until.0.saturating_sub(1)));
                for intended in std::iter::from_fn(|| pace.take(last)).take(SENDS_PER_TURN) {
                    let Some(client) = clients.next_open_below(slots) else { return };
                    send(client, intended);
                }
            }
            (Load::Open { .. }, None) => {}
        }
    }

    /// When something is to be sent.
    pub fn next_at(&self) -> Option<Nanos> {
        let running = self.running.as_ref()?;
        match &running.pace {
            Some(pace) => Some(pace.next_at()).filter(|at| *at < running.phase.until),
            None => Some(running.phase.load_from).filter(|_| running.started == 0),
        }
    }

    /// Whether a client whose message came back sends the next one.
    pub fn wants_next(&self, now: Nanos) -> bool {
        let closed = matches!(self.load, Load::Closed { .. });
        closed && self.running.as_ref().is_some_and(|running| now < running.phase.until)
    }
}

impl Running {
    /// The first `depth` messages of the next clients.
    fn start(
        &mut self,
        now: Nanos,
        depth: u32,
        slots: usize,
        clients: &mut Clients,
        mut send: impl FnMut(&mut Client, Nanos),
    ) {
        if now >= self.phase.until {
            return;
        }
        let end = slots.min(self.started + SENDS_PER_TURN);
        for index in self.started..end {
            if let Some(client) = clients.open_at(index) {
                (0..depth).for_each(|_| send(client, now));
            }
        }
        self.started = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Stage, Wire};
    use crate::target::Scheme;
    use ring::SocketId;

    const PHASE: Phase = Phase { load_from: Nanos(1_000), from: Nanos(2_000), until: Nanos(10_000) };

    fn clients(count: u32) -> Clients {
        let mut clients = Clients::default();
        for index in 0..count {
            let socket = SocketId::new(index, 0);
            let wire = Wire::new(Scheme::Tcp);
            let stage = Stage::Connecting;
            clients.insert(Client { socket, destination: 0, stage, wire, session: None, backlog: None });
            clients.set_open(socket);
        }
        clients
    }

    /// Who sent at `now`, and the moments meant, in ns.
    fn drive(echo: &mut Echo, clients: &mut Clients, now: u64) -> Vec<(usize, u64)> {
        let mut sent = Vec::new();
        echo.drive(Nanos(now), clients, |client, intended| sent.push((client.socket.index(), intended.0)));
        sent
    }

    #[test]
    fn a_closed_loop_starts_everybody_once_and_goes_on_until_the_end() {
        let (mut echo, mut clients) = (Echo::new(Load::Closed { depth: 2 }, 2, (0, 1)), clients(2));
        echo.begin(PHASE);
        assert_eq!(echo.next_at(), Some(Nanos(1_000)));
        assert_eq!(drive(&mut echo, &mut clients, 999), []);
        assert_eq!(drive(&mut echo, &mut clients, 1_005), [(0, 1_005), (0, 1_005), (1, 1_005), (1, 1_005)]);
        assert_eq!(drive(&mut echo, &mut clients, 1_006), []);
        assert_eq!(echo.next_at(), None);
        assert!(echo.wants_next(Nanos(9_999)));
        assert!(!echo.wants_next(Nanos(10_000)));
    }

    #[test]
    fn many_clients_are_started_in_slices() {
        let (mut echo, mut clients) = (
            Echo::new(Load::Closed { depth: 1 }, usize::MAX, (0, 1)),
            clients(2 * SENDS_PER_TURN as u32 + 1),
        );
        echo.begin(PHASE);
        let counts: Vec<_> = (0..4).map(|_| drive(&mut echo, &mut clients, 2_000).len()).collect();
        assert_eq!(counts, [SENDS_PER_TURN, SENDS_PER_TURN, 1, 0]);
    }

    #[test]
    fn an_open_loop_does_not_wait_and_does_not_forget() {
        // One message a microsecond; the second of two cores sends every other one.
        let (mut echo, mut clients) = (Echo::new(Load::Open { per_second: 1e6 }, 3, (1, 2)), clients(3));
        echo.begin(PHASE);
        assert_eq!(drive(&mut echo, &mut clients, 2_000), [(0, 2_000)]);
        assert_eq!(echo.next_at(), Some(Nanos(4_000)));
        assert!(!echo.wants_next(Nanos(3_000)));
        // A stall of 5 µs: what was missed is sent with the moments it was meant for, and nothing beyond the end.
        assert_eq!(drive(&mut echo, &mut clients, 12_000), [(1, 4_000), (2, 6_000), (0, 8_000)]);
        assert_eq!(echo.next_at(), None);
    }

    #[test]
    fn some_send_while_the_others_are_just_there() {
        let mut clients = clients(5);
        clients.remove(SocketId::new(1, 0));
        for (load, expected) in [
            (Load::Closed { depth: 1 }, vec![(0, 2_000), (2, 2_000)]),
            (Load::Open { per_second: 2e6 }, vec![(0, 1_000), (2, 1_500), (0, 2_000)]),
        ] {
            let mut echo = Echo::new(load, 2, (0, 1));
            echo.begin(PHASE);
            assert_eq!(drive(&mut echo, &mut clients, 2_000), expected);
            echo.end(Nanos(2_100));
            assert_eq!(
                (drive(&mut echo, &mut clients, 3_000), echo.wants_next(Nanos(3_000))),
                (vec![], false)
            );
        }
    }

    #[test]
    fn nobody_there_is_no_endless_loop() {
        let (mut echo, mut clients) =
            (Echo::new(Load::Open { per_second: 1e9 }, 1, (0, 1)), Clients::default());
        echo.begin(PHASE);
        assert_eq!(drive(&mut echo, &mut clients, 9_000), []);
    }
}
