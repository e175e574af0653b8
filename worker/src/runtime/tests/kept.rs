//! Commands at gateways that say what they have taken (WIRE.md §14): when their events are safe, what is said again on the next link,
//! and what handlers may still say whose own link is lost.

use protocol::inner::ext::WorkerConnect;
use protocol::inner::{self, FLAG_RECEIPT_WANTED, FRAME_SIZE_MAX, Origin, Receipt, Run};

use super::acks::{Both, OTHER, RUN, done, safe};
use super::*;
use crate::config::{KEPT_TIME, RECEIPT_TIMEOUT};
use crate::core::Counters;

/// What a gateway was sent: commands and whether a receipt is wanted, in order.
type Said = Vec<(Cmd, bool)>;

const MESSAGE: (Cmd, bool) = (Cmd::SendToOne, true);

impl Both {
    /// What goes out on a link, whole, but for pings; and the body of the last frame.
    fn said(&mut self, conn: ConnId) -> (Said, Vec<u8>) {
        let runtime = &mut self.stage.runtime;
        runtime.on_writable(conn);
        let mut dirty = Vec::new();
        runtime.take_dirty(&mut dirty);
        let bytes = runtime.unsent().of(conn).to_vec();
        for other in dirty.into_iter().filter(|other| *other != conn) {
            runtime.on_sent(other, 0);
            runtime.on_writable(other);
        }
        runtime.on_sent(conn, bytes.len());
        let (mut said, mut at, mut last) = (Vec::new(), 0, Vec::new());
        while let Some((frame, size)) = inner::decode(&bytes[at..], FRAME_SIZE_MAX).unwrap() {
            said.push((Cmd::from_u8(frame.cmd).unwrap(), frame.flag & FLAG_RECEIPT_WANTED != 0));
            last = frame.body.to_vec();
            at += size;
        }
        said.retain(|(cmd, _)| *cmd != Cmd::RingwayPing);
        (said, last)
    }

    /// Which events of the first gateway it is told to be safe.
    fn safe(&mut self) -> Vec<u32> {
        let said = self.send_in_time(0).into_iter().filter(|(cmd, _)| *cmd == Cmd::EventsSafe);
        said.flat_map(|(_, ranges)| ranges).flat_map(|range| range.first..range.end()).collect()
    }

    fn other_hears(&mut self) -> Said {
        let (said, _) = self.said(self.other);
        said
    }

    fn other_has_taken(&mut self, taken: u32) {
        let body = Receipt { taken }.encode();
        self.other_says(Frame { body: &body, ..Frame::command(Cmd::Receipt) });
    }

    /// The link to the other is lost, and there is another; which link it asks to go on from.
    fn lose_other(&mut self) -> Option<u32> {
        self.stage.runtime.on_end(self.other, io::ErrorKind::ConnectionReset.into());
        [self.other] = self.reconnect([OTHER]);
        self.asks_to_resume(self.other)
    }

    /// The same of the first one.
    fn lose(&mut self) -> Option<u32> {
        self.stage.runtime.on_end(self.stage.link, io::ErrorKind::ConnectionReset.into());
        [self.stage.link] = self.reconnect([GATEWAY]);
        self.asks_to_resume(self.stage.link)
    }

    fn lose_both(&mut self) {
        for link in [self.stage.link, self.other] {
            self.stage.runtime.on_end(link, io::ErrorKind::ConnectionReset.into());
        }
        [self.stage.link, self.other] = self.reconnect([GATEWAY, OTHER]);
        self.asks_to_resume(self.stage.link);
        self.asks_to_resume(self.other);
    }

    fn reconnect<const N: usize>(&mut self, gateways: [SocketAddrV4; N]) -> [ConnId; N] {
        let mut actions = Vec::new();
        // As long as it waits where links end soon.
        self.wait(10);
        self.stage.runtime.take_actions(&mut actions);
        gateways.map(|gateway| {
            let conn = actions.iter().rev().find_map(|action| match action {
                Action::Connect(conn, to, _) if *to == gateway.into() => Some(*conn),
                _ => None,
            });
            let conn = conn.expect("it connects again");
            self.stage.runtime.on_connected(conn);
            conn
        })
    }

    /// The first thing that is said on a link, and nothing is behind it.
    fn asks_to_resume(&mut self, link: ConnId) -> Option<u32> {
        let (said, hello) = self.said(link);
        assert_eq!(said, [(Cmd::WorkerConnect, false)]);
        WorkerConnect::decode(&hello).unwrap().resume
    }

