//! Messages between clients and their worker: one a turn, and batches of them.

use protocol::inner::{Cmd, Frame};

use super::fixture::{ClientProtocol, Fixture, encoded, to_client};
use crate::codecs::text;
use crate::meter::{Bench, FEW, MANY, Rounds};

/// Clients, who take turns.
const CLIENTS: u32 = 20;

/// Clients of a full turn.
const BATCH: u32 = 1_000;

/// Messages that a client sends in one piece.
const PIPELINED: u32 = 20;

pub(super) fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for protocol in [ClientProtocol::Websocket, ClientProtocol::Text] {
        for (size, in_words) in [(64, "64 B"), (1024, "1 KiB")] {
            benches.push(message_in(protocol, size, in_words));
            benches.push(message_out(protocol, size, in_words));
        }
        benches.push(batch_in(protocol));
        benches.push(batch_out(protocol));
    }
    benches.push(pipelined());
    benches
}

/// A client's bytes to a frame for the worker, on its way.
fn message_in(protocol: ClientProtocol, size: usize, in_words: &str) -> Bench {
    let name = format!("shard/message in, {}, {in_words}", protocol.name());
    let inputs = move |fixture: &Fixture| {
        let (message, mut turn) = (fixture.message(&text(size)), 0);
        move || {
            turn = (turn + 1) % CLIENTS as usize;
            (turn, message.clone())
        }
    };
    with_sessions(name, MANY, protocol, CLIENTS, inputs, |fixture, (turn, bytes)| {
        fixture.receive(fixture.clients[*turn], bytes);
    })
}

/// A frame of the worker to a client's bytes, on their way.
fn message_out(protocol: ClientProtocol, size: usize, in_words: &str) -> Bench {
    let name = format!("shard/message out, {}, {in_words}", protocol.name());
    let inputs = move |_: &Fixture| {
        let (body, mut turn) = (text(size), 0);
        move || {
            turn = turn % CLIENTS + 1;
            encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, turn) })
        }
    };
    with_sessions(name, MANY, protocol, CLIENTS, inputs, |fixture, bytes| {
        fixture.receive(fixture.worker, bytes);
    })
}

/// Every client sends something in the same turn.
fn batch_in(protocol: ClientProtocol) -> Bench {
    let name = format!("shard/1,000 messages in at once, {}, 64 B", protocol.name());
    let inputs = |fixture: &Fixture| {
        let message = fixture.message(&text(64));
        move || vec![message.clone(); BATCH as usize]
    };
    let bench = with_sessions(name, FEW, protocol, BATCH, inputs, |fixture, messages| {
        for (client, bytes) in fixture.clients.iter().zip(messages) {
            fixture.shard.on_received(fixture.now, *client, bytes);
        }
        fixture.send();
    });
    bench.per(BATCH.into())
}

/// The worker has something for every client in one piece.
fn batch_out(protocol: ClientProtocol) -> Bench {
    let name = format!("shard/1,000 messages out at once, {}, 64 B", protocol.name());
    let inputs = |_: &Fixture| {
        let body = text(64);
        let frame = |id| encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) });
        let frames: Vec<u8> = (1..=BATCH).flat_map(frame).collect();
        move || frames.clone()
    };
    with_sessions(name, FEW, protocol, BATCH, inputs, |fixture, bytes| {
        fixture.receive(fixture.worker, bytes);
    })
    .per(BATCH.into())
}

/// One client sends many messages in one piece.
fn pipelined() -> Bench {
    let name = "shard/20 messages in one piece, websocket, 64 B".to_owned();
    let inputs = |fixture: &Fixture| {
        let messages = fixture.message(&text(64)).repeat(PIPELINED as usize);
        move || messages.clone()
    };
    let bench = with_sessions(name, MANY, ClientProtocol::Websocket, 1, inputs, |fixture, bytes| {
        fixture.receive(fixture.clients[0], bytes);
    });
    bench.per(PIPELINED.into())
}

/// A benchmark with clients that have sessions: every event about them carries one. `inputs` makes what `operation` gets each
/// time.
fn with_sessions<I, F: FnMut() -> I>(
    name: String,
    rounds: Rounds,
    protocol: ClientProtocol,
    client_count: u32,
    inputs: impl Fn(&Fixture) -> F + 'static,
    operation: impl Fn(&mut Fixture, &mut I) + 'static,
) -> Bench {
    Bench::new(name, rounds, move |meter| {
        let mut fixture = Fixture::with_sessions(protocol, client_count);
        let input = inputs(&fixture);
        meter.each(input, |input| operation(&mut fixture, input));
    })
}
