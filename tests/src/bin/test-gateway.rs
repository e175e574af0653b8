//! A gateway for tests, with hooks that panic where a word says: `start`, or `connect` (about every second client).
#![forbid(unsafe_code)]

use std::cell::Cell;

use gateway_core::protocol::client::Kind;
use gateway_core::{Admission, ClientInfo, Gateway, Hooks, HooksFactory, Identity, Listen, Settings};

/// A gateway that panics.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// where clients connect
    #[argh(option)]
    listen: Listen,
    /// the register
    #[argh(option)]
    register_address: String,
    /// where the hooks panic: start or connect
    #[argh(option)]
    panic: String,
}

struct Fragile {
    panic: String,
    clients: Cell<u64>,
}

impl Hooks for Fragile {
    fn on_worker_start(&mut self, _shard: Identity) {
        assert!(self.panic != "start", "a hook of the test");
    }

    fn on_connect(&mut self, _client: &ClientInfo) -> Admission {
        self.clients.set(self.clients.get() + 1);
        assert!(self.panic != "connect" || self.clients.get() % 2 == 1, "a hook of the test");
        Admission::Accept { kind: Kind::Unspecified }
    }
}

fn main() {
    let Flags { listen, register_address, panic } = program::parse("test-gateway");
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let settings = Settings {
        listen: vec![listen],
        start_port: 0,
        register_address: vec![register_address],
        hooks: HooksFactory::new(move || Fragile { panic: panic.clone(), clients: Cell::new(0) }),
        ..Settings::default()
    };
    let gateway = Gateway::start(settings).unwrap_or_else(|error| program::fail(error));
    program::ready(gateway.listen()[0]);
    shutdown.wait();
    gateway.stop();
    program::finish();
}
