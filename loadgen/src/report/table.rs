//! The report as a table.

use std::fmt;

use super::{Broadcast, Churn, Fanout, Latency, Outcome, Report, ServerMemory, StepSetup};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { setup, connections, .. } = self;
        if self.interrupted {
            writeln!(f, "interrupted: what follows is what was so far")?;
        }
        let more = setup.targets.len().saturating_sub(1);
        let first = setup.targets.first().map_or("", String::as_str);
        let targets = if more == 0 { first.to_owned() } else { format!("{first} and {more} more") };
        row(f, "scenario", format_args!("{} on {targets}", self.first().in_words()))?;
        row(f, "connections", format_args!("{} of {} open", connections.opened, connections.asked))?;
        let ramp = (connections.ramp_seconds, connections.opened_per_second);
        row(f, "ramp", format_args!("{:.2} s, {:.0}/s", ramp.0, ramp.1))?;
        failures(f, "failed", &connections.failures)?;
        failures(f, "lost", &connections.losses)?;
        self.server.as_ref().map_or(Ok(()), |server| memory(f, server))?;
        row(f, "threads", format_args!("{}", setup.cores))?;
        self.whole_run(f)?;
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                row(f, "then", format_args!("{}", step.in_words()))?;
            }
            step.fmt(f)?;
        }
        Ok(())
    }
}

impl Report {
    /// What is counted without regard to steps.
    fn whole_run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.first().measured;
        for (name, count) in
            [("strays", measured.strays), ("unsent", measured.unsent), ("pings", measured.pings)]
        {
            if count > 0 {
                row(f, name, format_args!("{count}"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        row(f, "measured", format_args!("{:.1} s", measured.seconds))?;
        match &self.churn {
            Some(churn) => self.churn(f, churn)?,
            None => {
                let rate = measured.received_per_second;
                row(f, "received", format_args!("{} ({rate:.0}/s)", measured.received))?;
            }
        }
        if measured.unanswered > 0 {
            row(f, "unanswered", format_args!("{}", measured.unanswered))?;
        }
        row(f, "bytes", format_args!("{} in, {} out", measured.bytes_in, measured.bytes_out))?;
        if let Some(latency_us) = &self.latency_us {
            let name = if self.churn.is_some() { "connect" } else { "latency" };
            latency(f, name, latency_us)?;
        }
        self.fanout.as_ref().map_or(Ok(()), |cast| fanout(f, cast))
    }
}

impl Outcome {
    fn churn(&self, f: &mut fmt::Formatter<'_>, churn: &Churn) -> fmt::Result {
        let Churn { begun, made, failures: failed, unsettled, left } = churn;
        let rate = *made as f64 / self.measured.seconds.max(f64::MIN_POSITIVE);
        row(f, "came", format_args!("{made} of {begun} ({rate:.0}/s)"))?;
        failures(f, "did not come", failed)?;
        if *unsettled > 0 {
            row(f, "unsettled", format_args!("{unsettled}"))?;
        }
        row(f, "left", format_args!("{left}"))
    }

    /// The scenario and its load.
    pub fn in_words(&self) -> String {
        let StepSetup { scenario, size, clients, .. } = &self.setup;
        match (self.setup.depth, self.setup.rate_per_second) {
            (Some(depth), _) => format!("{scenario}, {size} B, depth {depth}, {clients} clients"),
            (None, Some(rate)) if self.churn.is_some() => format!("{scenario}, {rate}/s"),
            (None, Some(rate)) => {
                let rooms = self.setup.room_size.map_or(String::new(), |size| format!(", rooms of {size}"));
                let burst = self.setup.burst.filter(|burst| *burst > 1);
                let burst = burst.map_or(String::new(), |burst| format!(", {burst} at once"));
                format!("{scenario}, {size} B, {rate}/s{burst}{rooms}")
            }
            (None, None) => scenario.clone(),
        }
    }
}

fn memory(f: &mut fmt::Formatter<'_>, server: &ServerMemory) -> fmt::Result {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (first, most, last) = (mib(server.first_bytes), mib(server.most_bytes), mib(server.last_bytes));
    row(f, "server memory", format_args!("{first:.1} MiB before, {most:.1} at most, {last:.1} last"))
}

fn failures(f: &mut fmt::Formatter<'_>, name: &str, failures: &crate::Failures) -> fmt::Result {
    if failures.total() == 0 {
        return Ok(());
    }
    row(f, name, format_args!("{} ({})", failures.total(), failures.summary()))
}

fn latency(f: &mut fmt::Formatter<'_>, name: &str, us: &Latency) -> fmt::Result {
    let Latency { p50, p90, p99, p999, max, .. } = us;
    row(f, name, format_args!("p50 {p50:.0} µs  p90 {p90:.0}  p99 {p99:.0}  p99.9 {p999:.0}  max {max:.0}"))
}

fn fanout(f: &mut fmt::Formatter<'_>, fanout: &Fanout) -> fmt::Result {
    row(f, "messages", format_args!("{} sent, {} reached everybody", fanout.messages, fanout.complete))?;
    let (deliveries, rate) = (fanout.deliveries, fanout.deliveries_per_second);
    row(f, "deliveries", format_args!("{deliveries} ({rate:.0}/s)"))?;
    if let Some(last) = &fanout.last_receiver_us {
        latency(f, "last receiver", last)?;
    }
    for broadcast in fanout.broadcasts.iter().take(BROADCASTS_SHOWN) {
        let Broadcast { at_seconds, delivered, expected, last_receiver_us } = broadcast;
        let last =
            last_receiver_us.map_or(String::new(), |us| format!(", the last after {:.1} ms", us / 1e3));
        row(f, "broadcast", format_args!("at {at_seconds:.1} s: {delivered} of {expected}{last}"))?;
    }
    fanout.error.as_ref().map_or(Ok(()), |error| row(f, "error", format_args!("{error}")))
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{name:<14}{value}")
}

/// Broadcasts that have a row of their own.
const BROADCASTS_SHOWN: usize = 10;
