//! Whether the data threads of a process turn: they are asked again and again, and when each last answered is remembered.

use std::time::Duration;

use crate::ask::Waiting;
use crate::{NoAnswer, Part, PartReport};

/// How long a data thread may not have turned, and its process still counts as healthy. An idle one turns at least once a
/// second; a handler that computes for seconds is somebody's fault, but no reason to kill the process.
pub(crate) const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of a process' parts, in their order.
#[derive(Debug)]
pub(crate) struct Liveness {
    parts: Vec<Watched>,
    timeout: Duration,
}

#[derive(Debug)]
struct Watched {
    asked: Option<Waiting<PartReport>>,
    /// When it last answered, or was first watched.
    answered_at: Duration,
    has_ended: bool,
    unready: Option<&'static str>,
}

impl Liveness {
    /// Of so many parts, of which nothing is known, and which may be silent for less than `timeout`.
    pub(crate) fn new(count: usize, timeout: Duration, now: Duration) -> Liveness {
        let watched = || Watched {
            asked: None,
            answered_at: now,
            has_ended: false,
            unready: Some("has not answered yet"),
        };
        Liveness { parts: std::iter::repeat_with(watched).take(count).collect(), timeout }
    }

    /// Takes the answers that have come, and asks those of whom none is awaited. To be called again and again.
    pub(crate) fn look(&mut self, parts: &[Part], now: Duration) {
        for (watched, part) in self.parts.iter_mut().zip(parts) {
            watched.look(part, now);
        }
    }

    /// Which parts are dead or hang, a sentence each.
    pub(crate) fn faults(&self, parts: &[Part], now: Duration) -> Vec<String> {
        let faults = self.parts.iter().zip(parts).filter_map(|(watched, part)| {
            let silence = now.saturating_sub(watched.answered_at);
            let name = &part.name;
            match watched {
                Watched { has_ended: true, .. } => Some(format!("{name} {}", NoAnswer::Ended)),
                _ if silence >= self.timeout => {
                    Some(format!("{name} has not turned for {} s", silence.as_secs()))
                }
                _ => None,
            }
        });
        faults.collect()
    }

    /// Whether a part is dead, as in a process that ends.
    pub(crate) fn has_ended(&self) -> bool {
        self.parts.iter().any(|watched| watched.has_ended)
    }

    /// Which parts are not to be sent anybody, a sentence each.
    #[cfg_attr(not(feature = "server"), expect(dead_code, reason = "the server alone tells it"))]
    pub(crate) fn unready(&self, parts: &[Part]) -> Vec<String> {
        let unready = self.parts.iter().zip(parts);
        unready.filter_map(|(watched, part)| Some(format!("{} {}", part.name, watched.unready?))).collect()
    }
}

impl Watched {
    fn look(&mut self, part: &Part, now: Duration) {
        if let Some(waiting) = &mut self.asked {
            match waiting.wait(Duration::ZERO) {
                Ok(told) => (self.answered_at, self.unready) = (now, told.unready),
                Err(NoAnswer::Late) => return,
                Err(NoAnswer::Ended) => self.has_ended = true,
            }
        }
        self.asked = part.ask().ok();
        self.has_ended |= self.asked.is_none();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, channel};

    use super::*;

    /// A part, and what it is asked.
    fn part() -> (Vec<Part>, Receiver<SyncSender<Option<&'static str>>>) {
        let (tell, told) = channel();
        let part = Part::new(
            "gateway:0".to_owned(),
            "gateway",
            Some(("shard", 0)),
            move |answer| tell.send(answer).map_err(|_| NoAnswer::Ended),
            |unready| PartReport { unready, ..PartReport::default() },
        );
        (vec![part], told)
    }

    #[test]
    fn a_thread_that_does_not_turn_is_a_fault_after_ten_seconds() {
        let (parts, asked) = part();
        let at = Duration::from_secs;
        let mut liveness = Liveness::new(1, TURN_TIMEOUT, at(100));
        liveness.look(&parts, at(100));
        liveness.look(&parts, at(105));
        assert_eq!(asked.try_iter().count(), 1, "who has not answered is not asked again");
        assert!(liveness.faults(&parts, at(109)).is_empty());
        assert_eq!(liveness.faults(&parts, at(110)), ["gateway:0 has not turned for 10 s"]);
        // What it was asked is gone with the one who was to answer.
        liveness.look(&parts, at(110));
        assert_eq!(liveness.faults(&parts, at(110)), ["gateway:0 has ended"]);
    }

    #[test]
    fn who_answers_is_healthy_and_says_whether_it_is_ready() {
        let (parts, asked) = part();
        let at = Duration::from_secs;
        let mut liveness = Liveness::new(1, TURN_TIMEOUT, at(0));
        assert_eq!(liveness.unready(&parts), ["gateway:0 has not answered yet"]);
        for (now, unready) in [(20, Some("has no worker")), (40, None)] {
            liveness.look(&parts, at(now - 1));
            asked.recv().unwrap().send(unready).unwrap();
            liveness.look(&parts, at(now));
            assert!(liveness.faults(&parts, at(now + 9)).is_empty());
            let expected: Vec<String> = unready.iter().map(|why| format!("gateway:0 {why}")).collect();
            assert_eq!(liveness.unready(&parts), expected);
            asked.recv().unwrap().send(unready).unwrap();
        }
        drop(asked);
        liveness.look(&parts, at(41));
        assert_eq!(liveness.faults(&parts, at(41)), ["gateway:0 has ended"]);
    }
}
