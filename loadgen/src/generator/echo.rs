//! Echo: which client sends when. Closed loop: the next message when one has come back. Open loop: by the clock.

use crate::client::{Client, Clients};
use crate::clock::Nanos;
use crate::config::SENDS_PER_TURN;
use crate::measure::Phase;
use crate::pace::Pace;
use crate::step::Step;

/// One core's part of an echo load.
#[derive(Debug)]
pub(crate) struct Echo {
    phase: Phase,
    /// How many of the core's clients send: the first of them.
    senders: usize,
    /// Slots below this one hold the senders; none before the first message.
    slots: Option<usize>,
    schedule: Schedule,
}

#[derive(Debug)]
enum Schedule {
    Closed {
        /// Messages in flight per client.
        depth: u32,
        /// The first slot whose client has not been started.
        started: usize,
    },
    /// This core's share of the rate.
    Open(Pace),
}

impl Echo {
    /// The load of `step` within `phase`. `turn`: index of this core among those that send, and their count.
    pub(crate) fn new(step: &Step, phase: Phase, senders: usize, turn: (usize, usize)) -> Echo {
        let span = phase.load_from..phase.until;
        let schedule = match step.depth {
            Some(depth) => Schedule::Closed { depth, started: 0 },
            None => Schedule::Open(Pace::share(span, step.per_second(), turn.0, turn.1)),
        };
        Echo { phase, senders, slots: None, schedule }
    }

    /// Nothing is to be sent from `until` on.
    pub(crate) fn end(&mut self, until: Nanos) {
        self.phase.end(until);
        if let Schedule::Open(pace) = &mut self.schedule {
            pace.end(until);
        }
    }

    /// Sends what is due: at most [`SENDS_PER_TURN`] messages by the clock, or the first messages of as many clients.
    pub(crate) fn drive(
        &mut self,
        now: Nanos,
        clients: &mut Clients,
        mut send: impl FnMut(&mut Client, Nanos),
    ) {
        if now < self.phase.load_from {
            return;
        }
        let slots = *self.slots.get_or_insert_with(|| clients.slots_of_first(self.senders));
        match &mut self.schedule {
            Schedule::Closed { started, .. } if self.phase.until <= now => *started = slots,
            Schedule::Closed { depth, started } => {
                let end = slots.min(*started + SENDS_PER_TURN);
                for index in *started..end {
                    if let Some(client) = clients.open_at(index) {
                        (0..*depth).for_each(|_| send(client, now));
                    }
                }
                *started = end;
            }
            Schedule::Open(pace) => {
                for intended in std::iter::from_fn(|| pace.take(now)).take(SENDS_PER_TURN) {
                    let Some(client) = clients.next_open_below(slots) else { return };
                    send(client, intended);
                }
            }
        }
    }

    /// When something is to be sent.
    pub(crate) fn next_at(&self) -> Option<Nanos> {
        match &self.schedule {
            Schedule::Closed { started, .. } => {
                Some(self.phase.load_from).filter(|_| self.slots.is_none_or(|slots| *started < slots))
            }
            Schedule::Open(pace) => pace.next_at(),
        }
    }

    /// Whether a client whose message came back sends the next one.
    pub(crate) fn wants_next(&self, now: Nanos) -> bool {
        matches!(self.schedule, Schedule::Closed { .. }) && now < self.phase.until
    }
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;
    use crate::Flags;
    use crate::client::{Stage, Wire};
    use crate::target::Scheme;
    use uring::SocketId;

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

    fn step(line: &str) -> Step {
        let flags = Flags::from_args(&["loadgen"], &["--scenario", "echo"]).unwrap();
        Step::new(&flags, &line.parse().unwrap()).unwrap()
    }

    fn closed(depth: u32) -> Step {
        step(&format!("echo,depth={depth}"))
    }

    fn open(per_second: f64) -> Step {
        step(&format!("echo,rate={per_second}"))
    }

