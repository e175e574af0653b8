//! What became of one message, and of the order of one client's.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

use super::finding::Finding;
use super::handled::{Begun, Handled};
use super::rows::{Rows, Span};
use crate::client::{Client, Sent};
use crate::faults::CONSEQUENCES;
use crate::request::{Kind, MessageId};

/// All that is known of a message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub id: MessageId,
    pub sent: &'a Sent,
    pub handled: &'a Handled,
    /// Whether the kernel had taken it for the gateway.
    pub is_taken: bool,
    /// How its client has ended, if it has.
    pub end: Option<ClientEnd>,
    /// Whether a newer message of its client and kind was answered: nobody can have had that one without this one.
    pub is_passed: bool,
}

/// How a client's connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ClientEnd {
    pub at: Duration,
    /// With its gateway. An end of another kind is found by itself.
    pub with_gateway: bool,
}

impl<'a> Message<'a> {
    /// What is known of all messages of a client, in its order.
    pub(super) fn all_of(
        index: u32,
        client: &'a Client,
        handled: &'a HashMap<MessageId, Handled>,
        rows: Rows<'_>,
    ) -> Vec<Message<'a>> {
        let end = client
            .closed_at()
            .map(|at| ClientEnd { at, with_gateway: rows.ended_gateway(client.gateway(), at) });
        let answered = (0..).zip(client.sent()).filter(|(_, sent)| !sent.answers.is_empty());
        let last_answered: BTreeMap<Kind, u32> = answered.map(|(number, sent)| (sent.kind, number)).collect();
        let nothing: &'static Handled = const { &Handled::NOTHING };
        let known = |(number, sent): (u32, &'a Sent)| {
            let id = MessageId { client: index, number };
            Message {
                id,
                sent,
                handled: handled.get(&id).unwrap_or(nothing),
                is_taken: client.is_taken(number as usize),
                end,
                is_passed: last_answered.get(&sent.kind).is_some_and(|last| number < *last),
            }
        };
        (0..).zip(client.sent()).map(known).collect()
    }

    /// Whether the row about a gateway's end excuses it, for it was to one of that gateway's clients, or from one.
    pub(super) fn went_with_gateway(&self, finding: Finding, clients: &[Client], rows: Rows<'_>) -> bool {
        let is_owners =
            self.end.is_some_and(|end| end.with_gateway && end.at <= self.known_until() + HELD_MAX);
        match finding {
            Finding::NotAccepted | Finding::NotBegun | Finding::NotEnded | Finding::NotAnswered => {
                is_owners && !self.is_passed
            }
            // What a handler has said to others is not lost with its client's gateway, but with the worker: nobody gives the
            // event to another one.
            Finding::ForeignMissing => {
                is_owners && rows.lost_worker(self.span()) || self.is_lost_with_target(clients, rows)
            }
            _ => false,
        }
    }

    /// Whether a word ended with the gateway, or the client, that was to have it: when it may have been on its way, or when the
    /// worker could not know of it. How that client ended is found by itself.
    fn is_lost_with_target(&self, clients: &[Client], rows: Rows<'_>) -> bool {
        let Some(target) = self.sent.target.and_then(|target| clients.get(target as usize)) else {
            return false;
        };
        let (said, span) = (self.known_until(), self.span());
        let has_ended = target.closed_at().is_some_and(|at| {
            let until_then = Span { from: said, until: at };
            at <= said + PROMPT
                || at <= span.until && rows.are_slow(until_then)
                || rows.stood_still(target.gateway(), until_then)
        });
        has_ended || rows.hide_end(target.gateway(), span)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let (sent, handled) = (self.sent, self.handled);
        let mut found = Vec::new();
        // Of a client that was closed, which is found by itself.
        let is_explained = self.end.is_some_and(|end| !end.with_gateway) && !self.is_passed;
        found.extend(self.loss().filter(|_| !is_explained));
        if sent.target.is_some() && sent.foreign.is_empty() && !handled.ended.is_empty() {
            found.push(Finding::ForeignMissing);
        }
        if sent.answers.iter().any(|(at, _)| *at > sent.at + LATE) {
            found.push(Finding::Late);
        }
        self.find_twice(&mut found);
        found
    }

    fn loss(&self) -> Option<Finding> {
        if !self.is_taken {
            Some(Finding::NotAccepted)
        } else if self.handled.begun.is_empty() {
            Some(Finding::NotBegun)
        } else if self.handled.ended.is_empty() {
            Some(Finding::NotEnded)
        } else {
            self.sent.answers.is_empty().then_some(Finding::NotAnswered)
        }
    }

    fn find_twice(&self, found: &mut Vec<Finding>) {
        let begun = &self.handled.begun;
        if begun.iter().any(|begun| begun.again) {
            found.push(Finding::MarkedTwice);
        }
        let firsts: Vec<_> = begun.iter().filter(|begun| !begun.again).collect();
        let in_one = firsts
            .iter()
            .enumerate()
            .any(|(index, first)| firsts[..index].iter().any(|earlier| earlier.run == first.run));
        if in_one {
            found.push(Finding::UnmarkedTwiceInOne);
        } else if begun.iter().skip(1).any(|begun| !begun.again) {
            // Behind another one, marked or not.
            found.push(Finding::UnmarkedTwice);
        }
        if self.sent.answers.len() > begun.len() {
            found.push(Finding::AnsweredTwice);
        }
        if self.sent.foreign.len() > begun.len() {
            found.push(Finding::ForeignTwice);
        }
        if begun.iter().any(|other| other.event_id != begun[0].event_id) {
            found.push(Finding::OtherName);
        }
    }

    /// From when it was said until it was heard of last. Of what is missing, nobody knows how long it was on its way.
    pub(super) fn span(&self) -> Span {
        let sent = self.sent;
        let mut until = self.known_until();
        if sent.target.is_some() && sent.foreign.is_empty() {
            until += ON_THE_WAY;
        }
        if let Some(end) = self.end.filter(|_| sent.answers.is_empty()) {
            until = until.max(end.at);
        }
        Span { from: sent.at, until }
    }

    fn known_until(&self) -> Duration {
        let Message { sent, handled, .. } = self;
        let answers = sent.answers.iter().map(|(at, _)| *at);
        let handled = handled.begun.iter().map(|begun| begun.at).chain(handled.ended.iter().copied());
        let known = answers.chain(sent.foreign.iter().copied()).chain(handled).chain([sent.at]);
        known.max().unwrap_or_default()
    }

    pub(super) fn describe(&self) -> String {
        let Message { id, sent, handled, .. } = self;
        let mut text = format!("{} {id} said at {:.3?}", sent.kind.name(), sent.at);
        for begun in &handled.begun {
            let Begun { run, again, at, event_id } = begun;
            let mark = if *again { " (repeat)" } else { "" };
            let _ = write!(text, ", begun in run {run}{mark} at {at:.3?} as {event_id:032x}");
        }
        for at in &handled.ended {
            let _ = write!(text, ", ended at {at:.3?}");
        }
        for (at, value) in &sent.answers {
            let _ = write!(text, ", answered {value} at {at:.3?}");
        }
        for at in &sent.foreign {
            let _ = write!(text, ", heard by client {} at {at:.3?}", sent.target.unwrap_or_default());
        }
        text
    }
}

