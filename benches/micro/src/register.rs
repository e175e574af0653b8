//! The register's lines.

use std::hint::black_box;

use protocol::register::{Broadcast, Request};

use crate::meter::{Bench, MANY};

pub(crate) fn benches() -> Vec<Bench> {
    vec![request_decode(), request_encode(), broadcast_decode(), broadcast_encode()]
}

fn request_decode() -> Bench {
    Bench::new("register/decode gateway_connect", MANY, |meter| {
        let mut line = Vec::new();
        request().encode(&mut line);
        meter.each(
            || (),
            |()| {
                black_box(Request::decode(black_box(&line)).expect("encoded above"));
            },
        );
    })
}

fn request_encode() -> Bench {
    Bench::new("register/encode gateway_connect", MANY, |meter| {
        let (request, mut line) = (request(), Vec::new());
        meter.each(
            || (),
            |()| {
                line.clear();
                black_box(&request).encode(&mut line);
            },
        );
    })
}

fn broadcast_decode() -> Bench {
    Bench::new("register/decode broadcast of 64 gateways", MANY, |meter| {
        let mut line = Vec::new();
        broadcast().encode(&mut line);
        meter.each(
            || (),
            |()| {
                black_box(Broadcast::decode(black_box(&line)).expect("encoded above"));
            },
        );
    })
}

fn broadcast_encode() -> Bench {
    Bench::new("register/encode broadcast of 64 gateways", MANY, |meter| {
        let (broadcast, mut line) = (broadcast(), Vec::new());
        meter.each(
            || (),
            |()| {
                line.clear();
                black_box(&broadcast).encode(&mut line);
            },
        );
    })
}

fn request() -> Request {
    Request::GatewayConnect {
        address: "10.0.0.2:2900".into(),
        secret_key: "correct horse".into(),
        admin: None,
    }
}

fn broadcast() -> Broadcast {
    Broadcast {
        addresses: (0..64).map(|shard| format!("10.0.0.{}:{}", shard / 8, 2900 + shard % 8)).collect(),
    }
}
