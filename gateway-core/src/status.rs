//! What a gateway tells of itself: a row of the status table and the metrics of each shard.

use admin::{Causes, Metric, PartReport, Row};

use crate::Status;

/// What a shard tells whose clients connect at `listen`, by these schemes in the order of `Settings::listen`.
pub(crate) fn report(listen: &str, schemes: &[String], status: &Status) -> PartReport {
    let unready = match status {
        Status { is_registered: false, .. } => Some("is in no register"),
        Status { workers: 0, .. } => Some("has no worker"),
        Status { .. } => None,
    };
    PartReport {
        row: row(listen, status),
        metrics: metrics(schemes, status),
        unready,
        latency: Some(status.measures.event_latency),
    }
}

fn row(listen: &str, status: &Status) -> Row {
    let counters = &status.counters;
    Row {
        listen: listen.to_owned(),
        links: status.workers as u64,
        clients: Some(status.clients as u64),
        uids: Some(status.uids as u64),
        groups: Some(status.groups as u64),
        messages_in: counters.messages_in,
        messages_out: counters.messages_out,
        dropped: counters.dropped(),
        counters: counters.all().map(|counter| (counter.name.to_owned(), counter.count)).collect(),
        ..Row::default()
    }
}

fn metrics(schemes: &[String], status: &Status) -> Vec<Metric> {
    let measures = &status.measures;
    let mut metrics: Vec<Metric> = by_scheme(schemes, &status.clients_by_listener);
    metrics.extend(gauges(status));
    metrics.extend([
        Metric::histogram(
            "event_duration_seconds",
            "From the turn that sent an event of a client to its worker to the one in which that had done it; one event in 64.",
            &measures.event_latency,
        ),
        Metric::histogram("fan_out_targets", "Clients that a message was for, of those for several.", &measures.fan_out_targets),
        Metric::histogram("turn_duration_seconds", "Work from one wait of the thread to the next; one turn in 64.", &measures.turn_time),
        Metric::histogram("turn_completions", "What the kernel had done when the thread turned; one turn in 64.", &measures.turn_completions),
    ]);
    metrics.extend(Metric::counters(status.counters.all(), &CAUSES));
    metrics
}

/// Clients by the scheme that they connect with; several listeners may have one.
fn by_scheme(schemes: &[String], clients: &[usize]) -> Vec<Metric> {
    let mut names: Vec<&String> = schemes.iter().collect();
    names.sort();
    names.dedup();
    let metric = |name: &String| {
        let of_name = schemes.iter().zip(clients).filter(|(scheme, _)| *scheme == name);
        let count: usize = of_name.map(|(_, count)| count).sum();
        Metric::gauge("clients", "Clients that are connected.", count as u64).with("protocol", name.as_str())
    };
    names.into_iter().map(metric).collect()
}

fn gauges(status: &Status) -> [Metric; 16] {
    let workers = status.workers.saturating_sub(status.links_draining + status.links_silent);
    let links = |state: &str, count: usize| {
        Metric::gauge(
            "links",
            "Inner connections, by state; those that only ask and command are `asking`.",
            count as u64,
        )
        .with("state", state)
    };
    let asking = status.links.saturating_sub(status.workers);
    let gauge = |name, help, value: usize| Metric::gauge(name, help, value as u64);
    [
        gauge("uids", "Uids with a client.", status.uids),
        gauge("groups", "Groups with a member.", status.groups),
        gauge("registered", "Whether a register has the shard.", status.is_registered.into()),
        links("serving", workers),
        links("draining", status.links_draining),
        links("silent", status.links_silent),
        links("asking", asking),
        gauge(
            "clients_waiting",
            "Clients that are not read because their worker takes no more events for now.",
            status.clients_waiting,
        ),
        gauge(
            "clients_departed",
            "Clients that are gone and whose workers are still to be told.",
            status.departed,
        ),
        gauge(
            "unfinished_bytes",
            "Messages of clients that are not whole yet.",
            status.clients_unfinished_bytes,
        ),
        gauge("link_queue_bytes", "Bytes queued for workers.", status.workers_queued_bytes),
        gauge(
            "fan_outs_waiting",
            "Messages for many that have not reached all of them.",
            status.fan_outs_waiting,
        ),
        gauge("events_in_flight", "Events that workers have not done.", status.events_in_flight),
        gauge(
            "events_kept",
            "Events that are kept until their workers say that they are safe.",
            status.events_kept,
        ),
        gauge("events_suspected", "Events that workers have died with.", status.events_suspected),
        gauge(
            "links_remembered",
            "Ended links of which it is known what was taken.",
            status.links_remembered,
        ),
    ]
}

