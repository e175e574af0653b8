//! Makes the report of what was collected.

use std::time::Duration;

use super::collected::Collected;
use crate::clock::Nanos;
use crate::config::BROADCASTS_KEPT;
use crate::flags::Scenario;
use crate::measure::histogram;
use crate::plan::Plan;
use crate::report::{
    Broadcast, Churn, Connections, Fanout, Latency, Measured, Outcome, Report, ServerMemory, Setup,
};
use crate::sender::{Message, Sent};
use crate::step::Step;
use crate::target::Target;

/// What the control thread knows of a run beyond what the cores counted.
#[derive(Clone, Debug, Default)]
pub(super) struct RunRecord {
    /// The user ended the run.
    pub interrupted: bool,
    /// The steps that were begun.
    pub steps: Vec<StepRecord>,
    /// The server's memory, if it is on this machine.
    pub server: Option<ServerMemory>,
}

/// What the control thread knows of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct StepRecord {
    /// How long was measured; zero if it ended before.
    pub measured: Duration,
    /// When that began.
    pub measured_from: Nanos,
    /// Connections that were open at the end of the step.
    pub connected: u64,
    /// What the sender of broadcasts or room messages did.
    pub sent: Option<Sent>,
}

/// The report of a run.
pub(super) fn report(plan: &Plan, collected: &Collected, record: &RunRecord) -> Report {
    let none_begun = [StepRecord::default()];
    let begun = if record.steps.is_empty() { &none_begun } else { record.steps.as_slice() };
    Report {
        setup: Setup {
            targets: plan.destinations.iter().map(Target::url).collect(),
            sources: plan.flags.source.clone(),
            cores: plan.cores(),
            ramp_per_second: plan.flags.ramp,
        },
        interrupted: record.interrupted,
        connections: connections(plan, collected),
        server: record.server.clone(),
        steps: begun.iter().enumerate().map(|(index, step)| outcome(plan, collected, index, step)).collect(),
        seconds: collected.seconds.clone(),
    }
}

fn connections(plan: &Plan, collected: &Collected) -> Connections {
    let counters = collected.counters();
    let ramp = collected.settled_at.since(Nanos::default());
    Connections {
        asked: plan.flags.conns as u64,
        opened: counters.opened,
        failures: counters.failures,
        losses: counters.losses,
        ramp_seconds: ramp.as_secs_f64(),
        opened_per_second: per_second(counters.opened, ramp),
    }
}

fn outcome(plan: &Plan, collected: &Collected, index: usize, record: &StepRecord) -> Outcome {
    let step = &plan.steps[index];
    let counters = collected.counters().churn;
    let is_churn = step.scenario == Scenario::Churn;
    Outcome {
        setup: step.clone(),
        measured: measured(step, collected, index, record),
        latency_us: Latency::new(&collected.steps[index].latency),
        fanout: record.sent.as_ref().map(|sent| fanout(step, collected, record, sent)),
        churn: is_churn.then(|| Churn { counters, unsettled: counters.pending() }),
    }
}

fn measured(step: &Step, collected: &Collected, index: usize, record: &StepRecord) -> Measured {
    let (counters, traffic) = (collected.counters(), collected.traffic(index));
    let is_echo = step.scenario == Scenario::Echo;
    let unanswered = traffic.sent.saturating_sub(collected.steps[index].latency.len());
    Measured {
        seconds: record.measured.as_secs_f64(),
        from_seconds: record.measured_from.since(Nanos::default()).as_secs_f64(),
        sent: traffic.sent,
        received: traffic.received,
        receives: traffic.receives,
        received_per_second: per_second(traffic.received, record.measured),
        unanswered: if is_echo { unanswered } else { 0 },
        bytes_in: traffic.bytes_in,
        bytes_out: traffic.bytes_out,
        strays: counters.strays,
        unsent: counters.unsent,
        pings: counters.pings,
    }
}

