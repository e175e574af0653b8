//! The name of a worker that was given none: its program's, and digits that no other program has.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use protocol::inner::Run;

use crate::master::Mark;

/// `base` and this program's own digits, the same in a master and in all processes that it starts: gateways know a worker by
/// its name, and two on one machine need two.
pub(crate) fn own(base: &str) -> String {
    static DIGITS: OnceLock<String> = OnceLock::new();
    let digits = DIGITS.get_or_init(|| match Mark::of_environment() {
        Some(Mark { digits: Some(digits), .. }) => digits,
        _ => format!("{:06x}", draw() & 0xff_ffff),
    });
    format!("{base}-{digits}")
}

/// A run that nobody else has.
pub(crate) fn draw_run() -> Run {
    Run(draw())
}

/// The random keys of std's tables, new at each call.
fn draw() -> u64 {
    std::collections::hash_map::RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_and_a_run_does_not() {
        let name = own("chat");
        assert_eq!((name.len(), name == own("chat")), ("chat-".len() + 6, true));
        assert_ne!(draw_run(), draw_run());
    }
}
