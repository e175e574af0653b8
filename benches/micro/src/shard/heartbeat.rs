//! The heartbeat's sweep over very many clients, counted by client.

use std::time::Duration;

use gateway_core::Settings;
use gateway_core::config::TICK_PERIOD_MS;

use super::fixture::{ClientProtocol, Fixture};
use crate::meter::{Bench, FEW};

const CLIENTS: u32 = 10_000;

const PERIOD: Duration = Duration::from_secs(25);

pub(super) fn benches() -> Vec<Bench> {
    vec![all_quiet(), all_said_something()]
}

/// Everybody gets a websocket ping.
fn all_quiet() -> Bench {
    sweep("shard/heartbeat ping, of 10,000", |_| {})
}

/// Nobody does.
fn all_said_something() -> Bench {
    sweep("shard/heartbeat without ping, of 10,000", |fixture| {
        let message = fixture.message(b"x");
        for index in 0..fixture.clients.len() {
            fixture.receive(fixture.clients[index], &mut message.clone());
        }
    })
}

fn sweep(name: &str, before: fn(&mut Fixture)) -> Bench {
    let bench = Bench::new(name, FEW, move |meter| {
        let settings = Settings { ping_interval: PERIOD, websocket_ping: true, ..Settings::default() };
        let fixture = std::cell::RefCell::new(Fixture::with(settings, ClientProtocol::Websocket, CLIENTS));
        meter.each(
            || before(&mut fixture.borrow_mut()),
            |()| {
                let mut fixture = fixture.borrow_mut();
                fixture.now = fixture.now.plus(PERIOD.as_millis() as u64);
                // More clients than one tick sees to (`gateway_core::config::HEARTBEAT_SLICE`).
                for _ in 0..2 {
                    let now = fixture.now;
                    fixture.shard.on_tick(now);
                    fixture.send();
                    fixture.now = now.plus(TICK_PERIOD_MS);
                }
            },
        );
    });
    bench.per(CLIENTS.into())
}