    /// Time passes, and the core does not stand still.
    fn wait(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.stage.pass(Duration::from_secs(1)));
    }

    fn counters(&self) -> Counters {
        self.stage.runtime.status().counters
    }

    fn kept(&self) -> (usize, usize) {
        let status = self.stage.runtime.status();
        (status.commands_kept, status.events_unsettled)
    }
}

fn origin(link: u32) -> Option<Origin> {
    Some(Origin { run: RUN, link })
}

#[test]
fn an_event_is_safe_when_the_other_gateway_has_taken_what_its_handler_said_there() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.stage.offer(1, "quiet");
    both.stage.offer(2, "echo");
    assert_eq!(both.said(both.other).0, [MESSAGE]);
    assert_eq!(both.send(0), [(Cmd::SendToOne, vec![]), safe(2, 1)], "what it says at home is not kept");
    assert_eq!((both.send_in_time(0), both.kept()), (vec![done(0, 2)], (1, 2)));
    // That is the ping in front of it.
    both.other_has_taken(1);
    assert_eq!(both.kept(), (1, 2));
    both.other_has_taken(2);
    assert_eq!((both.send_in_time(0), both.kept()), (vec![safe(0, 2)], (0, 0)));
}

#[test]
fn what_spawned_work_says_is_kept_and_no_event_waits_for_it() {
    let mut both = Both::new(100);
    both.stage.offer(1, "hold");
    both.stage.pass(Duration::ZERO);
    both.stage.pass(Duration::from_millis(100));
    assert_eq!(both.kept(), (1, 1), "it was held until then");
    both.stage.offer(2, "quiet");
    assert_eq!(both.send_in_time(usize::MAX), [done(0, 1), safe(1, 1)]);
    both.other_has_taken(2);
    assert_eq!((both.send_in_time(0), both.kept()), (vec![safe(0, 1)], (0, 0)));
}

#[test]
fn an_event_that_has_waited_for_long_counts_as_safe_and_what_it_said_is_kept_on() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.send(usize::MAX);
    both.wait(RECEIPT_TIMEOUT.as_secs() - 1);
    assert_eq!(both.send_in_time(0), [done(0, 1)]);
    both.wait(1);
    assert_eq!((both.send_in_time(0), both.kept()), (vec![safe(0, 1)], (1, 0)));
    assert_eq!(both.counters().events_unproven, 1);
    both.other_has_taken(2);
    assert_eq!(both.kept(), (0, 0));
}

#[test]
fn what_was_not_taken_is_said_again_on_the_next_link_before_anything_new() {
    let mut both = Both::new(100);
    (0..3).for_each(|client| both.stage.offer(client, "elsewhere"));
    both.send(usize::MAX);
    assert_eq!(both.lose_other(), Some(2));
    both.stage.offer(3, "elsewhere");
    assert_eq!((both.other_hears(), both.kept()), (vec![], (4, 4)), "it has not said what it has taken");
    // The ping and the first one.
    both.greet_other(origin(3), Some(2));
    both.stage.offer(4, "elsewhere");
    assert_eq!(both.other_hears(), [MESSAGE; 4]);
    assert_eq!((both.safe(), both.kept()), (vec![0], (4, 4)));
    both.other_has_taken(2);
    assert_eq!((both.safe(), both.kept()), (vec![1, 2], (2, 2)));
    // It is lost before anything was said on it: numbers are those of the one before.
    assert_eq!(both.lose_other(), Some(3));
    assert_eq!(both.lose_other(), Some(3));
    both.greet_other(origin(5), Some(4));
    assert_eq!(both.other_hears(), [MESSAGE]);
    both.other_has_taken(1);
    assert_eq!((both.safe(), both.kept()), (vec![3, 4], (0, 0)));
    assert_eq!(both.counters().commands_forgotten, 0);
}

#[test]
fn what_was_said_to_another_gateway_or_to_one_that_has_forgotten_is_dropped() {
    for (acks, taken, unproven) in
        [(ANOTHER, Some(0), 0), (ANOTHER, None, 0), (None, None, 0), (origin(3), None, 1)]
    {
        let mut both = Both::new(100);
        both.stage.offer(1, "elsewhere");
        both.send(usize::MAX);
        both.lose_other();
        both.stage.offer(2, "elsewhere");
        both.greet_other(acks, taken);
        assert_eq!(both.other_hears(), []);
        assert_eq!((both.safe(), both.kept()), (vec![0, 1], (0, 0)));
        let Counters { commands_forgotten, events_unproven, .. } = both.counters();
        assert_eq!((commands_forgotten, events_unproven), (2, 2 * unproven));
        both.stage.offer(3, "elsewhere");
        assert_eq!(both.other_hears(), [(Cmd::SendToOne, acks.is_some())]);
    }
}