/// Which messages of a client, which are given in its order, were begun with in another one.
pub(super) fn disorder<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<(Finding, &'m Message<'a>)> {
    let mut found = Vec::new();
    let mut first_at = Duration::ZERO;
    let mut first_in: HashMap<u32, Duration> = HashMap::new();
    let mut last_at = Duration::ZERO;
    for message in messages {
        let begun = &message.handled.begun;
        let Some(last) = begun.last() else { continue };
        for first in begun.iter().filter(|begun| !begun.again) {
            let newest = first_in.entry(first.run).or_default();
            if first.at < *newest {
                found.push((Finding::FirstDisorderedInOne, message));
            } else if first.at < first_at {
                found.push((Finding::FirstDisordered, message));
            }
            *newest = first.at.max(*newest);
            first_at = first.at.max(first_at);
        }
        if last.at < last_at {
            found.push((Finding::ReplayDisordered, message));
        }
        last_at = last.at.max(last_at);
    }
    found
}

/// Which messages found a session that lacks a count: how far counts are ahead of messages, as repeats count again, never falls.
pub(super) fn forgotten<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<(Finding, &'m Message<'a>)> {
    let mut found = Vec::new();
    let (mut counted, mut ahead) = (0, 0);
    for message in messages {
        if message.sent.kind != Kind::Count || message.handled.begun.is_empty() {
            continue;
        }
        counted += 1;
        let value = message.sent.answers.first().map(|(_, value)| *value);
        let Some(value) = value else { continue };
        if value - counted < ahead {
            found.push((Finding::SessionLost, message));
        }
        ahead = value - counted;
    }
    found
}

