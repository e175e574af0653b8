//! Messages between clients and their worker: one a turn, and batches of them.

use protocol::inner::{Cmd, Frame};

use super::setting::{Setting, Speak, encoded, to_client};
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
    for speak in [Speak::Websocket, Speak::Text] {
        for (size, in_words) in [(64, "64 B"), (1024, "1 KiB")] {
            benches.push(message_in(speak, size, in_words));
            benches.push(message_out(speak, size, in_words));
        }
        benches.push(batch_in(speak));
        benches.push(batch_out(speak));
    }
    benches.push(pipelined());
    benches
}

/// A client's bytes to a frame for the worker, on its way.
fn message_in(speak: Speak, size: usize, in_words: &str) -> Bench {
    Bench::new(format!("shard/message in, {}, {in_words}", speak.name()), MANY, move |meter| {
        let mut setting = with_sessions(speak, CLIENTS);
        let message = setting.message(&text(size));
        let mut turn = 0;
        meter.each(
            || message.clone(),
            |bytes| {
                turn = (turn + 1) % CLIENTS as usize;
                setting.hear(setting.clients[turn], bytes);
            },
        );
    })
}

/// A frame of the worker to a client's bytes, on their way.
fn message_out(speak: Speak, size: usize, in_words: &str) -> Bench {
    Bench::new(format!("shard/message out, {}, {in_words}", speak.name()), MANY, move |meter| {
        let mut setting = with_sessions(speak, CLIENTS);
        let body = text(size);
        let mut turn = 0;
        meter.each(
            || {
                turn = turn % CLIENTS + 1;
                encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, turn) })
            },
            |bytes| {
                setting.hear(setting.worker, bytes);
            },
        );
    })
}

/// Every client says something in the same turn.
fn batch_in(speak: Speak) -> Bench {
    let bench =
        Bench::new(format!("shard/1,000 messages in at once, {}, 64 B", speak.name()), FEW, move |meter| {
            let mut setting = with_sessions(speak, BATCH);
            let message = setting.message(&text(64));
            meter.each(
                || vec![message.clone(); BATCH as usize],
                |messages| {
                    for (client, bytes) in setting.clients.iter().zip(messages) {
                        setting.shard.on_received(setting.now, *client, bytes);
                    }
                    setting.send();
                },
            );
        });
    bench.per(BATCH.into())
}

/// The worker has something for every client in one piece.
fn batch_out(speak: Speak) -> Bench {
    let bench =
        Bench::new(format!("shard/1,000 messages out at once, {}, 64 B", speak.name()), FEW, move |meter| {
            let mut setting = with_sessions(speak, BATCH);
            let body = text(64);
            let frame = |id| encoded(&Frame { body: &body, ..to_client(Cmd::SendToOne, id) });
            let frames: Vec<u8> = (1..=BATCH).flat_map(frame).collect();
            meter.each(
                || frames.clone(),
                |bytes| {
                    setting.hear(setting.worker, bytes);
                },
            );
        });
    bench.per(BATCH.into())
}

/// One client sends many messages in one piece.
fn pipelined() -> Bench {
    let bench = Bench::new("shard/20 messages in one piece, websocket, 64 B", MANY, |meter| {
        let mut setting = with_sessions(Speak::Websocket, 1);
        let message = setting.message(&text(64)).repeat(PIPELINED as usize);
        meter.each(
            || message.clone(),
            |bytes| {
                setting.hear(setting.clients[0], bytes);
            },
        );
    });
    bench.per(PIPELINED.into())
}

/// Clients that have sessions: every event about them carries one.
fn with_sessions(speak: Speak, client_count: u32) -> Setting {
    let mut setting = Setting::new(speak, client_count);
    let session = session();
    for id in 1..=client_count {
        setting.command(&Frame { ext: &session, ..to_client(Cmd::SetSession, id) });
    }
    setting
}
