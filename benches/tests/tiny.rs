//! Every benchmark, tiny: that it runs to its end and its figures are sound, not what they are.

use benches::compare::{self, Builds};
use benches::goals::{self, Scenario};
use benches::million;
use cluster::process::binary_path;
use cluster::proxy::Kind;

/// Two rounds of a scenario with few clients.
fn tiny(name: &str) -> goals::Figures {
    let scenario = Scenario::named(name).expect("a scenario");
    let usual = scenario.usual;
    let setup = goals::Setup {
        rounds: 2,
        conns: usual.conns.min(20),
        few: usual.few.min(5),
        hold_seconds: 0.3,
        warmup_seconds: 0.05,
        ..usual
    };
    let mut lines = 0;
    let figures = scenario.run(setup, &|| false, |_| lines += 1).expect("it runs to its end");
    assert_eq!((lines, figures.rounds.len(), figures.medians.len()), (3, 2, figures.columns.len()));
    assert!(!figures.verdicts.is_empty() && figures.to_string().contains("the goal of at"), "{figures}");
    assert!(figures.verdicts.iter().all(|verdict| verdict.spread.0 <= verdict.spread.1), "{figures}");
    figures
}

#[test]
fn echo_runs() {
    for name in ["echo", "echo-100", "scraped"] {
        let figures = tiny(name);
        assert!(figures.medians.iter().all(|value| *value > 0.0), "{figures}");
    }
}

/// Every message costs CPU in every program, and system calls in both servers.
#[test]
fn load_runs() {
    // The others differ in their rate alone.
    for name in ["load-2000", "load-half"] {
        let figures = tiny(name);
        assert!(figures.medians.iter().all(|value| *value > 0.0), "{figures}");
    }
}

#[test]
fn embedded_runs() {
    for name in ["embedded", "embedded-1", "busy-poll"] {
        let figures = tiny(name);
        assert!(figures.medians.iter().all(|value| *value > 0.0), "{figures}");
    }
}

#[test]
fn latency_runs() {
    let figures = tiny("latency");
    assert!(figures.medians[..3].iter().all(|value| *value > 0.0), "{figures}");
}

#[test]
fn rate_runs() {
    for name in ["rate", "rate-60"] {
        let figures = tiny(name);
        assert!(figures.medians[0] > figures.medians[2] && figures.medians[5] > 0.0, "{figures}");
    }
}

#[test]
fn broadcasts_run() {
    for name in ["broadcast", "burst"] {
        let figures = tiny(name);
        assert!(figures.medians[3] > 0.0 && figures.medians[4] >= 1.0, "{figures}");
    }
}

#[test]
fn echoes_beside_broadcasts_run() {
    let figures = tiny("beside");
    let [p50, p99, max, unanswered, broadcast, missing] = figures.medians[..] else { panic!("{figures}") };
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max && broadcast > 0.0, "{figures}");
    assert_eq!((unanswered, missing), (0.0, 0.0), "{figures}");
}

/// Attackers attack, and others are served.
#[test]
fn attacks_run() {
    let without_limits = ["bytes", "bare-5", "pings", "pongs", "fragments", "headers", "queries"];
    for kind in without_limits.into_iter().chain(["connections", "handshakes", "messages"]) {
        let figures = tiny(&format!("hostile-{kind}"));
        let [quiet_p50, quiet_p99, p50, p99, share, max, _, attacks, busy] = figures.medians[..] else {
            panic!("{figures}")
        };
        assert!(
            0.0 < quiet_p50 && quiet_p50 <= quiet_p99 && 0.0 < p50 && p50 <= p99 && p99 <= max,
            "{figures}"
        );
        // Who is held back sends nothing for as long as this takes.
        assert!(share > 0.0 && busy > 0.0 && (attacks > 0.0 || kind == "messages"), "{figures}");
    }
}

#[test]
fn idle_and_bound_run() {
    tiny("idle");
    tiny("bound");
}