/// What is counted by cause.
const CAUSES: [Causes; 7] = [
    Causes {
        name: "clients_refused",
        help: "Connections that were not let in, by cause.",
        counters: &[
            ("clients_refused", "hook"),
            ("handshakes_refused", "worker"),
            ("clients_cordoned", "cordoned"),
            ("accepts_failed", "no_room"),
            ("refused_max_clients", "max_clients"),
            ("refused_max_clients_per_shard", "max_clients_per_shard"),
            ("refused_max_clients_per_address", "max_clients_per_address"),
            ("refused_handshakes_per_address", "handshakes_per_address"),
        ],
    },
    Causes {
        name: "clients_evicted",
        help: "Clients that the gateway closed, by cause.",
        counters: &[
            ("clients_malformed", "malformed"),
            ("clients_closed_header_size", "header_size"),
            ("clients_closed_fragments", "fragments"),
            ("clients_closed_slow", "slow"),
            ("clients_closed_no_worker", "no_worker"),
            ("clients_closed_silent", "silent"),
            ("clients_closed_token", "token_expired"),
            ("clients_closed_unserved", "unserved"),
            ("clients_closed_handshake", "handshake_timeout"),
            ("clients_closed_unfinished_size", "unfinished_size"),
            ("clients_closed_unfinished_time", "unfinished_time"),
            ("clients_closed_message_rate", "message_rate"),
            ("clients_closed_byte_rate", "byte_rate"),
            ("clients_closed_unbound", "unbound"),
        ],
    },
    Causes {
        name: "tokens_refused",
        help: "Websocket handshakes that were refused because of their token, by cause.",
        counters: &[
            ("tokens_missing", "missing"),
            ("tokens_malformed", "malformed"),
            ("tokens_unknown_key", "unknown_key"),
            ("tokens_bad_signature", "bad_signature"),
            ("tokens_expired", "expired"),
            ("tokens_early", "early"),
            ("tokens_foreign", "foreign"),
            ("tokens_incomplete", "incomplete"),
        ],
    },
    Causes {
        name: "links_evicted",
        help: "Inner connections that the gateway closed, by cause.",
        counters: &[
            ("links_malformed", "malformed"),
            ("links_unauthorized", "unauthorized"),
            ("links_without_tls", "no_tls"),
            ("links_tls_failed", "tls"),
            ("links_unproven", "unproven"),
            ("links_silent", "silent"),
            ("links_stuck", "stuck"),
            ("workers_refused", "name_taken"),
            ("workers_displaced", "displaced"),
            ("replies_too_large", "reply_too_large"),
        ],
    },
    Causes {
        name: "stalls",
        help: "Times a client was not read any more, by cause.",
        counters: &[
            ("stalls_link_full", "link_full"),
            ("stalls_no_worker", "no_worker"),
            ("stalls_draining", "draining"),
            ("stalls_silent", "silent"),
            ("stalls_rerouting", "rerouting"),
            ("stalls_window", "window"),
            ("stalls_own_events", "own_events"),
            ("stalls_handshake", "handshake"),
            ("stalls_share", "share"),
            ("stalls_message_rate", "message_rate"),
            ("stalls_byte_rate", "byte_rate"),
        ],
    },
    Causes {
        name: "dropped",
        help: "Messages, events and ends of clients that nobody got, by cause.",
        counters: &[
            ("messages_dropped_slow_client", "slow_client"),
            ("events_dropped", "no_worker"),
            ("events_poisonous", "poisonous"),
            ("closes_dropped", "close_without_worker"),
        ],
    },
    Causes {
        name: "tls_failures",
        help: "TLS that did not come about or broke, by cause.",
        counters: &[
            ("tls_handshakes_failed", "handshake"),
            ("tls_sessions_failed", "session"),
            ("tls_unexpected", "unexpected"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_scheme_are_added_up() {
        let schemes = ["websocket", "text", "websocket"].map(str::to_owned);
        let metrics = by_scheme(&schemes, &[1, 2, 4]);
        let told: Vec<_> =
            metrics.iter().map(|metric| (metric.label.clone().unwrap().1, metric.value)).collect();
        assert_eq!(
            told,
            [("text".to_owned(), admin::Value::Gauge(2)), ("websocket".to_owned(), admin::Value::Gauge(5))]
        );
    }

    #[test]
    fn a_shard_is_ready_when_it_can_be_found_and_has_a_worker() {
        let mut status = Status::default();
        assert_eq!(report("", &[], &status).unready, Some("is in no register"));
        status.is_registered = true;
        assert_eq!(report("", &[], &status).unready, Some("has no worker"));
        status.workers = 1;
        assert_eq!(report("", &[], &status).unready, None);
    }
}
