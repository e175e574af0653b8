//! Compares what was said, begun, ended and heard with what docs/GUARANTEES.md promises.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::cluster::Applied;
use crate::faults::{Fault, NOTICED};
use crate::journal::{Record, What};
use crate::load::{Client, Sent};
use crate::request::{Kind, MessageId};

/// What a message may suffer, or a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Finding {
    /// Accepted, and no handler began.
    NotBegun,
    /// A handler began, and none ended.
    NotEnded,
    /// A handler ended, and the client heard nothing.
    NotAnswered,
    /// The client of the other gateway heard nothing.
    ForeignMissing,
    /// The session has forgotten a count.
    SessionLost,
    /// A handler began again and was told so.
    MarkedTwice,
    /// Handlers of two workers began, and none was told.
    UnmarkedTwice,
    /// Handlers of one worker began twice, and none was told.
    UnmarkedTwiceInOne,
    /// More answers than handlers that began.
    AnsweredTwice,
    /// The event has had two names.
    OtherName,
    /// First deliveries to two workers came in another order than the client's.
    FirstDisordered,
    /// First deliveries to one worker came in another order than the client's.
    FirstDisorderedInOne,
    /// A message came again, and newer ones that had come before did not come again behind it.
    ReplayDisordered,
    /// Heard only after [`LATE`].
    Late,
    /// A client's connection ended.
    Disconnected,
}

impl Finding {
    /// All of them.
    pub const ALL: [Finding; 15] = [
        Finding::NotBegun,
        Finding::NotEnded,
        Finding::NotAnswered,
        Finding::ForeignMissing,
        Finding::SessionLost,
        Finding::MarkedTwice,
        Finding::UnmarkedTwice,
        Finding::UnmarkedTwiceInOne,
        Finding::AnsweredTwice,
        Finding::OtherName,
        Finding::FirstDisordered,
        Finding::FirstDisorderedInOne,
        Finding::ReplayDisordered,
        Finding::Late,
        Finding::Disconnected,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Finding::NotBegun => "accepted, no handler began",
            Finding::NotEnded => "began, did not end",
            Finding::NotAnswered => "ended, no answer",
            Finding::ForeignMissing => "foreign message missing",
            Finding::SessionLost => "session forgot a count",
            Finding::MarkedTwice => "twice, marked",
            Finding::UnmarkedTwice => "twice, unmarked",
            Finding::UnmarkedTwiceInOne => "twice, unmarked, in one worker",
            Finding::AnsweredTwice => "answered twice, begun once",
            Finding::OtherName => "two event ids",
            Finding::FirstDisordered => "first deliveries out of order",
            Finding::FirstDisorderedInOne => "first deliveries out of order, in one worker",
            Finding::ReplayDisordered => "out of order by a replay",
            Finding::Late => "later than 30 s",
            Finding::Disconnected => "clients disconnected",
        }
    }
}

/// From when on an answer is late. No row promises a time: it is counted, and that is all.
const LATE: Duration = Duration::from_secs(30);
/// For how long after its end a fault has consequences: links are given up, connected and asked again by then.
const AFTERMATH: Duration = Duration::from_secs(10);
/// What kills an event's third worker closes its client, see "Poison" in docs/ARCHITECTURE.md.
const DEATHS_MAX: usize = 3;
/// How far back these deaths may be.
const DEATHS_SPAN: Duration = Duration::from_secs(40);

/// What the rows of docs/GUARANTEES.md allow.
fn allows(fault: Fault, finding: Finding) -> bool {
    let noticed = |lasting: Duration| lasting >= NOTICED;
    let (dead, frozen, cut) = match fault {
        Fault::Kill { .. } => (true, false, false),
        Fault::Freeze { lasting, .. } => (false, noticed(lasting), false),
        Fault::Swallow { lasting, .. } => (false, noticed(lasting), noticed(lasting)),
        Fault::End { .. } => (false, false, true),
        Fault::Restart { .. }
        | Fault::Reload { .. }
        | Fault::Trickle { .. }
        | Fault::Delay { .. }
        | Fault::Register { .. }
        | Fault::FreezeGateway { .. } => (false, false, false),
    };
    match finding {
        Finding::MarkedTwice => dead || frozen || cut,
        Finding::UnmarkedTwice | Finding::FirstDisordered | Finding::ReplayDisordered => frozen || cut,
        Finding::ForeignMissing => cut,
        // The connection on which sessions are asked for may be the one that is silent, see "Sessions" there.
        Finding::SessionLost => frozen && cut,
        Finding::Late => true,
        _ => false,
    }
}

