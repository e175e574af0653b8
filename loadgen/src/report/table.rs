//! The report as a table: a name and a text in each row.

use std::fmt;

use super::{Broadcast, Churn, Fanout, Latency, Measured, Outcome, Report};
use crate::failure::Failures;
use crate::measure::ChurnCounters;
use crate::step::Step;

type Row = (&'static str, String);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.interrupted {
            writeln!(f, "interrupted: what follows is what was so far")?;
        }
        self.rows().iter().try_for_each(|(name, text)| writeln!(f, "{name:<14}{text}"))
    }
}

impl Report {
    fn rows(&self) -> Vec<Row> {
        let Report { setup, connections, .. } = self;
        let first = setup.targets.first().map_or("", String::as_str);
        let more = match setup.targets.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let (ramp, rate) = (connections.ramp_seconds, connections.opened_per_second);
        let mut rows = vec![
            ("scenario", format!("{} on {first}{more}", self.first().in_words())),
            ("connections", format!("{} of {} open", connections.opened, connections.asked)),
            ("ramp", format!("{ramp:.2} s, {rate:.0}/s")),
        ];
        rows.extend(failures("failed", &connections.failures));
        rows.extend(failures("lost", &connections.losses));
        rows.extend(self.server.as_ref().map(|server| {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (before, most, last) =
                (mib(server.first_bytes), mib(server.most_bytes), mib(server.last_bytes));
            ("server memory", format!("{before:.1} MiB before, {most:.1} at most, {last:.1} last"))
        }));
        rows.push(("threads", setup.cores.to_string()));
        // Of the whole run, in whichever step.
        let Measured { strays, unsent, pings, .. } = self.first().measured;
        rows.extend(above_zero("strays", strays));
        rows.extend(above_zero("unsent", unsent));
        rows.extend(above_zero("pings", pings));
        for (index, step) in self.steps.iter().enumerate() {
            rows.extend((index > 0).then(|| ("then", step.in_words())));
            step.add_rows(&mut rows);
        }
        rows
    }
}

impl Outcome {
    /// The scenario and its load.
    fn in_words(&self) -> String {
        let Step { scenario, size, clients, .. } = &self.setup;
        match (self.setup.depth, self.setup.rate_per_second) {
            (Some(depth), _) => format!("{scenario}, {size} B, depth {depth}, {clients} clients"),
            (None, Some(rate)) if self.churn.is_some() => format!("{scenario}, {rate}/s"),
            (None, Some(rate)) => {
                let rooms = self.setup.room_size.map_or(String::new(), |size| format!(", rooms of {size}"));
                let burst = self.setup.burst.filter(|burst| *burst > 1);
                let burst = burst.map_or(String::new(), |burst| format!(", {burst} at once"));
                format!("{scenario}, {size} B, {rate}/s{burst}{rooms}")
            }
            (None, None) => scenario.to_string(),
        }
    }

    fn add_rows(&self, rows: &mut Vec<Row>) {
        let Measured { seconds, received, received_per_second, unanswered, bytes_in, bytes_out, .. } =
            self.measured;
        rows.push(("measured", format!("{seconds:.1} s")));
        if let Some(Churn { counters, unsettled }) = &self.churn {
            let ChurnCounters { begun, made, resumed, failures: failed, left } = counters;
            let rate = *made as f64 / seconds.max(f64::MIN_POSITIVE);
            rows.push(("came", format!("{made} of {begun} ({rate:.0}/s)")));
            rows.extend(above_zero("resumed", *resumed));
            rows.extend(failures("did not come", failed));
            rows.extend(above_zero("unsettled", *unsettled));
            rows.push(("left", left.to_string()));
        } else {
            rows.push(("received", format!("{received} ({received_per_second:.0}/s)")));
        }
        rows.extend(above_zero("unanswered", unanswered));
        rows.push(("bytes", format!("{bytes_in} in, {bytes_out} out")));
        let name = if self.churn.is_some() { "connect" } else { "latency" };
        rows.extend(self.latency_us.as_ref().map(|us| latency(name, us)));
        self.fanout.iter().for_each(|fanout| fanout.add_rows(rows));
    }
}

impl Fanout {
    fn add_rows(&self, rows: &mut Vec<Row>) {
        let Fanout { messages, complete, deliveries, deliveries_per_second, .. } = self;
        rows.push(("messages", format!("{messages} sent, {complete} reached everybody")));
        rows.push(("deliveries", format!("{deliveries} ({deliveries_per_second:.0}/s)")));
        rows.extend(self.last_receiver_us.as_ref().map(|us| latency("last receiver", us)));
        for broadcast in self.broadcasts.iter().take(BROADCASTS_SHOWN) {
            let Broadcast { at_seconds, delivered, expected, last_receiver_us } = broadcast;
            let last =
                last_receiver_us.map_or(String::new(), |us| format!(", the last after {:.1} ms", us / 1e3));
            rows.push(("broadcast", format!("at {at_seconds:.1} s: {delivered} of {expected}{last}")));
        }
        rows.extend(self.error.clone().map(|error| ("error", error)));
    }
}

fn above_zero(name: &'static str, count: u64) -> Option<Row> {
    (count > 0).then(|| (name, count.to_string()))
}

fn failures(name: &'static str, failures: &Failures) -> Option<Row> {
    let total = failures.total();
    (total > 0).then(|| (name, format!("{total} ({})", failures.summary())))
}

fn latency(name: &'static str, us: &Latency) -> Row {
    let Latency { p50, p90, p99, p999, max, .. } = us;
    (name, format!("p50 {p50:.0} µs  p90 {p90:.0}  p99 {p99:.0}  p99.9 {p999:.0}  max {max:.0}"))
}

/// Broadcasts that have a row of their own.
const BROADCASTS_SHOWN: usize = 10;
