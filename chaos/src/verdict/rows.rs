//! What the rows of docs/GUARANTEES.md allow.

use std::time::Duration;

use super::finding::Finding;
use crate::cluster::Applied;
use crate::faults::{CONSEQUENCES, Fault, NOTICED};

/// The faults of a run, asked for what they excuse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a>(pub &'a [Applied]);

/// A stretch of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub from: Duration,
    pub until: Duration,
}

impl Rows<'_> {
    /// Whether a fault of this time excuses it.
    pub(super) fn allow(&self, finding: Finding, span: Span) -> bool {
        self.overlapping(span).any(|applied| allows(applied.fault, finding))
            || finding == Finding::ForeignMissing && self.lost_what_was_kept(span)
    }

    /// How many faults there were at this time, or shortly before.
    pub(super) fn count(&self, span: Span) -> usize {
        self.overlapping(span).count()
    }

    /// Whether a worker was lost at this time, with what it had not said yet.
    pub(super) fn lost_worker(&self, span: Span) -> bool {
        self.overlapping(span).any(|applied| is_death(applied.fault))
    }

    /// Whether the end of this gateway ended a connection.
    pub(super) fn ended_gateway(&self, gateway: usize, closed_at: Duration) -> bool {
        let mut near =
            self.0.iter().filter(|applied| applied.from <= closed_at && closed_at <= applied.until + LINGER);
        near.any(|applied| ends_gateway(applied.fault, gateway))
    }

    /// Whether a gateway ended at this time, or shortly before, while a link was silent: its worker does not know then.
    pub(super) fn hide_end(&self, gateway: usize, span: Span) -> bool {
        let mut ends = self.overlapping(span).filter(|applied| ends_gateway(applied.fault, gateway));
        let is_hidden = |end: &Applied| {
            let mut links = self.0.iter().filter(|other| matches!(other.fault, Fault::Swallow { .. }));
            links.any(|link| link.from <= end.until && end.from <= link.until)
        };
        ends.any(is_hidden)
    }

    /// Whether a gateway stood still all that time, and ended soon after: what is kept for it meanwhile goes with it.
    pub(super) fn stood_still(&self, gateway: usize, span: Span) -> bool {
        self.0.iter().any(|applied| match applied.fault {
            Fault::FreezeGateway { gateway: of, .. } => {
                let is_within = applied.from <= span.from && span.until <= applied.until + LINGER;
                of == gateway && is_within
            }
            _ => false,
        })
    }

    /// Whether something stood still or was slow at this time, or shortly before.
    pub(super) fn are_slow(&self, span: Span) -> bool {
        self.overlapping(span).any(|applied| match applied.fault {
            Fault::Freeze { .. }
            | Fault::FreezeGateway { .. }
            | Fault::Swallow { .. }
            | Fault::Trickle { .. }
            | Fault::Delay { .. } => true,
            Fault::Kill { .. }
            | Fault::Restart { .. }
            | Fault::Reload { .. }
            | Fault::End { .. }
            | Fault::Register { .. }
            | Fault::KillGateway { .. }
            | Fault::RestartGateway { .. } => false,
        })
    }

    /// Whether so many workers were lost that an event may have been dropped for it, and its client closed.
    pub(super) fn may_be_poison(&self, closed_at: Duration) -> bool {
        let near = |applied: &&Applied| applied.from <= closed_at && closed_at <= applied.until + DEATHS_SPAN;
        self.0.iter().filter(near).filter(|applied| is_death(applied.fault)).count() >= DEATHS_MAX
    }

    /// Whether a worker died when a gateway, for which it may have kept something, had been away for long.
    fn lost_what_was_kept(&self, span: Span) -> bool {
        let was_away = |killed: &Applied| {
            self.0.iter().any(|away| match away.fault {
                Fault::FreezeGateway { .. } | Fault::Swallow { .. } => {
                    (away.from + AWAY..=away.until + CONSEQUENCES).contains(&killed.from)
                }
                _ => false,
            })
        };
        let mut killed = self.0.iter().filter(|applied| matches!(applied.fault, Fault::Kill { .. }));
        // Events said less long ago are not safe, and come again.
        let was_safe = |killed: &Applied| (span.from + AWAY..=span.until + KEPT_MAX).contains(&killed.from);
        killed.any(|killed| was_safe(killed) && was_away(killed))
    }

    fn overlapping(&self, span: Span) -> impl Iterator<Item = &Applied> {
        let overlaps =
            move |applied: &&Applied| applied.from <= span.until && span.from <= applied.until + CONSEQUENCES;
        self.0.iter().filter(overlaps)
    }
}