/// From when on an answer is late.
const LATE: Duration = Duration::from_secs(30);
/// How long a word that is missing may have been on its way after all that is known of its message: links fall behind.
const ON_THE_WAY: Duration = CONSEQUENCES;
/// The same while nothing is slow.
const PROMPT: Duration = Duration::from_secs(2);
/// How long a gateway, or what is between it and workers, may have held a message that then ended with it: nobody stands still for
/// longer than 30 s.
const HELD_MAX: Duration = Duration::from_secs(30).saturating_add(CONSEQUENCES);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(kind: Kind, answers: &[i64]) -> Sent {
        let answers = answers.iter().map(|value| (100 * MS, *value)).collect();
        Sent { answers, ..Sent::new(kind, Duration::ZERO, None) }
    }

    /// Handlers that began, each in a run, at a time, marked or not.
    fn handled(begun: &[(u32, u32, bool)]) -> Handled {
        let begun = begun.iter().map(|&(run, at, again)| Begun { run, again, at: at * MS, event_id: 7 });
        let begun: Vec<_> = begun.collect();
        let ended = begun.iter().map(|begun| begun.at).collect();
        Handled { begun, ended }
    }

    fn messages(all: &[(Sent, Handled)]) -> Vec<Message<'_>> {
        (0..).zip(all).map(|(number, (sent, handled))| message(number, sent, handled)).collect()
    }

    fn message<'a>(number: u32, sent: &'a Sent, handled: &'a Handled) -> Message<'a> {
        let id = MessageId { client: 0, number };
        Message { id, sent, handled, is_taken: true, end: None, is_passed: false }
    }

    fn findings(sent: Sent, handled: Handled) -> Vec<Finding> {
        messages(&[(sent, handled)])[0].findings()
    }

    #[test]
    fn each_loss_is_told_from_the_others() {
        let echo = || sent(Kind::Echo, &[0]);
        let silent = || sent(Kind::Echo, &[]);
        assert_eq!(findings(echo(), handled(&[(0, 1, false)])), []);
        assert_eq!(findings(silent(), handled(&[])), [Finding::NotBegun]);
        let open = Handled { ended: Vec::new(), ..handled(&[(0, 1, false)]) };
        assert_eq!(findings(silent(), open), [Finding::NotEnded]);
        assert_eq!(findings(silent(), handled(&[(0, 1, false)])), [Finding::NotAnswered]);
    }

    #[test]
    fn what_comes_twice_is_told_apart_by_its_mark_and_its_worker() {
        let of = |begun: &[(u32, u32, bool)]| findings(sent(Kind::Echo, &[0]), handled(begun));
        assert_eq!(of(&[(0, 1, false), (1, 2, true)]), [Finding::MarkedTwice]);
        assert_eq!(of(&[(0, 1, false), (1, 2, false)]), [Finding::UnmarkedTwice]);
        assert_eq!(of(&[(0, 1, true), (1, 2, false)]), [Finding::MarkedTwice, Finding::UnmarkedTwice]);
        assert_eq!(of(&[(0, 1, false), (0, 2, false)]), [Finding::UnmarkedTwiceInOne]);
        let twice = findings(sent(Kind::Echo, &[0, 0]), handled(&[(0, 1, false)]));
        assert_eq!(twice, [Finding::AnsweredTwice]);
    }

    fn disordered(begun: &[&[(u32, u32, bool)]]) -> Vec<(Finding, u32)> {
        let all: Vec<_> = begun.iter().map(|begun| (sent(Kind::Echo, &[0]), handled(begun))).collect();
        let messages = messages(&all);
        let found = disorder(&messages).into_iter().map(|(finding, message)| (finding, message.id.number));
        found.collect()
    }

    #[test]
    fn what_comes_again_in_order_is_in_order() {
        let replayed: [&[_]; 3] =
            [&[(0, 1, false), (1, 5, true)], &[(0, 2, false), (1, 6, true)], &[(1, 7, false)]];
        assert_eq!(disordered(&replayed), []);
        let alone: [&[_]; 2] = [&[(0, 1, false), (1, 5, true)], &[(0, 2, false)]];
        assert_eq!(disordered(&alone), [(Finding::ReplayDisordered, 1)]);
        let first = disordered(&[&[(0, 2, false)], &[(1, 1, false)]]);
        assert_eq!(first, [(Finding::FirstDisordered, 1), (Finding::ReplayDisordered, 1)]);
        let in_one = disordered(&[&[(0, 2, false)], &[(0, 1, false)]]);
        assert_eq!(in_one, [(Finding::FirstDisorderedInOne, 1), (Finding::ReplayDisordered, 1)]);
    }

    #[test]
    fn a_count_that_falls_behind_was_forgotten_once() {
        let counts = |values: &[i64]| {
            let all: Vec<_> = values
                .iter()
                .map(|value| (sent(Kind::Count, &[*value]), handled(&[(0, 1, false)])))
                .collect();
            forgotten(&messages(&all)).into_iter().map(|(_, message)| message.id.number).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[1, 2, 4, 5]), [0; 0]);
        assert_eq!(counts(&[1, 2, 2, 3]), [2]);
        assert_eq!(counts(&[1, 3, 3, 4]), [2]);
    }
}
