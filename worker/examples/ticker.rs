//! Tells everybody the time, each second.
//!
//! Run a register and a gateway, then `cargo run -p ringway-worker --example ticker`, and connect with a websocket.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_worker::{Client, Events, Gateway, Message, run};

struct Ticker;

impl Events for Ticker {
    async fn on_start(&self, gateway: &Gateway) {
        // Every core has its own `Ticker`; clients want to hear one of them.
        if gateway.core_index() == 0 {
            let to_all = gateway.clone();
            gateway.every(Duration::from_secs(1), async move || to_all.send_to_all(time_of_day()));
        }
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, _message: Message) {
        gateway.send_to_client(client.id(), "I only tell the time.");
    }
}

#[expect(clippy::disallowed_methods, reason = "a program whose purpose is to tell the time reads the clock")]
fn time_of_day() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn main() -> ExitCode {
    run("ticker", |_core| Ticker)
}
