//! The report as a table.

use std::fmt;

use super::{Churn, Fanout, Latency, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { setup, connections, measured, .. } = self;
        if self.interrupted {
            writeln!(f, "interrupted: what follows is what was so far")?;
        }
        let more = setup.targets.len().saturating_sub(1);
        let first = setup.targets.first().map_or("", String::as_str);
        let targets = if more == 0 { first.to_owned() } else { format!("{first} and {more} more") };
        row(f, "scenario", format_args!("{}{} on {targets}", setup.scenario, load(self)))?;
        row(f, "connections", format_args!("{} of {} open", connections.opened, connections.asked))?;
        let ramp = (connections.ramp_seconds, connections.opened_per_second);
        row(f, "ramp", format_args!("{:.2} s, {:.0}/s", ramp.0, ramp.1))?;
        failures(f, "failed", &connections.failures)?;
        failures(f, "lost", &connections.losses)?;
        row(f, "measured", format_args!("{:.1} s on {} threads", measured.seconds, setup.cores))?;
        match &self.churn {
            Some(churn) => self.churn(f, churn)?,
            None => {
                let rate = measured.received_per_second;
                row(f, "received", format_args!("{} ({rate:.0}/s)", measured.received))?;
            }
        }
        for (name, count) in [
            ("unanswered", measured.unanswered),
            ("strays", measured.strays),
            ("unsent", measured.unsent),
            ("pings", measured.pings),
        ] {
            if count > 0 {
                row(f, name, format_args!("{count}"))?;
            }
        }
        row(f, "bytes", format_args!("{} in, {} out", measured.bytes_in, measured.bytes_out))?;
        if let Some(latency_us) = &self.latency_us {
            let name = if self.churn.is_some() { "connect" } else { "latency" };
            latency(f, name, latency_us)?;
        }
        self.fanout.as_ref().map_or(Ok(()), |cast| fanout(f, cast))
    }
}

impl Report {
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
}

fn load(report: &Report) -> String {
    match (report.setup.depth, report.setup.rate_per_second) {
        (Some(depth), _) => format!(", {} B, depth {depth}", report.setup.size),
        (None, Some(rate)) if report.churn.is_some() => format!(", {rate}/s"),
        (None, Some(rate)) => {
            let rooms = report.setup.room_size.map_or(String::new(), |size| format!(", rooms of {size}"));
            format!(", {} B, {rate}/s{rooms}", report.setup.size)
        }
        (None, None) => String::new(),
    }
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
    fanout.error.as_ref().map_or(Ok(()), |error| row(f, "error", format_args!("{error}")))
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{name:<14}{value}")
}
