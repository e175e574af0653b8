//! Idle and echo, with servers that do as they should, or are slow.

use std::sync::Mutex;

use crate::server::{self, answering, echo, listen};
use crate::{plan, run};
use loadgen::{Churn, Notice};

#[test]
fn echo_over_every_protocol() {
    for scheme in ["ws", "text", "frame", "tcp"] {
        let address = echo(scheme);
        let report = run(&format!(
            "--target {scheme}://{address} --conns 20 --scenario echo --depth 3 --size 200 --hold 0.2 --warmup 0.05 --drain 20"
        ));
        let (connections, measured) = (&report.connections, &report.first().measured);
        assert_eq!(
            (connections.opened, connections.failures.total(), connections.losses.total()),
            (20, 0, 0)
        );
        assert!(measured.received >= 20, "{scheme}: {measured:?}");
        assert_eq!(
            (measured.unanswered, measured.strays, measured.unsent),
            (0, 0, 0),
            "{scheme}: {measured:?}"
        );
        assert!(measured.bytes_in > 0 && measured.bytes_out > 0, "{scheme}");
        let latency = report.first().latency_us.as_ref().unwrap();
        assert_eq!(latency.count, measured.sent);
        assert!(latency.min > 0.0 && latency.p50 <= latency.p99 && latency.p99 <= latency.max);
    }
}

