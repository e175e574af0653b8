//! A worker for the benchmark `sleep`: `sleep MS` sleeps for so long and answers how many microseconds late that ended;
//! everything else takes [`WORK`] of CPU and is answered as it came.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use cluster::wait::Stopwatch;
use ringway_worker::{Client, Events, Gateway, Message, run, time};

struct Sleeper;

impl Events for Sleeper {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let ms = message.text().strip_prefix("sleep ").and_then(|ms| ms.parse().ok());
        let Some(ms) = ms else {
            work();
            return gateway.send_to_client(client.id(), message);
        };
        let (asked, clock) = (Duration::from_millis(ms), Stopwatch::start());
        time::sleep(asked).await;
        let late = clock.elapsed().saturating_sub(asked);
        gateway.send_to_client(client.id(), late.as_micros().to_string());
    }
}

fn work() {
    let clock = Stopwatch::start();
    while clock.elapsed() < WORK {
        std::hint::spin_loop();
    }
}

/// As a handler takes that does more than answer: with less the gateway's CPU is full long before the worker's core.
const WORK: Duration = Duration::from_micros(50);

fn main() -> ExitCode {
    run("sleep-worker", |_core| Sleeper)
}
