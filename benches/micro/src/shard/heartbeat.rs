//! The heartbeat's sweep over very many clients, counted by client.

use std::time::Duration;

use gateway_core::Settings;
use gateway_core::config::TICK_PERIOD_MS;

use super::setting::{Setting, Speak};
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
    sweep("shard/heartbeat without ping, of 10,000", |setting| {
        let message = setting.message(b"x");
        for index in 0..setting.clients.len() {
            setting.hear(setting.clients[index], &mut message.clone());
        }
    })
}

fn sweep(name: &str, before: fn(&mut Setting)) -> Bench {
    let bench = Bench::new(name, FEW, move |meter| {
        let settings = Settings { ping_interval: PERIOD, websocket_ping: true, ..Settings::default() };
        let setting = std::cell::RefCell::new(Setting::with(settings, Speak::Websocket, CLIENTS));
        meter.each(
            || before(&mut setting.borrow_mut()),
            |()| {
                let mut setting = setting.borrow_mut();
                setting.now = setting.now.plus(PERIOD.as_millis() as u64);
                // More clients than one tick sees to (`gateway_core::config::HEARTBEAT_SLICE`).
                for _ in 0..2 {
                    let now = setting.now;
                    setting.shard.on_tick(now);
                    setting.send();
                    setting.now = now.plus(TICK_PERIOD_MS);
                }
            },
        );
    });
    bench.per(CLIENTS.into())
}