fn fanout(step: &Step, collected: &Collected, record: &StepRecord, sent: &Sent) -> Fanout {
    let (mut last, mut delivering) = (histogram(), Duration::ZERO);
    let (mut complete, mut deliveries) = (0, 0);
    for message in &sent.messages {
        let Some(delivery) = collected.delivery(message) else { continue };
        let until_last = delivery.last_at.since(delivery.stamp);
        last.saturating_record(until_last.as_nanos() as u64);
        delivering += until_last;
        complete += u64::from(delivery.receivers >= message.members.unwrap_or(record.connected));
        deliveries += delivery.receivers;
    }
    let is_rooms = step.scenario == Scenario::Rooms;
    let kept = if is_rooms { 0 } else { BROADCASTS_KEPT };
    let broadcast = |message| broadcast(message, collected, record.connected);
    Fanout {
        messages: sent.messages.len() as u64,
        complete,
        deliveries,
        deliveries_per_second: per_second(deliveries, if is_rooms { record.measured } else { delivering }),
        last_receiver_us: Latency::new(&last),
        broadcasts: sent.messages.iter().take(kept).map(broadcast).collect(),
        error: sent.error.clone(),
    }
}

fn broadcast(message: &Message, collected: &Collected, expected: u64) -> Broadcast {
    let delivery = collected.delivery(message);
    let us = |time: Duration| time.as_nanos() as f64 / 1e3;
    Broadcast {
        at_seconds: message.stamp.since(Nanos::default()).as_secs_f64(),
        delivered: delivery.map_or(0, |delivery| delivery.receivers),
        expected,
        last_receiver_us: delivery.map(|delivery| us(delivery.last_at.since(delivery.stamp))),
    }
}