/// A worker takes its clients' events with it as if it had died.
fn is_death(fault: Fault) -> bool {
    allows(fault, Finding::MarkedTwice)
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// By kind: how many were said, accepted, and answered.
    pub kinds: BTreeMap<Kind, Tally>,
    /// How many there are of each: allowed, and not.
    pub found: BTreeMap<Finding, (u64, u64)>,
    /// Some of those that are not allowed, in words.
    pub examples: Vec<String>,
}

/// Messages of a kind.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// That clients wanted to say.
    pub said: u64,
    /// That a gateway was handed whole, by a client that was there until the end.
    pub accepted: u64,
    /// Whose client heard an answer.
    pub answered: u64,
}

/// How many examples of each finding there are at most.
const EXAMPLES_MAX: u64 = 5;

/// A handler that began.
#[derive(Clone, Copy, Debug)]
struct Begun<'a> {
    run: usize,
    again: bool,
    at: Duration,
    event_id: &'a str,
}

/// What is known of a message besides what its client knows.
#[derive(Debug, Default)]
struct Handled<'a> {
    begun: Vec<Begun<'a>>,
    ended: Vec<Duration>,
}

impl Verdict {
    /// Judges a run: all clients, the journals of the workers' runs, and what was done.
    pub fn of(clients: &[Client], journals: &[Vec<Record>], applied: &[Applied]) -> Verdict {
        let mut verdict = Verdict::default();
        let handled = sort(journals);
        let nothing = Handled::default();
        for (index, client) in (0u32..).zip(clients) {
            let ids = (0u32..).map(|number| MessageId { client: index, number });
            let messages: Vec<_> = ids
                .zip(client.sent())
                .map(|(id, sent)| Message { id, sent, handled: handled.get(&id).unwrap_or(&nothing) })
                .collect();
            for message in &messages {
                let tally = verdict.kinds.entry(message.sent.kind).or_default();
                tally.said += 1;
                if client.closed_at().is_some() || !client.is_accepted(message.id.number as usize) {
                    continue;
                }
                tally.accepted += 1;
                tally.answered += u64::from(!message.sent.answers.is_empty());
                for finding in message.findings(clients) {
                    verdict.note(finding, message, applied);
                }
            }
            for (finding, message) in disorder(&messages).into_iter().chain(forgotten(&messages)) {
                verdict.note(finding, message, applied);
            }
            verdict.note_end(index, client, applied);
        }
        verdict
    }

    /// How many were found that no row allows.
    pub fn denied(&self) -> u64 {
        self.found.values().map(|(_, denied)| denied).sum()
    }

    /// How many messages came to nothing.
    pub fn lost(&self) -> u64 {
        let lost = [Finding::NotBegun, Finding::NotEnded, Finding::NotAnswered];
        lost.iter().filter_map(|finding| self.found.get(finding)).map(|(_, denied)| denied).sum()
    }

    fn note(&mut self, finding: Finding, message: &Message<'_>, applied: &[Applied]) {
        let (from, until) = message.span();
        let mut overlapping =
            applied.iter().filter(|applied| applied.from <= until && from <= applied.until + AFTERMATH);
        let allowed = overlapping.any(|applied| allows(applied.fault, finding));
        self.count(finding, allowed || finding == Finding::Late, || message.describe());
    }

