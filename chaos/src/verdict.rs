//! Compares what was said, begun, ended and heard with what docs/GUARANTEES.md promises.

mod finding;
mod handled;
mod message;
mod rows;

use std::collections::BTreeMap;

use crate::client::Client;
use crate::cluster::Applied;
use crate::request::Kind;
use message::{Message, disorder, forgotten};
use rows::{Rows, Span};

pub use finding::Finding;
pub use handled::Journals;

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// By kind: how many were said, accepted, and answered.
    pub kinds: BTreeMap<Kind, Tally>,
    /// How often each was found.
    pub found: BTreeMap<Finding, Found>,
    /// Some of those that are not allowed, in words.
    pub examples: Vec<String>,
}

/// Messages of a kind.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// That clients wanted to say.
    pub said: u64,
    /// That the kernel has taken whole for a gateway.
    pub accepted: u64,
    /// Whose client heard an answer.
    pub answered: u64,
}

/// How often something was found.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// A row allows it, and there was but one fault at that time.
    pub single: u64,
    /// A row allows it, and there were several faults.
    pub together: u64,
    /// No row allows it.
    pub beyond: u64,
}

impl Verdict {
    /// Judges a run: all clients, the journals of the workers' runs, and what was done.
    pub fn of(clients: &[Client], journals: &Journals, applied: &[Applied]) -> Verdict {
        let mut verdict = Verdict::default();
        let rows = Rows(applied);
        for (index, client) in (0u32..).zip(clients) {
            let messages = Message::all_of(index, client, &journals.handled, rows);
            for message in &messages {
                verdict.tally(message);
                for finding in message.findings() {
                    verdict.note(finding, message, clients, rows);
                }
            }
            for (finding, message) in disorder(&messages).into_iter().chain(forgotten(&messages)) {
                verdict.note(finding, message, clients, rows);
            }
            verdict.note_end(index, client, rows);
        }
        verdict
    }

    /// How many were found that no row allows.
    pub fn beyond(&self) -> u64 {
        self.found.values().map(|found| found.beyond).sum()
    }

    /// How many messages came to nothing.
    pub fn lost(&self) -> u64 {
        let lost = [Finding::NotBegun, Finding::NotEnded, Finding::NotAnswered];
        lost.iter().filter_map(|finding| self.found.get(finding)).map(|found| found.beyond).sum()
    }

    fn tally(&mut self, message: &Message<'_>) {
        let tally = self.kinds.entry(message.sent.kind).or_default();
        tally.said += 1;
        tally.accepted += u64::from(message.is_taken);
        tally.answered += u64::from(!message.sent.answers.is_empty());
    }

    fn note(&mut self, finding: Finding, message: &Message<'_>, clients: &[Client], rows: Rows<'_>) {
        let span = message.span();
        let allowed = finding == Finding::Late
            || rows.allow(finding, span)
            || message.went_with_gateway(finding, clients, rows);
        self.count(finding, allowed.then(|| rows.count(span)), || message.describe());
    }

    fn note_end(&mut self, index: u32, client: &Client, rows: Rows<'_>) {
        let Some(at) = client.closed_at() else { return };
        let allowed = rows.ended_gateway(client.gateway(), at) || rows.may_be_poison(at);
        let count = rows.count(Span { from: at, until: at });
        self.count(Finding::Disconnected, allowed.then_some(count), || format!("client {index} at {at:.1?}"));
    }

    /// `faults`: how many there were at that time, if it is allowed.
    fn count(&mut self, finding: Finding, faults: Option<usize>, describe: impl FnOnce() -> String) {
        let found = self.found.entry(finding).or_default();
        match faults {
            Some(0 | 1) => found.single += 1,
            Some(_) => found.together += 1,
            None => {
                found.beyond += 1;
                if found.beyond <= EXAMPLES_MAX {
                    self.examples.push(format!("{}: {}", finding.words(), describe()));
                }
            }
        }
    }
}