#[test]
fn echo_within_tls() {
    for (scheme, inner) in [("wss", "ws"), ("ssl+text", "text"), ("ssl+frame", "frame"), ("ssl+tcp", "tcp")] {
        let (address, certificate) = server::secure_echo(inner);
        let target = format!("{scheme}://localhost:{}", address.port());
        for (trust, size) in
            [(format!("--tls-ca {}", certificate.display()), 200), ("--tls-insecure".to_owned(), 100_000)]
        {
            let report = run(&format!(
                "--target {target} {trust} --conns 10 --scenario echo --depth 3 --size {size} --hold 0.2 --warmup 0 --drain 20"
            ));
            let (connections, measured) = (&report.connections, &report.first().measured);
            assert_eq!((connections.opened, connections.losses.total()), (10, 0), "{scheme}");
            assert!(measured.received >= 10, "{scheme}: {measured:?}");
            assert_eq!((measured.unanswered, measured.strays), (0, 0), "{scheme}: {measured:?}");
        }
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_a_failure_of_its_own() {
    let (address, _) = server::secure_echo("text");
    let (_, others) = server::secure_echo("text");
    let target = format!("ssl+text://localhost:{}", address.port());
    let trust = format!("--tls-ca {}", others.display());
    let report = run(&format!("--target {target} {trust} --conns 5 --hold 0.1"));
    assert_eq!((report.connections.opened, report.connections.failures.tls), (0, 5));
}

#[test]
fn several_targets_share_the_connections() {
    let target = format!("ws://{},text://{}", echo("ws"), echo("text"));
    let report =
        run(&format!("--target {target} --conns 11 --count 3 --scenario echo --hold 0.1 --warmup 0"));
    assert_eq!((report.connections.opened, report.setup.cores, report.setup.targets.len()), (11, 3, 2));
    assert_eq!(report.first().measured.unanswered, 0);
}

#[test]
fn connections_come_from_their_sources() {
    static PEERS: Mutex<Vec<std::net::IpAddr>> = Mutex::new(Vec::new());
    let address = listen(|stream| {
        PEERS.lock().unwrap().push(stream.peer_addr().unwrap().ip());
        server::serve(stream, &*server::protocol("text"), &[], &|protocol, body, out| {
            protocol.encode(body, Default::default(), out);
        });
    });
    let report = run(&format!(
        "--target text://{address} --source 127.0.0.2,127.0.0.3 --conns 6 --scenario echo --hold 0.1 --warmup 0"
    ));
    assert_eq!((report.connections.opened, report.setup.sources.len()), (6, 2));
    let mut peers = PEERS.lock().unwrap().clone();
    peers.sort_unstable();
    assert_eq!(
        peers.iter().map(|peer| peer.to_string()).collect::<Vec<_>>(),
        [["127.0.0.2"; 3], ["127.0.0.3"; 3]].concat()
    );
    // An address of another machine.
    let far = run(&format!("--target text://{address} --source 192.0.2.9 --conns 2"));
    assert_eq!(far.connections.failures.local, 2);
}

#[test]
fn an_open_loop_keeps_its_rate() {
    let address = echo("text");
    let report = run(&format!(
        "--target text://{address} --conns 7 --count 2 --scenario echo --rate 500 --hold 0.4 --warmup 0.1"
    ));
    assert_eq!((report.first().measured.sent, report.first().measured.unanswered), (200, 0));
    assert_eq!(report.first().latency_us.as_ref().unwrap().count, 200);
}

/// The server answers nothing until the fiftieth message is there, half a second after the first.
#[test]
fn a_stall_is_not_hidden() {
    static HELD: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let address = answering("text", &|protocol, body, out| {
        let mut held = HELD.lock().unwrap();
        protocol.encode(body, Default::default(), &mut held);
        if held.len() == 50 * 65 {
            out.append(&mut held);
        }
    });
    let report =
        run(&format!("--target text://{address} --conns 1 --scenario echo --rate 100 --hold 0.5 --warmup 0"));
    let latency = report.first().latency_us.as_ref().unwrap();
    assert_eq!((latency.count, report.first().measured.unanswered), (50, 0));
    assert!(latency.max >= 489_000.0 && latency.p50 >= 240_000.0, "{latency:?}");
}

#[test]
fn what_never_comes_back_is_counted() {
    let address = answering("text", &|_, _, _| {});
    let report =
        run(&format!("--target text://{address} --conns 3 --scenario echo --depth 2 --hold 0.1 --warmup 0"));
    assert_eq!((report.first().measured.sent, report.first().measured.unanswered), (6, 6));
    assert!(report.first().latency_us.is_none());
}

/// Far more than a socket takes at once, in both directions.
#[test]
fn large_messages_come_back_whole() {
    let address = listen(|stream| {
        server::serve(stream, &*server::protocol("frame"), &[], &|protocol, body, out| {
            protocol.encode(body, Default::default(), out);
        });
    });
    let report = run(&format!(
        "--target frame://{address} --conns 3 --scenario echo --depth 1 --size 8000000 --hold 0.2 --warmup 0 --drain 20"
    ));
    assert!(
        report.first().measured.sent >= 3 && report.first().measured.unanswered == 0,
        "{:?}",
        report.first().measured
    );
    assert_eq!((report.first().measured.strays, report.connections.losses.total()), (0, 0));
}

#[test]
fn idle_clients_answer_pings_and_count_what_comes() {
    let address = listen(|stream| {
        let protocol = server::protocol("ws");
        let mut hello = Vec::new();
        assert!(protocol.encode_ping(&mut hello));
        protocol.encode(b"welcome", Default::default(), &mut hello);
        server::serve(stream, &*protocol, &hello, &|_, _, _| {});
    });
    let report = run(&format!("--target ws://{address} --conns 5 --hold 0.2"));
    assert_eq!(
        (report.first().measured.pings, report.first().measured.strays, report.first().measured.sent),
        (5, 5, 0)
    );
    assert_eq!(report.connections.losses.total(), 0);
}

#[test]
fn clients_come_and_go() {
    for (scheme, conns) in [("ws", 10), ("tcp", 3)] {
        let address = echo(scheme);
        let report = run(&format!(
            "--target {scheme}://{address} --conns {conns} --count 2 --scenario churn --rate 200 --hold 0.5"
        ));
        let Churn { counters: churn, unsettled } = report.first().churn.as_ref().unwrap();
        assert_eq!((churn.begun, churn.made, *unsettled), (100, 100, 0));
        assert_eq!((churn.failures.total(), report.connections.losses.total()), (0, 0));
        // While all are on their way, nobody is there to leave.
        assert!((1..=100).contains(&churn.left), "{churn:?}");
        assert_eq!((report.connections.opened, report.connections.asked), (conns, conns));
        assert_eq!(report.first().latency_us.as_ref().unwrap().count, 100);
    }
}

#[test]
fn clients_come_back_with_tickets_if_asked_to() {
    let (address, _) = server::secure_echo("text");
    let target = format!("ssl+text://localhost:{}", address.port());
    for flag in ["", "--tls-resume"] {
        let report = run(&format!(
            "--target {target} --tls-insecure {flag} --conns 10 --scenario churn --rate 100 --hold 0.5 --drain 20"
        ));
        let churn = report.first().churn.as_ref().unwrap().counters;
        assert_eq!((churn.made, churn.failures.total()), (50, 0));
        assert_eq!(churn.resumed > 0, !flag.is_empty(), "{churn:?}");
        assert_eq!(report.to_string().contains("resumed "), !flag.is_empty(), "{report}");
    }
}

/// The server leaves the third connection and all later ones without an answer.
#[test]
fn who_does_not_come_is_counted() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let address = listen(move |mut stream| {
        if count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            server::serve(stream, &*server::protocol("ws"), &[], &|_, _, _| {});
        } else {
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    let report = run(&format!(
        "--target ws://{address} --conns 2 --count 1 --scenario churn --rate 20 --hold 0.5 --timeout 0.2"
    ));
    let Churn { counters: churn, unsettled } = report.first().churn.as_ref().unwrap();
    assert_eq!((churn.begun, churn.failures.timed_out, *unsettled), (10, 10, 0));
    assert!(report.first().latency_us.is_none() && report.connections.failures.total() == 0);
}

/// Of nine clients three echo after all were idle, then one sends by the clock, and each counts for itself.
#[test]
fn steps_follow_each_other_on_the_same_connections() {
    let address = echo("ws");
    let report = run(&format!(
        "--target ws://{address} --conns 9 --count 2 --hold 0.1 --drain 20 \
         --then echo,clients=3,hold=0.2,warmup=0.05,size=99 --then echo,clients=1,rate=100,hold=0.2,warmup=0"
    ));
    let [idle, closed, open] = report.steps.as_slice() else { panic!("three steps: {report}") };
    assert_eq!((report.connections.opened, report.connections.losses.total()), (9, 0));
    assert_eq!((idle.measured.sent, idle.measured.bytes_in), (0, 0));
    assert!(closed.measured.received > 3 && closed.measured.unanswered == 0, "{:?}", closed.measured);
    assert_eq!((open.measured.sent, open.measured.unanswered, open.measured.strays), (20, 0, 0));
    assert_eq!(open.latency_us.as_ref().unwrap().count, 20);
    assert!(idle.measured.from_seconds < closed.measured.from_seconds);
    // At either edge of the phase a receive of each client may count although its message does not.
    let receives_max = closed.measured.received + 2 * 3;
    assert!((1..=receives_max).contains(&closed.measured.receives), "{:?}", closed.measured);
}

/// The test's own process is the server.
#[test]
fn the_memory_of_a_server_here_is_reported() {
    let address = echo("tcp");
    let line = format!("--target tcp://{address} --conns 3 --scenario echo --hold 1000 --warmup 0");
    let seen = std::cell::Cell::new(None);
    let report = loadgen::run(
        plan(&line),
        || seen.get().is_some(),
        |notice| {
            assert!(!matches!(notice, Notice::ServerUnseen));
            if let Notice::Progress(progress) = notice {
                seen.set(progress.server_bytes);
            }
        },
    )
    .unwrap();
    let server = report.server.as_ref().unwrap();
    assert_eq!(server.pids, [std::process::id()]);
    assert!(server.first_bytes > 0 && server.first_bytes <= server.most_bytes);
    assert!(report.seconds.iter().any(|second| second.server_bytes == seen.get()));
    assert!(
        report.to_string().contains("server memory ") && report.to_html().unwrap().contains("server memory")
    );
    let other = run(&format!("--target tcp://{address} --conns 1 --hold 0 --server-pid {}", u32::MAX));
    assert!(other.server.is_none());
}

#[test]
fn a_run_can_be_ended_early() {
    let address = echo("text");
    let stopped = std::cell::Cell::new(false);
    let line = format!("--target text://{address} --conns 5 --scenario echo --hold 1000 --warmup 0");
    let report = loadgen::run(
        plan(&line),
        || stopped.get(),
        |notice| {
            stopped.set(stopped.get() || matches!(notice, Notice::Progress(progress) if progress.rate > 0.0));
        },
    )
    .unwrap();
    assert_eq!(report.first().measured.unanswered, 0);
    assert!(
        report.interrupted && report.first().measured.received > 0 && report.first().latency_us.is_some()
    );
}