/// Zero in no time.
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;
    use crate::System;
    use crate::failure::Cause;
    use crate::measure::{ChurnCounters, Counters, Delivery, Sample, Traffic};

    fn plan(line: &str) -> Plan {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = crate::Flags::from_args(&["loadgen"], &words).unwrap();
        Plan::new(&flags, &System { cpus: vec![0], ..System::default() }).unwrap()
    }

    fn collected(counters: Counters, latencies_us: &[u64], deliveries: Vec<Delivery>) -> Collected {
        let mut latency = histogram();
        latencies_us.iter().for_each(|us| latency.record(us * 1000).unwrap());
        let mut collected = Collected::new(1, 1);
        collected.add(Sample {
            core: 0,
            at: Nanos(0),
            step: 0,
            counters,
            settled_at: Nanos(500_000_000),
            latency: Some(latency),
            deliveries,
        });
        collected
    }

    /// Of one step of two seconds, at whose end `connected` clients were open.
    fn record(connected: u64, sent: Option<Sent>) -> RunRecord {
        let (measured, measured_from) = (Duration::from_secs(2), Nanos(1_000_000_000));
        RunRecord {
            steps: vec![StepRecord { measured, measured_from, connected, sent }],
            ..RunRecord::default()
        }
    }

    #[test]
    fn an_echo_report_counts_what_never_came_back() {
        let mut counters = Counters { opened: 3, ..Counters::default() };
        counters.failures.count(Cause::Refused);
        counters.losses.count(Cause::Reset);
        counters.phase = Traffic { sent: 5, received: 4, bytes_in: 100, bytes_out: 200, receives: 4 };
        let collected = collected(counters, &[100, 200, 300, 400], Vec::new());
        let report = report(&plan("--conns 4 --scenario echo --depth 2"), &collected, &record(3, None));
        assert_eq!(
            (report.first().measured.unanswered, report.first().measured.received_per_second),
            (1, 2.0)
        );
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
        let deliveries = vec![
            Delivery { stamp: ms(10), receivers: 3, last_at: ms(20) },
            Delivery { stamp: ms(30), receivers: 2, last_at: ms(60) },
        ];
        let counters = Counters { opened: 3, ..Counters::default() };
        let messages = [10, 30, 50].map(|stamp| Message { stamp: ms(stamp), members: None });
        let sent = Sent { messages: messages.to_vec(), error: None };
        let collected = collected(counters, &[5_000], deliveries);
        let report = report(&plan("--scenario broadcast"), &collected, &record(3, Some(sent)));
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
        let each: Vec<_> =
            fanout.broadcasts.iter().map(|cast| (cast.delivered, cast.last_receiver_us)).collect();
        assert_eq!(each, [(3, Some(10_000.0)), (2, Some(30_000.0)), (0, None)]);
    }

    #[test]
    fn a_rooms_report_knows_the_last_member() {
        let ms = |ms: u64| Nanos(ms * 1_000_000);
        let deliveries = [(10, 2, 20), (11, 2, 15)].map(|(stamp, receivers, last)| Delivery {
            stamp: ms(stamp),
            receivers,
            last_at: ms(last),
        });
        let messages = [(10, 2), (11, 3), (12, 2)]
            .map(|(stamp, members)| Message { stamp: ms(stamp), members: Some(members) });
        let collected = collected(Counters { opened: 9, ..Counters::default() }, &[], deliveries.to_vec());
        let record = record(9, Some(Sent { messages: messages.to_vec(), error: None }));
        let report = report(&plan("--scenario rooms --room-size 3"), &collected, &record);
        let fanout = report.first().fanout.as_ref().unwrap();
        assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (3, 1, 4));
        assert_eq!((fanout.deliveries_per_second, report.first().setup.room_size), (2.0, Some(3)));
        assert!(report.to_string().contains("1/s, rooms of 3"), "{report}");
    }

    #[test]
    fn a_churn_report_accounts_for_every_client() {
        let mut counters = Counters { opened: 3, ..Counters::default() };
        counters.churn =
            ChurnCounters { begun: 10, made: 7, resumed: 5, failures: Default::default(), left: 6 };
        counters.churn.failures.count(Cause::TimedOut);
        let report = report(
            &plan("--scenario churn --conns 3"),
            &collected(counters, &[150], Vec::new()),
            &record(3, None),
        );
        let Churn { counters, unsettled } = report.first().churn.as_ref().unwrap();
        assert_eq!((counters.made, counters.left, counters.failures.total(), *unsettled), (7, 6, 1, 2));
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        let churn = &json["steps"][0]["churn"];
        assert_eq!((&churn["begun"], &churn["unsettled"]), (&10.into(), &2.into()));
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
        let record = RunRecord { server: Some(server), ..record(3, None) };
        let report = report(&plan("--conns 4 --scenario echo"), &collected, &record);
        assert!(
            report.to_string().contains("server memory 1.0 MiB before, 3.0 at most, 3.0 last"),
            "{report}"
        );
        let page = report.to_html().unwrap();
        for words in
            ["\"scenario\":\"echo\"", "prefers-color-scheme", "\"failed\":\"1 refused\"", "3 of 4 open"]
        {
            assert!(page.contains(words), "{words}\n{page}");
        }
        assert!(!page.contains("{{"));
        let curve = &report.first().latency_us.as_ref().unwrap().curve;
        assert!(
            curve.is_sorted_by_key(|point| (point.quantile, point.us))
                && curve.last().unwrap().quantile == 1.0
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
            collected.add(Sample {
                core: 0,
                at: Nanos(0),
                step,
                counters,
                settled_at: Nanos(0),
                latency: None,
                deliveries: Vec::new(),
            });
        }
        let plan = plan("--conns 9 --then echo,clients=2,hold=1 --then idle");
        let begun =
            RunRecord { steps: vec![StepRecord::default(); 2], interrupted: true, ..RunRecord::default() };
        let report = report(&plan, &collected, &begun);
        let sent: Vec<_> = report.steps.iter().map(|step| (step.setup.clients, step.measured.sent)).collect();
        assert_eq!(sent, [(9, 0), (2, 5)]);
        assert!(report.to_string().contains("then          echo, 64 B, depth 1, 2 clients"), "{report}");
    }

    #[test]
    fn a_run_that_was_ended_at_once_has_a_report_too() {
        let record = RunRecord { interrupted: true, ..RunRecord::default() };
        let report = report(&plan(""), &Collected::new(1, 1), &record);
        assert!(report.connections.opened == 0 && report.first().latency_us.is_none());
        assert!(report.to_string().starts_with("interrupted"));
        assert!(report.to_json().is_ok() && report.to_html().is_ok());
    }
}
