//! What became of every client: a sum that must come out.

use loadgen::{Connections, Failures};
use serde::Serialize;

/// Every client that was asked for, in one place each: `asked == failed + lost + held`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ledger {
    /// Asked for.
    pub asked: u64,
    /// Ready for messages at some time.
    pub opened: u64,
    /// Never ready, by cause.
    pub failed: Failures,
    /// Ready, and ended before it left by itself, by cause.
    pub lost: Failures,
    /// Open until it left by itself.
    pub held: u64,
    /// Those that the gateway says it held at the end, all shards together.
    pub gateway_held: u64,
}

impl Ledger {
    /// From what the load generator and the gateway counted.
    ///
    /// # Errors
    /// It does not add up.
    pub(super) fn new(connections: &Connections, gateway_held: u64) -> Result<Ledger, String> {
        let Connections { asked, opened, failures: failed, losses: lost, .. } = *connections;
        let held = opened.saturating_sub(lost.total());
        if asked != failed.total() + lost.total() + held {
            return Err(format!(
                "the clients do not add up: {asked} asked for, {opened} opened, {} failed, {} lost",
                failed.total(),
                lost.total()
            ));
        }
        Ok(Ledger { asked, opened, failed, lost, held, gateway_held })
    }

    /// Whether every client was held to the end, as both sides count.
    pub fn is_complete(&self) -> bool {
        self.held == self.asked && self.gateway_held == self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(asked: u64, opened: u64, refused: u64, reset: u64) -> Connections {
        Connections {
            asked,
            opened,
            failures: Failures { refused, ..Failures::default() },
            losses: Failures { reset, ..Failures::default() },
            ramp_seconds: 1.0,
            opened_per_second: 1.0,
        }
    }

    #[test]
    fn everybody_is_in_one_place() {
        let ledger = Ledger::new(&connections(10, 8, 2, 3), 5).unwrap();
        assert_eq!((ledger.held, ledger.is_complete()), (5, false));
        assert!(Ledger::new(&connections(10, 10, 0, 0), 10).unwrap().is_complete());
        // The gateway knows of fewer.
        assert!(!Ledger::new(&connections(10, 10, 0, 0), 9).unwrap().is_complete());
    }

    #[test]
    fn who_is_nowhere_is_noticed() {
        assert!(Ledger::new(&connections(10, 8, 1, 0), 8).unwrap_err().contains("10 asked for, 8 opened"));
        assert!(Ledger::new(&connections(10, 2, 8, 3), 0).is_err());
    }
}
