//! Reports made of known counts.

use super::*;
use crate::Machine;
use crate::clock::Nanos;
use crate::failure::Cause;
use crate::measure::{Counters, Sample, Traffic};
use crate::scenario::Round;
use crate::sender::Message;
use argh::FromArgs;

fn plan(line: &str) -> Plan {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = crate::Flags::from_args(&["loadgen"], &words).unwrap();
    Plan::new(&flags, &Machine { cpus: vec![0], open_files: 20_000 }).unwrap()
}

fn collected(counters: Counters, latencies_us: &[u64], rounds: Vec<Round>) -> Collected {
    let mut latency = histogram();
    latencies_us.iter().for_each(|us| latency.record(us * 1000).unwrap());
    let mut collected = Collected::new(1);
    collected.add(Sample { core: 0, counters, latency: Some(latency), rounds });
    collected
}

fn facts(sent: Option<Sent>) -> Facts {
    Facts { interrupted: false, measured: Duration::from_secs(2), measured_from: Nanos(1_000_000_000), sent }
}

#[test]
fn an_echo_report_counts_what_never_came_back() {
    let mut counters = Counters { opened: 3, settled_at: Nanos(500_000_000), ..Counters::default() };
    counters.failures.count(Cause::Refused);
    counters.losses.count(Cause::Reset);
    counters.phase = Traffic { sent: 5, received: 4, bytes_in: 100, bytes_out: 200 };
    let collected = collected(counters, &[100, 200, 300, 400], Vec::new());
    let report = Report::new(&plan("--conns 4 --scenario echo --depth 2"), &collected, &facts(None));
    assert_eq!((report.measured.unanswered, report.measured.received_per_second), (1, 2.0));
    assert_eq!((report.connections.opened_per_second, report.setup.depth), (6.0, Some(2)));
    let latency = report.latency_us.clone().unwrap();
    assert_eq!((latency.count, latency.p50.round(), latency.max.round()), (4, 200.0, 400.0));

    let table = report.to_string();
    for words in
        ["3 of 4 open", "1 (1 refused)", "1 (1 reset)", "unanswered    1", "4 (2/s)", "100 in, 200 out"]
    {
        assert!(table.contains(words), "{words}\n{table}");
    }
    assert!(!table.contains("strays") && !table.contains("interrupted"));

    let json = report.to_json().unwrap();
    let back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (back.connections.failures, back.latency_us),
        (report.connections.failures, report.latency_us)
    );
}

#[test]
fn a_broadcast_report_knows_the_last_receiver() {
    let ms = |ms: u64| Nanos(ms * 1_000_000);
    let rounds = vec![
        Round { stamp: ms(10), receivers: 3, last_at: ms(20) },
        Round { stamp: ms(30), receivers: 2, last_at: ms(60) },
    ];
    let counters = Counters { opened: 3, ..Counters::default() };
    let messages = [10, 30, 50].map(|stamp| Message { stamp: ms(stamp), members: None });
    let sent = Sent { messages: messages.to_vec(), error: None };
    let collected = collected(counters, &[5_000], rounds);
    let report = Report::new(&plan("--scenario broadcast"), &collected, &facts(Some(sent)));
    let fanout = report.fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (3, 1, 5));
    assert_eq!(fanout.deliveries_per_second, 125.0);
    let last = fanout.last_receiver_us.as_ref().unwrap();
    assert!((last.max / 30_000.0 - 1.0).abs() < 0.002 && last.count == 2, "{last:?}");
    assert!(report.to_string().contains("3 sent, 1 reached everybody"));
}

#[test]
fn a_rooms_report_knows_the_last_member() {
    let ms = |ms: u64| Nanos(ms * 1_000_000);
    let rounds = [(10, 2, 20), (11, 2, 15)].map(|(stamp, receivers, last)| Round {
        stamp: ms(stamp),
        receivers,
        last_at: ms(last),
    });
    let messages = [(10, 2), (11, 3), (12, 2)]
        .map(|(stamp, members)| Message { stamp: ms(stamp), members: Some(members) });
    let collected = collected(Counters { opened: 9, ..Counters::default() }, &[], rounds.to_vec());
    let facts = facts(Some(Sent { messages: messages.to_vec(), error: None }));
    let report = Report::new(&plan("--scenario rooms --room-size 3"), &collected, &facts);
    let fanout = report.fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (3, 1, 4));
    assert_eq!((fanout.deliveries_per_second, report.setup.room_size), (2.0, Some(3)));
    assert!(report.to_string().contains("1/s, rooms of 3"), "{report}");
}

#[test]
fn a_churn_report_accounts_for_everybody() {
    let mut counters = Counters { opened: 3, ..Counters::default() };
    counters.churn = Churned { begun: 10, made: 7, failures: Default::default(), left: 6 };
    counters.churn.failures.count(Cause::TimedOut);
    let report = Report::new(
        &plan("--scenario churn --conns 3"),
        &collected(counters, &[150], Vec::new()),
        &facts(None),
    );
    let churn = report.churn.as_ref().unwrap();
    assert_eq!((churn.made, churn.left, churn.failures.total(), churn.unsettled), (7, 6, 1, 2));
    let table = report.to_string();
    for words in [
        "churn, 100/s on",
        "came          7 of 10 (4/s)",
        "1 (1 timed out)",
        "unsettled     2",
        "connect       p50",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    assert!(!table.contains("received"));
}

#[test]
fn a_page_shows_what_was_seen_and_needs_nothing_else() {
    let mut counters = Counters { opened: 3, received: 100, ..Counters::default() };
    counters.failures.count(Cause::Refused);
    let mut collected = collected(counters, &[100, 200, 300, 4000], Vec::new());
    for second in 1..=3 {
        collected.progress(Nanos(second * 1_000_000_000));
    }
    let report = Report::new(&plan("--conns 4 --scenario echo"), &collected, &facts(None));
    let page = report.to_html();
    for words in [
        "<h1>loadgen: echo</h1>",
        "Latency by percentile",
        "Connections",
        "refused",
        "prefers-color-scheme",
        "1 refused",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<polyline").count() >= 4 && !page.contains("NaN") && !page.contains("inf"));
    assert!(!page.contains("http") && !page.contains("<script"));
    let curve = &report.latency_us.as_ref().unwrap().curve;
    assert!(
        curve.is_sorted_by_key(|point| (point.quantile, point.us)) && curve.last().unwrap().quantile == 1.0
    );
    let json: Report = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json.seconds, report.seconds);
    assert_eq!(report.seconds.len(), 3);
}

#[test]
fn a_run_that_was_ended_at_once_has_a_report_too() {
    let facts = Facts { interrupted: true, ..Facts::default() };
    let report = Report::new(&plan(""), &Collected::new(1), &facts);
    assert!(!report.any_connected() && report.latency_us.is_none());
    assert!(report.to_string().starts_with("interrupted"));
    assert!(report.to_json().is_ok());
    assert!(!report.to_html().contains("<svg"));
}
