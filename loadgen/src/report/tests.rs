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
    let mut collected = Collected::new(1, 1);
    collected.add(Sample { core: 0, at: Nanos(0), step: 0, counters, latency: Some(latency), rounds });
    collected
}

/// Of one step of two seconds, at whose end `there` clients were there.
fn facts(there: u64, sent: Option<Sent>) -> Facts {
    let (measured, measured_from) = (Duration::from_secs(2), Nanos(1_000_000_000));
    Facts { steps: vec![StepFacts { measured, measured_from, there, sent }], ..Facts::default() }
}

#[test]
fn an_echo_report_counts_what_never_came_back() {
    let mut counters = Counters { opened: 3, settled_at: Nanos(500_000_000), ..Counters::default() };
    counters.failures.count(Cause::Refused);
    counters.losses.count(Cause::Reset);
    counters.phase = Traffic { sent: 5, received: 4, bytes_in: 100, bytes_out: 200, receives: 4 };
    let collected = collected(counters, &[100, 200, 300, 400], Vec::new());
    let report = Report::new(&plan("--conns 4 --scenario echo --depth 2"), &collected, &facts(3, None));
    assert_eq!((report.first().measured.unanswered, report.first().measured.received_per_second), (1, 2.0));
    assert_eq!((report.connections.opened_per_second, report.first().setup.depth), (6.0, Some(2)));
    let latency = report.first().latency_us.clone().unwrap();
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
        (back.connections.failures, &back.first().latency_us),
        (report.connections.failures, &report.first().latency_us)
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
    let report = Report::new(&plan("--scenario broadcast"), &collected, &facts(3, Some(sent)));
    let fanout = report.first().fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (3, 1, 5));
    assert_eq!(fanout.deliveries_per_second, 125.0);
    let last = fanout.last_receiver_us.as_ref().unwrap();
    assert!((last.max / 30_000.0 - 1.0).abs() < 0.002 && last.count == 2, "{last:?}");
    let table = report.to_string();
    for words in
        ["3 sent, 1 reached everybody", "at 0.0 s: 3 of 3, the last after 10.0 ms", "at 0.1 s: 0 of 3\n"]
    {
        assert!(table.contains(words), "{words}\n{table}");
    }
    let each: Vec<_> = fanout.broadcasts.iter().map(|cast| (cast.delivered, cast.last_receiver_us)).collect();
    assert_eq!(each, [(3, Some(10_000.0)), (2, Some(30_000.0)), (0, None)]);
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
    let facts = facts(9, Some(Sent { messages: messages.to_vec(), error: None }));
    let report = Report::new(&plan("--scenario rooms --room-size 3"), &collected, &facts);
    let fanout = report.first().fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (3, 1, 4));
    assert_eq!((fanout.deliveries_per_second, report.first().setup.room_size), (2.0, Some(3)));
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
        &facts(3, None),
    );
    let churn = report.first().churn.as_ref().unwrap();
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
        collected.progress(Nanos(second * 1_000_000_000), Some(second << 20));
    }
    let server =
        ServerMemory { pids: vec![7], first_bytes: 1 << 20, most_bytes: 3 << 20, last_bytes: 3 << 20 };
    let facts = Facts { server: Some(server), ..facts(3, None) };
    let report = Report::new(&plan("--conns 4 --scenario echo"), &collected, &facts);
    assert!(report.to_string().contains("server memory 1.0 MiB before, 3.0 at most, 3.0 last"), "{report}");
    let page = report.to_html();
    for words in [
        "<h1>loadgen: echo</h1>",
        "Latency by percentile",
        "Connections",
        "refused",
        "prefers-color-scheme",
        "1 refused",
        "Memory of the server",
    ] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<polyline").count() >= 4 && !page.contains("NaN") && !page.contains("inf"));
    assert!(!page.contains("http") && !page.contains("<script"));
    let curve = &report.first().latency_us.as_ref().unwrap().curve;
    assert!(
        curve.is_sorted_by_key(|point| (point.quantile, point.us)) && curve.last().unwrap().quantile == 1.0
    );
    let json: Report = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json.seconds, report.seconds);
    assert_eq!(report.seconds.len(), 3);
}

#[test]
fn every_step_has_its_part() {
    let mut collected = Collected::new(1, 3);
    let mut counters = Counters { opened: 9, ..Counters::default() };
    for (step, sent) in [(0, 0), (1, 5)] {
        counters.phase = Traffic { sent, received: sent, ..Traffic::default() };
        collected.add(Sample { core: 0, at: Nanos(0), step, counters, latency: None, rounds: Vec::new() });
    }
    let plan = plan("--conns 9 --then echo,clients=2,hold=1 --then idle");
    let begun = Facts { steps: vec![StepFacts::default(); 2], interrupted: true, ..Facts::default() };
    let report = Report::new(&plan, &collected, &begun);
    let sent: Vec<_> = report.steps.iter().map(|step| (step.setup.clients, step.measured.sent)).collect();
    assert_eq!(sent, [(9, 0), (2, 5)]);
    assert!(report.to_string().contains("then          echo, 64 B, depth 1, 2 clients"), "{report}");
}

#[test]
fn a_run_that_was_ended_at_once_has_a_report_too() {
    let facts = Facts { interrupted: true, ..Facts::default() };
    let report = Report::new(&plan(""), &Collected::new(1, 1), &facts);
    assert!(!report.any_connected() && report.first().latency_us.is_none());
    assert!(report.to_string().starts_with("interrupted"));
    assert!(report.to_json().is_ok());
    assert!(!report.to_html().contains("<svg"));
}