#[test]
fn what_is_kept_for_a_gateway_that_does_not_come_back_is_dropped_in_the_end() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.send(usize::MAX);
    both.lose_other();
    both.wait(KEPT_TIME.as_secs() - 12);
    assert_eq!(both.kept(), (1, 0));
    both.stage.say(Frame::command(Cmd::Ping));
    both.wait(12);
    assert_eq!((both.kept(), both.counters().commands_forgotten), ((0, 0), 1));
    both.stage.offer(1, "elsewhere");
    assert_eq!((both.kept(), both.counters().commands_dropped), ((0, 0), 1));
}

#[test]
fn nobody_waits_for_a_gateway_that_ends() {
    let mut both = Both::new(100);
    // Also where less was sent on the link than there have been commands.
    both.lose_other();
    both.greet_other(origin(3), Some(1));
    both.stage.offer(1, "elsewhere");
    both.send(0);
    both.other_says(Frame::command(Cmd::Receipt));
    both.stage.offer(2, "elsewhere");
    assert_eq!((both.kept(), both.safe()), ((0, 1), vec![0]));
    assert_eq!(both.other_hears(), [MESSAGE, (Cmd::SendToOne, false)]);
    assert_eq!((both.kept(), both.safe()), ((0, 0), vec![1]));
}

/// In the place of one of ours there is PHP's, which says something else first.
#[test]
fn a_gateway_that_says_something_else_first_is_told_everything_at_once() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.send(usize::MAX);
    both.lose_other();
    both.other_says(Frame::command(Cmd::Ping));
    both.stage.offer(2, "elsewhere");
    assert_eq!(both.other_hears(), []);
    both.wait(1);
    assert_eq!((both.kept(), both.counters().commands_forgotten), ((0, 0), 2));
    both.stage.offer(3, "elsewhere");
    assert_eq!(both.other_hears(), [(Cmd::SendToOne, false)]);
}

/// The handler goes on when its event's link is lost.
#[test]
fn what_a_handler_says_whose_event_may_be_others_waits_until_that_is_known() {
    for (acks, is_revoked) in [(origin(3), true), (ANOTHER, false), (None, false)] {
        let mut both = Both::new(100);
        both.stage.offer(1, "later 10");
        both.lose();
        assert!(both.stage.runtime.status().held_bytes > 0, "the handler has ended");
        assert_eq!((both.other_hears(), both.kept()), (vec![], (0, 0)));
        both.greet(acks, None);
        assert_eq!(both.stage.runtime.status().held_bytes, 0);
        let said: Said = if is_revoked { vec![] } else { vec![MESSAGE] };
        assert_eq!((both.other_hears(), both.counters().commands_revoked), (said, 2 * u64::from(is_revoked)));
    }
}

#[test]
fn a_handler_whose_event_others_have_says_nothing_more_not_even_at_home() {
    let mut both = Both::new(100);
    both.stage.offer(1, "later 20000");
    both.lose();
    both.greet(origin(3), None);
    both.said(both.stage.link);
    both.wait(20);
    assert_eq!((both.stage.status(), both.counters().commands_revoked), ((0, 0), 2));
    assert_eq!(both.other_hears(), []);
    both.stage.offer(2, "echo");
    assert_eq!(both.send(0)[0].0, Cmd::SendToOne, "an event of the new link");
}

#[test]
fn when_nothing_is_heard_of_its_gateway_what_a_handler_said_is_dropped_in_the_end() {
    let mut both = Both::new(100);
    both.stage.offer(1, "later 10");
    both.lose();
    both.wait(KEPT_TIME.as_secs());
    assert_eq!((both.stage.runtime.status().held_bytes, both.counters().commands_forgotten), (0, 2));
    assert_eq!(both.other_hears(), []);
}

/// What is to be said again on one link, of events whose own link is lost.
#[test]
fn what_events_said_that_others_have_is_not_said_again() {
    for (acks, is_revoked) in [(origin(3), true), (ANOTHER, false)] {
        let mut both = Both::new(100);
        both.stage.offer(1, "elsewhere");
        both.send(usize::MAX);
        both.lose_both();
        both.greet_other(origin(4), Some(0));
        assert_eq!((both.other_hears(), both.stage.runtime.status().held_bytes > 0), (vec![], true));
        both.greet(acks, None);
        let said: Said = if is_revoked { vec![] } else { vec![MESSAGE] };
        assert_eq!((both.other_hears(), both.counters().commands_revoked), (said, u64::from(is_revoked)));
    }
}

/// A gateway that was started anew.
const ANOTHER: Option<Origin> = Some(Origin { run: Run(0xbcde), link: 1 });
