//! Reports made of known counts.

use super::*;
use crate::Machine;
use crate::clock::Nanos;
use crate::failure::Cause;
use crate::measure::{Counters, Sample, Traffic};
use crate::scenario::Round;
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
    Facts { interrupted: false, measured: Duration::from_secs(2), sent }
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
    let sent = Sent { rounds: vec![ms(10), ms(30), ms(50)], error: None };
    let collected = collected(counters, &[5_000], rounds);
    let report = Report::new(&plan("--scenario broadcast"), &collected, &facts(Some(sent)));
    let fanout = report.fanout.as_ref().unwrap();
    assert_eq!((fanout.broadcasts, fanout.complete, fanout.deliveries), (3, 1, 5));
    assert_eq!(fanout.deliveries_per_second, 125.0);
    let last = fanout.last_receiver_us.as_ref().unwrap();
    assert!((last.max / 30_000.0 - 1.0).abs() < 0.002 && last.count == 2, "{last:?}");
    assert!(report.to_string().contains("3 sent, 1 reached everybody"));
}

#[test]
fn a_run_that_was_ended_at_once_has_a_report_too() {
    let facts = Facts { interrupted: true, ..Facts::default() };
    let report = Report::new(&plan(""), &Collected::new(1), &facts);
    assert!(!report.any_connected() && report.latency_us.is_none());
    assert!(report.to_string().starts_with("interrupted"));
    assert!(report.to_json().is_ok());
}
