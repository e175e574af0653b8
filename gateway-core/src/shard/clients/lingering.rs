//! A client is forgotten, and its connection ends in good order: our close frame and the client's, TLS' close_notify, our
//! FIN and the client's. What the client still sends is received and thrown away, for a while.

use protocol::client::Decoded;
use ring::SocketId;

use super::ClientSlot;
use super::client::Client;
use super::codec::AnyCodec;
use crate::shard::output::Outbound;
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

/// What is awaited. Each stage has a time of its own, and they come in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The answer to our close frame.
    Answer,
    /// That close_notify is sent.
    Flush,
    /// The peer's FIN, behind ours.
    Fin,
}

impl Lingering {
    /// Of a link: nothing that still comes on it is looked at.
    pub fn of_link(ended: bool) -> Lingering {
        Lingering { codec: AnyCodec::Securing, out: Outbound::default(), stage: Stage::Fin, ended }
    }
}

impl Shard {
    /// Everything for a client is sent: it is forgotten, and its connection ends.
    pub(crate) fn linger(&mut self, slot: ClientSlot) {
        let Client { socket, codec, out, ended, .. } = self.forget_client(slot);
        let awaited = codec.awaits_close() && !ended;
        self.lingering.insert(socket, Lingering { codec, out, stage: Stage::Answer, ended });
        if awaited {
            self.deadlines.answer.push(self.now, socket);
        } else {
            self.end_lingering(socket);
        }
    }

    /// Bytes of a client that is forgotten.
    pub(crate) fn lingering_received(&mut self, socket: SocketId, bytes: &mut [u8]) {
        let limits = self.settings.limits();
        let Some(lingering) = self.lingering.get_mut(&socket) else { return };
        let awaited = lingering.stage == Stage::Answer;
        if awaited && let Decoded::Close { .. } = lingering.codec.decode(&limits, bytes, &mut Vec::new()) {
            self.end_lingering(socket);
        }
    }

    /// The peer has said that it sends no more.
    pub(crate) fn lingering_ended(&mut self, socket: SocketId) {
        let Some(lingering) = self.lingering.get_mut(&socket) else { return };
        lingering.ended = true;
        match lingering.stage {
            Stage::Answer => self.end_lingering(socket),
            Stage::Flush => {}
            Stage::Fin => self.close_lingering(socket),
        }
    }

    /// Something of what TLS says is sent.
    pub(crate) fn lingering_sent(&mut self, socket: SocketId) {
        if let Some(Lingering { stage: Stage::Flush, out, .. }) = self.lingering.get(&socket)
            && out.queue.is_empty()
        {
            self.shut_down_lingering(socket);
        }
    }

    /// Nothing more is awaited but the end: ours goes out, first that of TLS.
    pub(crate) fn end_lingering(&mut self, socket: SocketId) {
        let Some(lingering) = self.lingering.get_mut(&socket) else { return };
        self.clients.sessions.end(socket, &mut lingering.out, &mut self.output);
        if lingering.out.queue.is_empty() {
            return self.shut_down_lingering(socket);
        }
        lingering.stage = Stage::Flush;
        self.deadlines.flush.push(self.now, socket);
    }

    /// A stage has taken too long.
    pub(crate) fn expire_lingering(&mut self, socket: SocketId, stage: Stage) {
        match self.lingering.get(&socket) {
            Some(lingering) if lingering.stage != stage => {}
            Some(_) if stage == Stage::Answer => self.end_lingering(socket),
            _ => self.close_lingering(socket),
        }
    }

    pub(crate) fn close_lingering(&mut self, socket: SocketId) {
        let Some(mut lingering) = self.lingering.remove(&socket) else { return };
        lingering.out.queue.clear(&mut self.output.spare);
        self.clients.sessions.forget(socket);
        self.output.actions.push(Action::Close(socket));
    }

    fn shut_down_lingering(&mut self, socket: SocketId) {
        let Some(lingering) = self.lingering.get_mut(&socket) else { return };
        if lingering.ended {
            return self.close_lingering(socket);
        }
        lingering.stage = Stage::Fin;
        self.output.actions.push(Action::Shutdown(socket));
        self.deadlines.linger.push(self.now, socket);
    }
}
