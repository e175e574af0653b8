//! Messages between clients and their worker: one a turn, and batches of them.

use protocol::inner::{Cmd, EventRange, Frame, Window};

use super::fixture::{ClientProtocol, Fixture, encoded, to_client};
use crate::codecs::text;
use crate::meter::{Bench, FEW, MANY};
use crate::php::session;

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
    benches.push(echo("shard/echo, websocket, 64 B", ClientProtocol::Websocket, text(64), None));
    let window = Some(Window { events: BATCH, bytes: u32::MAX });
    let name = "shard/echo with a window, websocket, 64 B";
    benches.push(echo(name, ClientProtocol::Websocket, text(64), window));
    for (name, protocol) in [
        ("shard/echo, websocket, JSON of 1 KiB", ClientProtocol::Websocket),
        ("shard/echo compressed, websocket, JSON of 1 KiB", ClientProtocol::Deflated),
    ] {
        benches.push(echo(name, protocol, json(1024), None));
    }
    benches
}

/// A client's bytes to a frame for the worker, on its way.
fn message_in(protocol: ClientProtocol, size: usize, in_words: &str) -> Bench {
    Bench::new(format!("shard/message in, {}, {in_words}", protocol.name()), MANY, move |meter| {
        let mut fixture = with_sessions(protocol, CLIENTS);
        let message = fixture.message(&text(size));
        let mut turn = 0;
        meter.each(
            || message.clone(),
            |bytes| {
                turn = (turn + 1) % CLIENTS as usize;
                fixture.receive(fixture.clients[turn], bytes);
            },
        );
    })
}

/// A frame of the worker to a client's bytes, on their way.
fn message_out(protocol: ClientProtocol, size: usize, in_words: &str) -> Bench {
    Bench::new(format!("shard/message out, {}, {in_words}", protocol.name()), MANY, move |meter| {
        let mut fixture = with_sessions(protocol, CLIENTS);
        let body = text(size);
        let mut turn = 0;
        meter.each(
            || {
                turn = turn % CLIENTS + 1;
                encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, turn) })
            },
            |bytes| {
                fixture.receive(fixture.worker, bytes);
            },
        );
    })
}

/// A client's message, and the worker's answer; with a window also that it is done.
fn echo(name: &str, protocol: ClientProtocol, body: Vec<u8>, window: Option<Window>) -> Bench {
    Bench::new(name, MANY, move |meter| {
        let mut fixture = with_sessions(protocol, CLIENTS);
        fixture.introduce_worker(window);
        let message = fixture.message(&body);
        let mut number = 0;
        meter.each(
            || {
                let mut answer =
                    encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, number % CLIENTS + 1) });
                let mut done = Vec::new();
                EventRange { first: number, count: 1 }.encode(&mut done);
                if window.is_some() {
                    answer.extend(encoded(&Frame { body: &done, ..Frame::command(Cmd::EventsSafe) }));
                }
                let client = number % CLIENTS;
                number += 1;
                (client as usize, message.clone(), answer)
            },
            |(client, message, answer)| {
                fixture.receive(fixture.clients[*client], message);
                fixture.receive(fixture.worker, answer);
            },
        );
    })
}

/// Every client says something in the same turn.
fn batch_in(protocol: ClientProtocol) -> Bench {
    let bench = Bench::new(
        format!("shard/1,000 messages in at once, {}, 64 B", protocol.name()),
        FEW,
        move |meter| {
            let mut fixture = with_sessions(protocol, BATCH);
            let message = fixture.message(&text(64));
            meter.each(
                || vec![message.clone(); BATCH as usize],
                |messages| {
                    for (client, bytes) in fixture.clients.iter().zip(messages) {
                        fixture.shard.on_received(fixture.now, *client, bytes);
                    }
                    fixture.send();
                },
            );
        },
    );
    bench.per(BATCH.into())
}

/// The worker has something for every client in one piece.
fn batch_out(protocol: ClientProtocol) -> Bench {
    let bench = Bench::new(
        format!("shard/1,000 messages out at once, {}, 64 B", protocol.name()),
        FEW,
        move |meter| {
            let mut fixture = with_sessions(protocol, BATCH);
            let body = text(64);
            let frame = |id| encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) });
            let frames: Vec<u8> = (1..=BATCH).flat_map(frame).collect();
            meter.each(
                || frames.clone(),
                |bytes| {
                    fixture.receive(fixture.worker, bytes);
                },
            );
        },
    );
    bench.per(BATCH.into())
}

/// One client sends many messages in one piece.
fn pipelined() -> Bench {
    let bench = Bench::new("shard/20 messages in one piece, websocket, 64 B", MANY, |meter| {
        let mut fixture = with_sessions(ClientProtocol::Websocket, 1);
        let message = fixture.message(&text(64)).repeat(PIPELINED as usize);
        meter.each(
            || message.clone(),
            |bytes| {
                fixture.receive(fixture.clients[0], bytes);
            },
        );
    });
    bench.per(PIPELINED.into())
}

/// Rows of a table as applications send it, cut at `size` bytes.
fn json(size: usize) -> Vec<u8> {
    let row = |index: usize| {
        let (id, price) = (index * 7919 % 100_003, index * 104_729 % 9973);
        format!("{{\"id\":{id},\"name\":\"item {index}\",\"price\":{price},\"in_stock\":true}},")
    };
    let mut rows: Vec<u8> = (0..size / 32).flat_map(|index| row(index).into_bytes()).collect();
    rows.truncate(size);
    rows
}

/// Clients that have sessions: every event about them carries one.
fn with_sessions(protocol: ClientProtocol, client_count: u32) -> Fixture {
    let mut fixture = Fixture::new(protocol, client_count);
    let session = session();
    for id in 1..=client_count {
        fixture.command(&Frame { ext: &session, ..to_client(Cmd::SetSession, id) });
    }
    fixture
}