/// Of any client. The end of a gateway excuses nothing here: what it does to its own clients is known from their connections.
fn allows(fault: Fault, finding: Finding) -> bool {
    let noticed = |lasting: Duration| lasting >= NOTICED;
    let redelivered = match fault {
        Fault::Kill { .. } | Fault::End { .. } => true,
        Fault::Freeze { lasting, .. }
        | Fault::Swallow { lasting, .. }
        | Fault::FreezeGateway { lasting, .. } => noticed(lasting),
        Fault::Restart { .. }
        | Fault::Reload { .. }
        | Fault::Trickle { .. }
        | Fault::Delay { .. }
        | Fault::Register { .. }
        | Fault::KillGateway { .. }
        | Fault::RestartGateway { .. } => false,
    };
    match finding {
        Finding::MarkedTwice => redelivered,
        // No row promises a time: it is counted, and that is all.
        Finding::Late => true,
        _ => false,
    }
}

fn ends_gateway(fault: Fault, gateway: usize) -> bool {
    match fault {
        Fault::KillGateway { gateway: ended, .. } | Fault::RestartGateway { gateway: ended } => {
            ended == gateway
        }
        _ => false,
    }
}

/// A worker takes its clients' events with it as if it had died.
fn is_death(fault: Fault) -> bool {
    allows(fault, Finding::MarkedTwice)
}

