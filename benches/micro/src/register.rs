//! The register's lines.

use std::hint::black_box;

use protocol::register::{Broadcast, Request};

use crate::meter::{Bench, encode, repeat};

pub(crate) fn benches() -> Vec<Bench> {
    vec![
        repeat("register/decode gateway_connect", || {
            let mut line = Vec::new();
            request().encode(&mut line);
            move || drop(black_box(Request::decode(black_box(&line)).expect("encoded above")))
        }),
        encode("register/encode gateway_connect", || {
            let request = request();
            move |line| black_box(&request).encode(line)
        }),
        repeat("register/decode broadcast of 64 gateways", || {
            let mut line = Vec::new();
            broadcast().encode(&mut line);
            move || drop(black_box(Broadcast::decode(black_box(&line)).expect("encoded above")))
        }),
        encode("register/encode broadcast of 64 gateways", || {
            let broadcast = broadcast();
            move |line| black_box(&broadcast).encode(line)
        }),
    ]
}

fn request() -> Request {
    Request::GatewayConnect { address: "10.0.0.2:2900".into(), secret_key: "correct horse".into() }
}

fn broadcast() -> Broadcast {
    Broadcast {
        addresses: (0..64).map(|shard| format!("10.0.0.{}:{}", shard / 8, 2900 + shard % 8)).collect(),
    }
}