/// Empty programs take next to nothing of a core, but some of it.
#[test]
fn empty_runs() {
    let empty = Scenario::named("empty").expect("a scenario");
    let setup = goals::Setup { rounds: 1, hold_seconds: 3.0, ..empty.usual };
    let figures = empty.run(setup, &|| false, |_| ()).expect("it runs to its end");
    let [shard, worker, register] = figures.medians[..] else { panic!("{figures}") };
    assert!(0.0 < shard && 0.0 < worker && 0.0 <= register && shard + worker + register < 100.0, "{figures}");
}

#[test]
fn sleep_runs() {
    let figures = tiny("sleep");
    let [p99, max, loaded_p99, loaded_max, busy] = figures.medians[..] else { panic!("{figures}") };
    assert!(
        0.0 < p99 && p99 <= max && 0.0 < loaded_p99 && loaded_p99 <= loaded_max && busy > 0.0,
        "{figures}"
    );
}

/// Where nginx and haproxy are.
#[test]
fn tls_runs() {
    if [Kind::Nginx, Kind::Haproxy].into_iter().any(|kind| kind.find().is_none()) {
        return;
    }
    for name in ["tls", "tls-100", "tls-handshake", "tls-resumed"] {
        let figures = tiny(name);
        let resumed = figures.medians[7];
        assert!(figures.medians[..7].iter().all(|value| *value > 0.0), "{figures}");
        assert!((resumed > 0.0) != (name == "tls-handshake"), "{figures}");
    }
}

/// This tree's programs against themselves.
#[test]
fn a_comparison_runs() {
    let programs = binary_path("gateway").parent().expect("programs are in a folder").to_owned();
    let builds = Builds { before: programs.clone(), after: programs };
    let usual = compare::SCENARIOS[0].scenario.usual;
    let setup = goals::Setup { rounds: 2, conns: 10, hold_seconds: 0.2, warmup_seconds: 0.05, ..usual };
    let scenarios = compare::SCENARIOS.map(|compared| (compared, setup));
    let mut lines = 0;
    let all = compare::run(&scenarios, &builds, &|| false, |_| lines += 1).expect("it runs to its end");
    // A heading, two rounds, and the verdict of each.
    assert_eq!((lines, all.len()), (4 * 5, 5));
    for figures in all {
        let (low, high) = figures.verdicts[0].spread;
        let [before, after, ratio] = figures.medians[..] else { panic!("{figures}") };
        assert!(before > 0.0 && after > 0.0 && figures.rounds.len() == 2, "{figures}");
        assert!(0.0 < low && low <= ratio && ratio <= high && high.is_finite(), "{figures}");
    }
}

/// All of it, with 200 clients.
#[test]
fn a_million_runs() {
    let usual = million::Setup::default();
    let setup = million::Setup {
        conns: 200,
        hold_seconds: 0.5,
        quiet_seconds: 0.6,
        echo_seconds: 0.3,
        echo_conns: 20,
        few: 30,
        ..usual
    };
    let mut steps = 0;
    let figures = million::run(setup, &|| false, &mut |_| steps += 1).expect("it runs to its end");
    let ledger = &figures.ledger;
    assert_eq!(
        (ledger.asked, ledger.opened, ledger.held, ledger.gateway_held),
        (200, 200, 200, 200),
        "{figures}"
    );
    assert!(ledger.is_complete() && figures.clients_per_shard.iter().sum::<u64>() == 200);
    let reached: Vec<_> = figures.broadcasts.iter().map(|cast| (cast.delivered, cast.expected)).collect();
    assert_eq!(reached, [(200, 200); 2]);
    let echoed = |echo: &million::Echo| echo.outcome.measured.received > 0;
    assert!(echoed(&figures.echo_few) && echoed(&figures.echo_many), "{figures}");
    assert!(figures.probe.measured.sent > 0, "{figures}");
    assert!(figures.accept.clients > 0 && steps == 6, "{figures}");
    assert!(figures.to_string().contains("200 = 200 held + 0 lost + 0 failed"), "{figures}");
}