    /// The clients that sent at `now`, each with the moment its message was meant for, in ns.
    fn drive(echo: &mut Echo, clients: &mut Clients, now: u64) -> Vec<(usize, u64)> {
        let mut sent = Vec::new();
        echo.drive(Nanos(now), clients, |client, intended| sent.push((client.socket.index(), intended.0)));
        sent
    }

    #[test]
    fn a_closed_loop_starts_everybody_once_and_goes_on_until_the_end() {
        let (mut echo, mut clients) = (Echo::new(&closed(2), PHASE, 2, (0, 1)), clients(2));
        assert_eq!(echo.next_at(), Some(Nanos(1_000)));
        assert_eq!(drive(&mut echo, &mut clients, 999), []);
        assert_eq!(drive(&mut echo, &mut clients, 1_005), [(0, 1_005), (0, 1_005), (1, 1_005), (1, 1_005)]);
        assert_eq!(drive(&mut echo, &mut clients, 1_006), []);
        assert_eq!(echo.next_at(), None);
        assert!(echo.wants_next(Nanos(9_999)));
        assert!(!echo.wants_next(Nanos(10_000)));
    }

    /// Or its loop would not sleep.
    #[test]
    fn a_core_without_senders_has_nothing_to_do() {
        let (mut echo, mut clients) = (Echo::new(&closed(1), PHASE, 0, (0, 1)), clients(2));
        assert_eq!((drive(&mut echo, &mut clients, 1_000), echo.next_at()), (vec![], None));
        // Nor has one that comes too late to start its senders.
        let mut late = Echo::new(&closed(1), PHASE, 2, (0, 1));
        assert_eq!((drive(&mut late, &mut clients, 10_000), late.next_at()), (vec![], None));
    }

    #[test]
    fn many_clients_are_started_in_slices() {
        let (mut echo, mut clients) =
            (Echo::new(&closed(1), PHASE, usize::MAX, (0, 1)), clients(2 * SENDS_PER_TURN as u32 + 1));
        let counts: Vec<_> = (0..4).map(|_| drive(&mut echo, &mut clients, 2_000).len()).collect();
        assert_eq!(echo.next_at(), None);
        assert_eq!(counts, [SENDS_PER_TURN, SENDS_PER_TURN, 1, 0]);
    }

    #[test]
    fn an_open_loop_does_not_wait_and_does_not_forget() {
        // One message a microsecond; the second of two cores sends every other one.
        let (mut echo, mut clients) = (Echo::new(&open(1e6), PHASE, 3, (1, 2)), clients(3));
        assert_eq!(drive(&mut echo, &mut clients, 2_000), [(0, 2_000)]);
        assert_eq!(echo.next_at(), Some(Nanos(4_000)));
        assert!(!echo.wants_next(Nanos(3_000)));
        // A stall of 5 µs: what was missed is sent with the moments it was meant for, and nothing beyond the end.
        assert_eq!(drive(&mut echo, &mut clients, 12_000), [(1, 4_000), (2, 6_000), (0, 8_000)]);
        assert_eq!(echo.next_at(), None);
    }

    #[test]
    fn some_send_while_the_others_stay_connected() {
        let mut clients = clients(5);
        clients.remove(SocketId::new(1, 0));
        for (step, expected) in
            [(closed(1), vec![(0, 2_000), (2, 2_000)]), (open(2e6), vec![(0, 1_000), (2, 1_500), (0, 2_000)])]
        {
            let mut echo = Echo::new(&step, PHASE, 2, (0, 1));
            assert_eq!(drive(&mut echo, &mut clients, 2_000), expected);
            echo.end(Nanos(2_100));
            assert_eq!(
                (drive(&mut echo, &mut clients, 3_000), echo.wants_next(Nanos(3_000))),
                (vec![], false)
            );
        }
    }

    #[test]
    fn without_clients_there_is_no_endless_loop() {
        let (mut echo, mut clients) = (Echo::new(&open(1e9), PHASE, 1, (0, 1)), Clients::default());
        assert_eq!(drive(&mut echo, &mut clients, 9_000), []);
    }
}
