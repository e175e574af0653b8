//! A client is forgotten, and its connection ends in good order: our close frame and the client's, TLS' close_notify, our
//! FIN and the client's. What the client still sends is received and thrown away, for a while.

use protocol::client::Decoded;
use ring::SocketId;

use crate::shard::clients::client::Client;
use crate::shard::clients::codec::AnyCodec;
use crate::shard::clients::directory::Slot;
use crate::shard::output::Outbound;
use crate::shard::{Action, Conn, Shard};

/// A connection without a client.
pub(crate) struct Lingering {
    pub socket: SocketId,
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
    pub fn of_link(socket: SocketId, ended: bool) -> Lingering {
        let (codec, out) = (AnyCodec::Securing, Outbound::default());
        Lingering { socket, codec, out, stage: Stage::Fin, ended }
    }
}

impl Shard {
    /// Everything for a client is sent: it is forgotten, and its connection ends.
    pub(crate) fn linger(&mut self, slot: Slot) {
        let Client { socket, codec, out, ended, .. } = self.forget_client(slot);
        let awaited = codec.awaits_close() && !ended;
        let lingering = Lingering { socket, codec, out, stage: Stage::Answer, ended };
        self.conns.insert(slot as usize, Conn::Lingering(lingering));
        self.lingering_count += 1;
        if awaited {
            self.waits.answer.push(self.now, socket);
        } else {
            self.say_end(slot);
        }
    }

    /// Bytes of a client that is forgotten.
    pub(crate) fn lingering_received(&mut self, slot: Slot, bytes: &mut [u8]) {
        let limits = self.settings.limits();
        let Some(Conn::Lingering(lingering)) = self.conns.get_mut(slot as usize) else { return };
        let awaited = lingering.stage == Stage::Answer;
        if awaited && let Decoded::Close { .. } = lingering.codec.decode(&limits, bytes, &mut Vec::new()) {
            self.say_end(slot);
        }
    }

    /// The peer has said that it sends no more.
    pub(crate) fn lingering_ended(&mut self, slot: Slot) {
        let Some(Conn::Lingering(lingering)) = self.conns.get_mut(slot as usize) else { return };
        lingering.ended = true;
        match lingering.stage {
            Stage::Answer => self.say_end(slot),
            Stage::Flush => {}
            Stage::Fin => self.close_lingering(slot),
        }
    }

    /// Something of what TLS says is sent.
    pub(crate) fn lingering_sent(&mut self, slot: Slot) {
        if let Some(Conn::Lingering(Lingering { stage: Stage::Flush, out, .. })) =
            self.conns.get(slot as usize)
            && out.queue.is_empty()
        {
            self.say_fin(slot);
        }
    }

    /// Nothing more is awaited but the end: ours goes out, first that of TLS.
    pub(crate) fn say_end(&mut self, slot: Slot) {
        self.end_session(slot);
        let Some(Conn::Lingering(lingering)) = self.conns.get_mut(slot as usize) else { return };
        if lingering.out.queue.is_empty() {
            return self.say_fin(slot);
        }
        lingering.stage = Stage::Flush;
        self.waits.flush.push(self.now, lingering.socket);
    }

    pub(crate) fn close_lingering(&mut self, slot: Slot) {
        let Some(Conn::Lingering(mut lingering)) = self.conns.remove(slot as usize) else {
            unreachable!("the caller has looked");
        };
        lingering.out.queue.clear(&mut self.output.spare);
        self.secure.forget(slot);
        self.lingering_count -= 1;
        self.output.actions.push(Action::Close(lingering.socket));
    }

    fn say_fin(&mut self, slot: Slot) {
        let Some(Conn::Lingering(lingering)) = self.conns.get_mut(slot as usize) else { return };
        if lingering.ended {
            return self.close_lingering(slot);
        }
        lingering.stage = Stage::Fin;
        self.output.actions.push(Action::Shutdown(lingering.socket));
        self.waits.linger.push(self.now, lingering.socket);
    }
}