/// From when on a worker takes along what it kept for a gateway that was away.
const AWAY: Duration = Duration::from_secs(15);
/// For how long a worker keeps at most what a gateway has not taken.
const KEPT_MAX: Duration = Duration::from_secs(60);
/// For how long the sockets of a killed process outlive it and its end, on a busy machine.
const LINGER: Duration = Duration::from_secs(5);
/// What kills an event's third worker closes its client, see "Poison" in docs/ARCHITECTURE.md.
const DEATHS_MAX: usize = 3;
/// How far back these deaths may be.
const DEATHS_SPAN: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::End;

    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(12);
    /// What each fault excuses, for any client, besides being late. Whatever is not listed it does not.
    fn table() -> Vec<(Fault, Vec<Finding>)> {
        let (worker, gateway, link) = (0, 0, 0);
        let twice = || vec![Finding::MarkedTwice];
        vec![
            (Fault::Kill { worker, down: SECOND }, twice()),
            (Fault::Freeze { worker, lasting: LONG }, twice()),
            (Fault::Freeze { worker, lasting: SECOND }, vec![]),
            (Fault::Restart { worker }, vec![]),
            (Fault::Reload { worker }, vec![]),
            (Fault::End { link, end: End::Cut }, twice()),
            (Fault::End { link, end: End::Reset }, twice()),
            (Fault::Swallow { link, lasting: LONG }, twice()),
            (Fault::Swallow { link, lasting: SECOND }, vec![]),
            (Fault::Trickle { link, lasting: LONG }, vec![]),
            (Fault::Delay { link, lasting: LONG, by: SECOND }, vec![]),
            (Fault::FreezeGateway { gateway, lasting: LONG }, twice()),
            (Fault::Register { down: SECOND }, vec![]),
            (Fault::FreezeGateway { gateway, lasting: SECOND }, vec![]),
            (Fault::KillGateway { gateway, down: SECOND }, vec![]),
            (Fault::RestartGateway { gateway }, vec![]),
        ]
    }

    #[test]
    fn each_fault_excuses_what_its_row_says_and_nothing_else() {
        for (fault, allowed) in table() {
            for finding in Finding::ALL {
                let expected = finding == Finding::Late || allowed.contains(&finding);
                assert_eq!(allows(fault, finding), expected, "{fault}: {finding:?}");
            }
        }
    }

    #[test]
    fn a_fault_excuses_what_it_overlaps_and_what_follows_soon() {
        let fault = Fault::Kill { worker: 0, down: SECOND };
        let applied = [Applied { fault, from: 100 * SECOND, until: 101 * SECOND }];
        let allow = |from, until| {
            let span = Span { from: from * SECOND, until: until * SECOND };
            Rows(&applied).allow(Finding::MarkedTwice, span)
        };
        assert!(allow(99, 100) && allow(100, 100) && allow(111, 120) && allow(0, 200));
        assert!(!allow(98, 99) && !allow(112, 112));
    }

    #[test]
    fn the_end_of_a_gateway_ends_its_own_clients_at_that_time() {
        let fault = Fault::KillGateway { gateway: 1, down: SECOND };
        let applied = [Applied { fault, from: 100 * SECOND, until: 102 * SECOND }];
        let ended = |gateway, at| Rows(&applied).ended_gateway(gateway, at * SECOND);
        assert!(ended(1, 100) && ended(1, 101) && ended(1, 107));
        assert!(!ended(0, 101) && !ended(1, 99) && !ended(1, 108));
    }

    #[test]
    fn what_is_kept_for_a_gateway_that_stands_still_goes_with_it() {
        let fault = Fault::FreezeGateway { gateway: 1, lasting: 20 * SECOND };
        let applied = [Applied { fault, from: 100 * SECOND, until: 120 * SECOND }];
        let still = |gateway, from, until| {
            Rows(&applied).stood_still(gateway, Span { from: from * SECOND, until: until * SECOND })
        };
        assert!(still(1, 101, 121) && still(1, 119, 125));
        assert!(!still(0, 101, 121) && !still(1, 99, 121) && !still(1, 110, 126));
    }

    #[test]
    fn a_silent_link_hides_the_end_of_a_gateway() {
        let at = |fault, from| Applied { fault, from: from * SECOND, until: (from + 2) * SECOND };
        let kill = at(Fault::KillGateway { gateway: 1, down: SECOND }, 100);
        let silent = |from| at(Fault::Swallow { link: 0, lasting: SECOND }, from);
        let hide = |applied: &[Applied], gateway, when| {
            let span = Span { from: when * SECOND, until: when * SECOND };
            Rows(applied).hide_end(gateway, span)
        };
        assert!(hide(&[kill, silent(99)], 1, 101) && hide(&[kill, silent(101)], 1, 110));
        assert!(!hide(&[kill, silent(99)], 0, 101) && !hide(&[kill], 1, 101));
        assert!(!hide(&[kill, silent(90)], 1, 101) && !hide(&[kill, silent(99)], 1, 120));
    }

    #[test]
    fn a_worker_takes_along_what_it_kept_for_a_gateway_that_had_been_away_for_long() {
        let fault = Fault::FreezeGateway { gateway: 0, lasting: 20 * SECOND };
        let away = Applied { fault, from: 10 * SECOND, until: 30 * SECOND };
        let allow = |killed_at, said_at| {
            let fault = Fault::Kill { worker: 0, down: SECOND };
            let kill = Applied { fault, from: killed_at * SECOND, until: killed_at * SECOND };
            let span = Span { from: said_at * SECOND, until: said_at * SECOND };
            Rows(&[away, kill]).allow(Finding::ForeignMissing, span)
        };
        assert!(allow(26, 10) && allow(30, 14));
        assert!(!allow(26, 12) && !allow(24, 10), "its event is not safe yet");
        assert!(!allow(26, 27), "said by another worker");
        assert!(!allow(41, 12), "it was taken");
    }

    #[test]
    fn three_lost_workers_may_be_of_one_event_and_two_may_not() {
        let kill = |at| {
            let at = at * SECOND;
            Applied { fault: Fault::Kill { worker: 0, down: SECOND }, from: at, until: at }
        };
        let register = Applied { fault: Fault::Register { down: SECOND }, ..kill(30) };
        assert!(Rows(&[kill(10), kill(20), kill(30)]).may_be_poison(31 * SECOND));
        assert!(!Rows(&[kill(10), kill(20), register]).may_be_poison(31 * SECOND));
        assert!(!Rows(&[kill(10), kill(20), kill(30)]).may_be_poison(55 * SECOND));
    }
}
