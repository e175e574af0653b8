//! The table at the end of a run.

use std::fmt::Write;

use crate::request::Kind;
use crate::verdict::{Finding, Verdict};

/// What was said and found, as a page of Markdown shows it and a terminal, too.
pub fn table(verdict: &Verdict) -> String {
    let mut text = String::from("| messages | said | accepted | answered |\n| --- | --- | --- | --- |\n");
    for kind in Kind::ALL {
        let tally = verdict.kinds.get(&kind).copied().unwrap_or_default();
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| {} | {} | {} | {} |", kind.name(), tally.said, tally.accepted, tally.answered);
    }
    text.push_str("\n| found | as GUARANTEES allows | beyond |\n| --- | --- | --- |\n");
    for finding in Finding::ALL {
        let (allowed, denied) = verdict.found.get(&finding).copied().unwrap_or_default();
        let _ = writeln!(text, "| {} | {allowed} | {denied} |", finding.words());
    }
    text
}
