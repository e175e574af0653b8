//! What a worker tells of itself: a row of the status table and the metrics of each core.

use admin::{Causes, Instance, Metric, NoAnswer, Part, PartReport, Row};

use crate::Status;
use crate::control::{Control, Request};

/// Asks cores how things are.
#[derive(Clone, Debug)]
pub struct StatusSource {
    name: String,
    cores: Vec<Control>,
}

impl StatusSource {
    pub(crate) fn new(name: &str, cores: Vec<Control>) -> StatusSource {
        StatusSource { name: name.to_owned(), cores }
    }

    /// Every core's status, by index, or why there is none: it has not started, is held up by a handler, or has ended.
    pub fn ask(&self) -> Vec<Result<Status, NoAnswer>> {
        admin::ask(&self.cores, |core, answer| core.ask(answer))
    }

    /// What `--admin` tells.
    pub fn instance(&self) -> Instance {
        Instance::new("worker", env!("CARGO_PKG_VERSION"), self.parts())
    }

    /// The cores, to be asked as parts of the process.
    pub fn parts(&self) -> Vec<Part> {
        let part = |(index, core): (usize, &Control)| {
            let core = core.clone();
            let tell = move |answer| core.ask(answer);
            let name = format!("{}:{index}", self.name);
            Part::new(name, "worker", Some(("core", index)), tell, |status| report(&status))
        };
        self.cores.iter().enumerate().map(part).collect()
    }
}

impl Control {
    fn ask(&self, answer: std::sync::mpsc::SyncSender<Status>) -> Result<(), NoAnswer> {
        self.tell(Request::Status(answer)).then_some(()).ok_or(NoAnswer::Ended)
    }
}

fn report(status: &Status) -> PartReport {
    let unready = match status {
        Status { is_stopping: true, .. } => Some("is stopping"),
        Status { links: 0, .. } => Some("has no gateway"),
        Status { .. } => None,
    };
    PartReport { row: row(status), metrics: metrics(status), unready, ..PartReport::default() }
}

fn row(status: &Status) -> Row {
    let counters = &status.counters;
    let now = [
        ("handlers_running", status.handlers_running as u64),
        ("events_waiting", status.events_waiting as u64),
        ("queued_bytes", status.queued_bytes as u64),
        ("sessions_remembered", status.sessions_remembered as u64),
    ];
    let counted = counters.all().map(|counter| (counter.name, counter.count));
    Row {
        links: status.links as u64,
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.commands_dropped,
        counters: counted.chain(now).map(|(name, count)| (name.to_owned(), count)).collect(),
        ..Row::default()
    }
}

fn metrics(status: &Status) -> Vec<Metric> {
    let measures = &status.measures;
    let gauge = |name, help, value: usize| Metric::gauge(name, help, value as u64);
    let mut metrics = vec![
        gauge("links", "Gateway shards that are connected.", status.links),
        gauge(
            "handlers_running",
            "Clients whose handler has begun and waits for something.",
            status.handlers_running,
        ),
        gauge(
            "events_waiting",
            "Events that wait behind those handlers, or for a gateway to take what it was sent.",
            status.events_waiting,
        ),
        gauge("link_queue_bytes", "Bytes queued for gateways.", status.queued_bytes),
        gauge(
            "events_unsettled",
            "Events that gateways keep although their handlers have ended.",
            status.events_unsettled,
        ),
        gauge(
            "commands_kept",
            "Commands that their gateways have not said to have taken.",
            status.commands_kept,
        ),
        gauge("held_bytes", "Commands that wait because others may have their event.", status.held_bytes),
        gauge(
            "sessions_remembered",
            "Clients whose session was written and not seen since.",
            status.sessions_remembered,
        ),
        Metric::histogram(
            "handler_duration_seconds",
            "From the start of a handler to its end, with all that it waited for; one event in 64.",
            &measures.handler_time,
        ),
    ];
    // A core in a gateway's thread has no turns of its own.
    if measures.turn_time.count() > 0 {
        metrics.extend([
            Metric::histogram(
                "turn_duration_seconds",
                "Work from one wait of the thread to the next; one turn in 64.",
                &measures.turn_time,
            ),
            Metric::histogram(
                "turn_completions",
                "What the kernel had done when the thread turned; one turn in 64.",
                &measures.turn_completions,
            ),
        ]);
    }
    metrics.extend(Metric::counters(status.counters.all(), &CAUSES));
    metrics
}

/// What is counted by cause.
const CAUSES: [Causes; 1] = [Causes {
    name: "commands_lost",
    help: "Commands that no gateway got, by cause.",
    counters: &[
        ("commands_dropped", "unreachable"),
        ("commands_forgotten", "gateway_gone"),
        ("commands_revoked", "event_revoked"),
    ],
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_ready_while_it_has_a_gateway() {
        let mut status = Status::default();
        assert_eq!(report(&status).unready, Some("has no gateway"));
        status.links = 1;
        assert_eq!(report(&status).unready, None);
        status.is_stopping = true;
        assert_eq!(report(&status).unready, Some("is stopping"));
    }
}
