//! The tables at the end of a run.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cluster::Applied;
use crate::faults::NAMES;
use crate::request::Kind;
use crate::verdict::{Finding, Verdict};

/// What was done, said and found, as rows of docs/GUARANTEES.md, which a terminal shows as well.
/// `strays` is how often a client heard what was not for it.
pub fn tables(verdict: &Verdict, applied: &[Applied], strays: u64) -> String {
    // Writing to a string does not fail.
    let mut text = String::from("| messages | said | accepted | answered |\n| --- | --- | --- | --- |\n");
    for kind in Kind::ALL {
        let tally = verdict.kinds.get(&kind).copied().unwrap_or_default();
        let (said, accepted, answered) =
            (grouped(tally.said), grouped(tally.accepted), grouped(tally.answered));
        let _ = writeln!(text, "| {} | {said} | {accepted} | {answered} |", kind.name());
    }
    let mut done: BTreeMap<&str, u64> = BTreeMap::new();
    applied.iter().for_each(|applied| *done.entry(applied.fault.name()).or_default() += 1);
    text.push_str("\n| fault | done |\n| --- | --- |\n");
    for name in NAMES.iter().filter(|name| done.contains_key(*name)) {
        let _ = writeln!(text, "| {name} | {} |", done[name]);
    }
    text.push_str("\n| found | allowed, one fault at that time | allowed, several | beyond |\n| --- | --- | --- | --- |\n");
    for finding in Finding::ALL {
        let found = verdict.found.get(&finding).copied().unwrap_or_default();
        let (single, together, beyond) =
            (grouped(found.single), grouped(found.together), grouped(found.beyond));
        let _ = writeln!(text, "| {} | {single} | {together} | {beyond} |", finding.words());
    }
    let _ = writeln!(text, "| heard, and not for this client | 0 | 0 | {} |", grouped(strays));
    text
}

/// With a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let (head, tail) = digits.split_at(first);
    let tail = tail.as_bytes().chunks(3).map(|three| format!(",{}", String::from_utf8_lossy(three)));
    std::iter::once(head.to_owned()).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
