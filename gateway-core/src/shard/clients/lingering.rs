//! A client is forgotten, and its connection ends in good order: our close frame and the client's, TLS' close_notify, our
//! FIN and the client's. What the client still sends is received and thrown away, for a while.

use hashbrown::HashMap;
use protocol::client::{Decoded, Limits, websocket};
use uring::SocketId;

use super::ClientSlot;
use super::client::Client;
use super::codec::AnyCodec;
use super::tls::Sessions;
use crate::Millis;
use crate::config::RETRY_AFTER_S;
use crate::shard::deadlines::Deadlines;
use crate::shard::output::{Outbound, Output};
use crate::shard::{Action, Shard};

/// A connection without a client.
pub(crate) struct Lingering {
    codec: AnyCodec,
    /// What TLS has to say at the end; else empty.
    pub out: Outbound,
    pub stage: Stage,
    /// The peer has said that it sends no more.
    ended: bool,
}

/// What is awaited. Each stage has a time of its own, and they come in this order; a client's begin with the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The request of a websocket that was refused before it was a client, to be answered with this status.
    Request { status: u16 },
    /// The answer to our close frame.
    Answer,
    /// That close_notify is sent.
    Flush,
    /// The peer's FIN, behind ours.
    Fin,
}

impl Lingering {
    /// Of a link: nothing that still comes on it is looked at.
    pub(crate) fn of_link(ended: bool) -> Lingering {
        Lingering { codec: AnyCodec::Securing, out: Outbound::default(), stage: Stage::Fin, ended }
    }
}

/// Connections that end, and what that takes.
pub(crate) struct Endings<'a> {
    rows: &'a mut HashMap<SocketId, Lingering>,
    sessions: &'a mut Sessions,
    deadlines: &'a mut Deadlines,
    output: &'a mut Output,
    limits: Limits,
    now: Millis,
}

impl Shard {
    pub(crate) fn endings(&mut self) -> Endings<'_> {
        Endings {
            rows: &mut self.lingering,
            sessions: &mut self.clients.sessions,
            deadlines: &mut self.deadlines,
            output: &mut self.output,
            limits: self.settings.limits(),
            now: self.now,
        }
    }

    /// Everything for a client is sent: it is forgotten, and its connection ends.
    pub(crate) fn linger(&mut self, slot: ClientSlot) {
        let Client { socket, codec, out, ended, .. } = self.forget_client(slot);
        let awaited = codec.awaits_close() && !ended;
        self.lingering.insert(socket, Lingering { codec, out, stage: Stage::Answer, ended });
        if awaited {
            self.deadlines.answer.push(self.now, socket);
        } else {
            self.endings().end(socket);
        }
    }
}

impl Endings<'_> {
    /// A connection that never was a client's: what it asks is answered with a status of HTTP, if it asks soon.
    pub(crate) fn await_request(&mut self, socket: SocketId, status: u16) {
        let stage = Stage::Request { status };
        self.rows.insert(socket, Lingering { stage, ..Lingering::of_link(false) });
        self.deadlines.answer.push(self.now, socket);
    }

    /// Bytes of a client that is forgotten, or never was one.
    pub(crate) fn received(&mut self, socket: SocketId, bytes: &mut [u8]) {
        let Some(row) = self.rows.get_mut(&socket) else { return };
        if let Stage::Request { status } = row.stage {
            self.output.append_with(socket, &mut row.out, |out| {
                websocket::encode_retry_later(status, RETRY_AFTER_S, out);
            });
            row.stage = Stage::Flush;
            return self.deadlines.flush.push(self.now, socket);
        }
        if row.stage != Stage::Answer {
            return;
        }
        if let Decoded::Close { .. } = row.codec.decode(&self.limits, bytes, &mut Vec::new()) {
            self.end(socket);
        }
    }

    /// The peer has said that it sends no more.
    pub(crate) fn peer_ended(&mut self, socket: SocketId) {
        let Some(row) = self.rows.get_mut(&socket) else { return };
        row.ended = true;
        match row.stage {
            Stage::Answer => self.end(socket),
            Stage::Flush => {}
            Stage::Request { .. } | Stage::Fin => self.close(socket),
        }
    }

    /// Something of what TLS says is sent.
    pub(crate) fn sent(&mut self, socket: SocketId) {
        let row = self.rows.get(&socket);
        if row.is_some_and(|row| row.stage == Stage::Flush && row.out.queue.is_empty()) {
            self.shut_down(socket);
        }
    }

    /// Nothing more is awaited but the end: ours goes out, first that of TLS.
    pub(crate) fn end(&mut self, socket: SocketId) {
        let Some(row) = self.rows.get_mut(&socket) else { return };
        self.sessions.end(socket, &mut row.out, self.output);
        if row.out.queue.is_empty() {
            return self.shut_down(socket);
        }
        row.stage = Stage::Flush;
        self.deadlines.flush.push(self.now, socket);
    }

    /// A stage has taken too long, if it is still that one.
    pub(crate) fn expire(&mut self, socket: SocketId, stage: Stage) {
        match self.rows.get(&socket) {
            Some(Lingering { stage: Stage::Request { .. }, .. }) => self.close(socket),
            Some(row) if row.stage != stage => {}
            Some(_) if stage == Stage::Answer => self.end(socket),
            _ => self.close(socket),
        }
    }

    pub(crate) fn close(&mut self, socket: SocketId) {
        let Some(mut row) = self.rows.remove(&socket) else { return };
        row.out.queue.clear(&mut self.output.spare);
        self.sessions.forget(socket);
        self.output.actions.push(Action::Close(socket));
    }

    fn shut_down(&mut self, socket: SocketId) {
        let Some(row) = self.rows.get_mut(&socket) else { return };
        if row.ended {
            return self.close(socket);
        }
        row.stage = Stage::Fin;
        self.output.actions.push(Action::Shutdown(socket));
        self.deadlines.linger.push(self.now, socket);
    }
}