    fn note_end(&mut self, index: u32, client: &Client, applied: &[Applied]) {
        let Some(at) = client.closed_at() else { return };
        let near = |applied: &&Applied| applied.from <= at && at <= applied.until + DEATHS_SPAN;
        let deaths = applied.iter().filter(near).filter(|applied| is_death(applied.fault)).count();
        self.count(Finding::Disconnected, deaths >= DEATHS_MAX, || format!("client {index} at {at:.1?}"));
    }

    fn count(&mut self, finding: Finding, allowed: bool, describe: impl FnOnce() -> String) {
        let counts = self.found.entry(finding).or_default();
        if allowed {
            counts.0 += 1;
            return;
        }
        counts.1 += 1;
        if counts.1 <= EXAMPLES_MAX {
            self.examples.push(format!("{}: {}", finding.words(), describe()));
        }
    }
}

/// All that is known of a message.
struct Message<'a> {
    id: MessageId,
    sent: &'a Sent,
    handled: &'a Handled<'a>,
}

impl Message<'_> {
    fn findings(&self, clients: &[Client]) -> Vec<Finding> {
        let (sent, handled) = (self.sent, self.handled);
        let mut found = Vec::new();
        let lost = if handled.begun.is_empty() {
            Some(Finding::NotBegun)
        } else if handled.ended.is_empty() {
            Some(Finding::NotEnded)
        } else {
            sent.answers.is_empty().then_some(Finding::NotAnswered)
        };
        found.extend(lost);
        let target = sent.target.and_then(|target| clients.get(target as usize));
        let hears = target.is_some_and(|target| target.closed_at().is_none());
        if hears && sent.foreign.is_empty() && lost.is_none() {
            found.push(Finding::ForeignMissing);
        }
        if sent.answers.iter().any(|(at, _)| *at > sent.at + LATE) {
            found.push(Finding::Late);
        }
        self.find_twice(&mut found);
        found
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
        if begun.iter().any(|other| other.event_id != begun[0].event_id) {
            found.push(Finding::OtherName);
        }
    }

    /// From when it was said until it was heard of last.
    fn span(&self) -> (Duration, Duration) {
        let answers = self.sent.answers.iter().map(|(at, _)| *at);
        let handled =
            self.handled.begun.iter().map(|begun| begun.at).chain(self.handled.ended.iter().copied());
        let until = answers.chain(self.sent.foreign.iter().copied()).chain(handled).max();
        (self.sent.at, until.unwrap_or(self.sent.at))
    }

    fn describe(&self) -> String {
        use std::fmt::Write;
        let Message { id, sent, handled } = self;
        let mut text = format!("{} {id} said at {:.3?}", sent.kind.name(), sent.at);
        for begun in &handled.begun {
            let Begun { run, again, at, event_id } = begun;
            let mark = if *again { " (repeat)" } else { "" };
            let _ = write!(text, ", begun in run {run}{mark} at {at:.3?} as {event_id}");
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

/// What all runs of workers did with each message, in the order of time.
fn sort(journals: &[Vec<Record>]) -> HashMap<MessageId, Handled<'_>> {
    let mut handled: HashMap<MessageId, Handled<'_>> = HashMap::new();
    for (run, records) in journals.iter().enumerate() {
        for record in records {
            let message = handled.entry(record.id).or_default();
            match record.what {
                What::End => message.ended.push(record.at),
                What::First | What::Again => message.begun.push(Begun {
                    run,
                    again: record.what == What::Again,
                    at: record.at,
                    event_id: &record.event_id,
                }),
            }
        }
    }
    for message in handled.values_mut() {
        message.begun.sort_by_key(|begun| begun.at);
    }
    handled
}

/// Which messages of a client, which are given in its order, were begun with in another one.
fn disorder<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<(Finding, &'m Message<'a>)> {
    let mut found = Vec::new();
    let mut first_at = Duration::ZERO;
    let mut first_in: HashMap<usize, Duration> = HashMap::new();
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
fn forgotten<'m, 'a>(messages: &'m [Message<'a>]) -> Vec<(Finding, &'m Message<'a>)> {
    let mut found = Vec::new();
    let (mut counted, mut ahead) = (0, 0);
    for message in messages {
        if message.sent.kind != Kind::Count || message.handled.begun.is_empty() {
            continue;
        }
        counted += 1;
        let value = message.sent.answers.first().and_then(|(_, value)| value.parse::<i64>().ok());
        let Some(value) = value else { continue };
        if value - counted < ahead {
            found.push((Finding::SessionLost, message));
        }
        ahead = value - counted;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent(kind: Kind, answers: &[&str]) -> Sent {
        let answers = answers.iter().map(|value| (100 * MS, (*value).to_owned())).collect();
        Sent { kind, at: Duration::ZERO, target: None, answers, foreign: Vec::new() }
    }

    /// Handlers that began, each in a run, at a time, marked or not.
    fn handled(begun: &[(usize, u32, bool)]) -> Handled<'static> {
        let begun = begun.iter().map(|&(run, at, again)| Begun { run, again, at: at * MS, event_id: "e" });
        let begun: Vec<_> = begun.collect();
        let ended = begun.iter().map(|begun| begun.at).collect();
        Handled { begun, ended }
    }

    fn messages<'a>(all: &'a [(Sent, Handled<'a>)]) -> Vec<Message<'a>> {
        let ids = (0..).map(|number| MessageId { client: 0, number });
        ids.zip(all).map(|(id, (sent, handled))| Message { id, sent, handled }).collect()
    }

    fn findings(sent: Sent, handled: Handled<'_>) -> Vec<Finding> {
        messages(&[(sent, handled)])[0].findings(&[])
    }

    #[test]
    fn each_loss_is_told_from_the_others() {
        let echo = || sent(Kind::Echo, &["0"]);
        let silent = || sent(Kind::Echo, &[]);
        assert_eq!(findings(echo(), handled(&[(0, 1, false)])), []);
        assert_eq!(findings(silent(), handled(&[])), [Finding::NotBegun]);
        let open = Handled { ended: Vec::new(), ..handled(&[(0, 1, false)]) };
        assert_eq!(findings(silent(), open), [Finding::NotEnded]);
        assert_eq!(findings(silent(), handled(&[(0, 1, false)])), [Finding::NotAnswered]);
    }

    #[test]
    fn what_comes_twice_is_told_apart_by_its_mark_and_its_worker() {
        let of = |begun: &[(usize, u32, bool)]| findings(sent(Kind::Echo, &["0"]), handled(begun));
        assert_eq!(of(&[(0, 1, false), (1, 2, true)]), [Finding::MarkedTwice]);
        assert_eq!(of(&[(0, 1, false), (1, 2, false)]), [Finding::UnmarkedTwice]);
        assert_eq!(of(&[(0, 1, true), (1, 2, false)]), [Finding::MarkedTwice, Finding::UnmarkedTwice]);
        assert_eq!(of(&[(0, 1, false), (0, 2, false)]), [Finding::UnmarkedTwiceInOne]);
        let twice = findings(sent(Kind::Echo, &["0", "0"]), handled(&[(0, 1, false)]));
        assert_eq!(twice, [Finding::AnsweredTwice]);
    }

    fn disordered(begun: &[&[(usize, u32, bool)]]) -> Vec<(Finding, u32)> {
        let all: Vec<_> = begun.iter().map(|begun| (sent(Kind::Echo, &["0"]), handled(begun))).collect();
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
        let counts = |values: &[&str]| {
            let all: Vec<_> =
                values.iter().map(|value| (sent(Kind::Count, &[value]), handled(&[(0, 1, false)]))).collect();
            forgotten(&messages(&all)).into_iter().map(|(_, message)| message.id.number).collect::<Vec<_>>()
        };
        assert_eq!(counts(&["1", "2", "4", "5"]), [0; 0]);
        assert_eq!(counts(&["1", "2", "2", "3"]), [2]);
        assert_eq!(counts(&["1", "3", "3", "4"]), [2]);
    }
}
