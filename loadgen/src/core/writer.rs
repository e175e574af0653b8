//! Encodes what clients send: messages, handshakes and answers, within TLS where there is any.

use tls::Session;
use uring::SocketId;

use super::outbox::Outbox;
use crate::client::{Client, encode_pong, encode_within};
use crate::clock::Nanos;
use crate::config::UNSENT_BYTES_MAX;
use crate::measure::Measure;
use crate::stamp;

/// Encodes what is sent. Apart from the clients, so that one of them can be borrowed meanwhile.
pub(super) struct Writer {
    pub(super) outbox: Outbox,
    pub(super) measure: Measure,
    /// Makes masks. They have to differ, not to be hard to guess.
    random: fastrand::Rng,
    /// Which nonces this run has.
    seed: u64,
    /// Bytes of a message.
    pub(super) size: usize,
    /// The message being written.
    body: Vec<u8>,
    /// What is being encrypted; kept for its memory.
    plain: Vec<u8>,
}

impl Writer {
    /// One of a core's first step, whose masks and nonces follow from `seed`.
    pub(super) fn new(seed: u64, size: usize) -> Writer {
        Writer {
            outbox: Outbox::default(),
            measure: Measure::new(),
            random: fastrand::Rng::with_seed(seed),
            seed,
            size,
            body: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// A websocket mask.
    fn mask(&mut self) -> [u8; 4] {
        self.random.u32(..).to_ne_bytes()
    }

    /// The nonce of a socket's handshake, the same whenever it is asked for, so that nobody has to keep it.
    pub(super) fn nonce(&self, socket: SocketId) -> [u8; 16] {
        let name = (socket.index() as u64) << 32 | u64::from(socket.generation());
        fastrand::Rng::with_seed(self.seed ^ name).u128(..).to_ne_bytes()
    }

    /// Sends a message that was meant to be sent at `intended`.
    pub(super) fn send(&mut self, client: &mut Client, intended: Nanos) {
        if client.unsent() > UNSENT_BYTES_MAX {
            self.measure.counters.unsent += 1;
            return;
        }
        self.measure.on_sent(intended);
        self.body.clear();
        stamp::write(intended, self.size, &mut self.body);
        let mask = self.mask();
        let (wire, body, plain) = (&client.wire, &self.body, &mut self.plain);
        let encode = |out: &mut Vec<u8>| wire.encode(body, mask, out);
        if client.unsent() > 0 {
            let output = &mut client.backlog.get_or_insert_default().output;
            encode_within(&mut client.session, plain, output, encode);
        } else {
            self.outbox.stage(client.socket, |out| encode_within(&mut client.session, plain, out, encode));
        }
    }

    /// Stages what `encode` appends, for a socket that has room.
    pub(super) fn stage(
        &mut self,
        socket: SocketId,
        session: &mut Option<Box<Session>>,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let plain = &mut self.plain;
        self.outbox.stage(socket, |out| encode_within(session, plain, out, encode));
    }

    /// Answers a ping, for a socket that has room.
    pub(super) fn pong(&mut self, socket: SocketId, session: &mut Option<Box<Session>>, payload: &[u8]) {
        self.measure.counters.pings += 1;
        let mask = self.mask();
        self.stage(socket, session, |out| encode_pong(payload, mask, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_differ_and_nonces_stay() {
        let mut writer = Writer::new(1, 64);
        assert_ne!(writer.mask(), writer.mask());
        let (first, second) = (SocketId::new(1, 0), SocketId::new(1, 1));
        assert_eq!(writer.nonce(first), writer.nonce(first));
        assert_ne!(writer.nonce(first), writer.nonce(second));
        assert_ne!(writer.nonce(first), Writer::new(2, 64).nonce(first));
    }
}