/// How many examples of each finding there are at most.
const EXAMPLES_MAX: u64 = 5;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Sent;
    use crate::faults::Fault;
    use crate::journal::{Record, What};
    use crate::request::MessageId;

    const SECOND: Duration = Duration::from_secs(1);
    const DIED_AT: Duration = Duration::from_secs(100);

    /// The gateway 0 is killed, and perhaps a worker.
    fn applied(worker_dies: bool) -> Vec<Applied> {
        let (worker, gateway, down) = (0, 0, SECOND);
        let all = [Fault::KillGateway { gateway, down }, Fault::Kill { worker, down }];
        let all = all.into_iter().take(1 + usize::from(worker_dies));
        all.map(|fault| Applied { fault, from: DIED_AT, until: DIED_AT + SECOND }).collect()
    }

    fn said(before: Duration) -> Sent {
        Sent::new(Kind::Echo, DIED_AT - before, None)
    }

    fn answered(before: Duration) -> Sent {
        let mut sent = said(before);
        sent.answer(sent.at, 0);
        sent
    }

    /// Says a word to a client, which does not come.
    fn word_to(target: u32, before: Duration) -> Sent {
        Sent { target: Some(target), kind: Kind::Foreign, ..answered(before) }
    }

    /// As all began and ended at once.
    fn journals(clients: &[Client]) -> Journals {
        let mut journals = Journals::default();
        for (client, of) in (0..).zip(clients) {
            for (number, sent) in (0..).zip(of.sent()).filter(|(_, sent)| !sent.answers.is_empty()) {
                for what in [What::First, What::End] {
                    let id = MessageId { client, number };
                    journals.add(0, &Record { what, id, at: sent.at, event_id: 0 });
                }
            }
        }
        journals
    }

    /// How often this was found: allowed, and beyond.
    fn found(clients: &[Client], applied: &[Applied], finding: Finding) -> (u64, u64) {
        let verdict = Verdict::of(clients, &journals(clients), applied);
        let found = verdict.found.get(&finding).copied().unwrap_or_default();
        (found.single + found.together, found.beyond)
    }

    fn dead(sent: Vec<Sent>) -> Client {
        Client::played(0, sent, Some(DIED_AT + SECOND / 2))
    }

    #[test]
    fn a_gateway_takes_along_what_its_clients_had_not_been_answered() {
        let clients = [dead(vec![answered(3 * SECOND), said(2 * SECOND), said(SECOND)])];
        assert_eq!(found(&clients, &applied(false), Finding::NotBegun), (2, 0));
        assert_eq!(found(&clients, &applied(false), Finding::Disconnected), (1, 0));
        assert_eq!(found(&clients, &[], Finding::Disconnected), (0, 1));
    }

    #[test]
    fn a_gateway_takes_along_nothing_that_was_lost_before() {
        let clients = [dead(vec![said(3 * SECOND), answered(2 * SECOND)])];
        assert_eq!(found(&clients, &applied(true), Finding::NotBegun), (0, 1));
        let deaf = [dead(vec![said(60 * SECOND)])];
        assert_eq!(found(&deaf, &applied(true), Finding::NotBegun), (0, 1));
    }

    #[test]
    fn clients_of_another_gateway_lose_nothing() {
        let alive = Client::played(1, vec![said(SECOND)], None);
        assert_eq!(found(&[alive], &applied(true), Finding::NotBegun), (0, 1));
        let closed = Client::played(1, vec![], Some(DIED_AT + SECOND / 2));
        assert_eq!(found(&[closed], &applied(true), Finding::Disconnected), (0, 1));
    }

    #[test]
    fn words_for_clients_of_a_dead_gateway_are_lost_and_later_ones_are_not() {
        let from = |before| Client::played(1, vec![word_to(1, before)], None);
        let missing = |before| found(&[from(before), dead(vec![])], &applied(false), Finding::ForeignMissing);
        assert_eq!(missing(SECOND), (1, 0));
        assert_eq!(missing(5 * SECOND), (0, 1), "nothing was slow");
    }

    #[test]
    fn words_from_clients_of_a_dead_gateway_are_lost_with_their_worker_only() {
        let clients = [dead(vec![word_to(1, SECOND)]), Client::played(1, vec![], None)];
        assert_eq!(found(&clients, &applied(false), Finding::ForeignMissing), (0, 1));
        assert_eq!(found(&clients, &applied(true), Finding::ForeignMissing), (1, 0));
    }

    #[test]
    fn what_is_allowed_is_told_apart_by_how_many_faults_there_were() {
        let clients = [dead(vec![said(SECOND)])];
        let of = |worker_dies| Verdict::of(&clients, &Journals::default(), &applied(worker_dies));
        let found = Found { single: 1, together: 0, beyond: 0 };
        assert_eq!(of(false).found[&Finding::NotBegun], found);
        assert_eq!(of(true).found[&Finding::NotBegun], Found { single: 0, together: 1, beyond: 0 });
    }
}
