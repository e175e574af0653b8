//! Measures what the way to tokio and back costs: how long a handler waits for a future that does nothing.
//!
//! `cargo run --release -p ringway-worker --features tokio --example tokio_latency`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ringway_worker::{Client, Config, Events, Gateway, Message, Worker, time};

/// Calls of each measurement.
const CALLS: usize = 20_000;
/// Calls after a rest, of which each takes a millisecond.
const RESTED_CALLS: usize = 1_000;

struct Measure;

impl Events for Measure {
    async fn on_start(&self, gateway: &Gateway) {
        let began = now();
        gateway.tokio(async {}).await;
        println!("the first call, which starts tokio: {:?}", began.elapsed());
        report("one call after the other", round_trips(gateway, CALLS, None).await);
        let rest = Some(Duration::from_millis(1));
        report("the same, core and tokio asleep before", round_trips(gateway, RESTED_CALLS, rest).await);
        let began = now();
        let many: Vec<_> = (0..CALLS).map(|_| gateway.tokio(async {})).collect();
        for call in many {
            call.await;
        }
        println!("{CALLS} at once: {:?} each", began.elapsed() / CALLS as u32);
    }

    async fn on_message(&self, _gateway: &Gateway, _client: &Client, _message: Message) {}
}

/// How long each call took, with a rest before each if there is one.
async fn round_trips(gateway: &Gateway, count: usize, rest: Option<Duration>) -> Vec<Duration> {
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        if let Some(rest) = rest {
            time::sleep(rest).await;
        }
        let began = now();
        gateway.tokio(async {}).await;
        taken.push(began.elapsed());
    }
    taken
}

fn report(what: &str, mut taken: Vec<Duration>) {
    taken.sort_unstable();
    let at = |part: usize| taken[(taken.len() - 1) * part / 1000];
    println!("{what}: p50 {:?}, p99 {:?}, p99.9 {:?}, most {:?}", at(500), at(990), at(999), at(1000));
}

#[expect(clippy::disallowed_methods, reason = "a program that measures reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    // `on_start` ends before the core looks for a register, so there need not be one.
    let config = Config { count: 1, ..Config::default() };
    match Worker::start(config, |_core| Measure).and_then(|running| running.stop()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tokio_latency: {error}");
            ExitCode::FAILURE
        }
    }
}
