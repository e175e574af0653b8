//! Handshakes that are the worker's to answer: what the gateway has to say is kept until then, and the client is not read.

use std::mem;

use protocol::client::websocket::{Request, encode_answer};
use protocol::inner::{Frame, HandshakeAnswer};

use super::ClientSlot;
use super::codec::AnyCodec;
use crate::ResponseHeader;
use crate::answer::{SUBPROTOCOL_HEADER, is_header};
use crate::shard::Shard;

/// What the answer to a handshake is, but for what its worker may add.
pub(crate) struct Unanswered {
    /// The response, without the line that ends it.
    head: Vec<u8>,
    /// What is spoken unless the worker chooses something else.
    subprotocol: Option<String>,
}

impl Unanswered {
    /// The acceptance of a request, with these headers; `subprotocol` is a line like them.
    pub(super) fn new(request: &Request<'_>, headers: &[&str], subprotocol: Option<String>) -> Unanswered {
        let mut head = Vec::new();
        request.accept(headers, &mut head);
        head.truncate(head.len() - LINE_END.len());
        Unanswered { head, subprotocol }
    }

    /// All of it, with what the worker says, and how many of its headers are none.
    fn accept(self, answer: &HandshakeAnswer) -> (Vec<u8>, u64) {
        let Unanswered { mut head, subprotocol } = self;
        let mut say = |line: &str| head.extend(line.bytes().chain(LINE_END.bytes()));
        let (mut has_chosen, mut refused) = (false, 0);
        for line in answer.headers() {
            let is_subprotocol = is_header(line, SUBPROTOCOL_HEADER);
            let is_good = if is_subprotocol { !has_chosen } else { line.parse::<ResponseHeader>().is_ok() };
            has_chosen |= is_subprotocol;
            if is_good {
                say(line);
            } else {
                refused += 1;
            }
        }
        // The worker, or a hook, may have made its own choice.
        if let Some(line) = subprotocol.filter(|_| !has_chosen) {
            say(&line);
        }
        say("");
        (head, refused)
    }
}

impl Shard {
    /// A worker says whether a client is let in, whose handshake has been left to it. The first answer counts.
    pub(in crate::shard) fn answer_handshake(&mut self, slot: ClientSlot, frame: &Frame<'_>) {
        let socket = self.clients[slot].socket;
        let Some(unanswered) = self.clients.unanswered.remove(&socket) else { return };
        self.catch_up(slot);
        let Some(client) = self.clients.live_mut(socket).filter(|client| !client.closing) else { return };
        let AnyCodec::Unanswered(codec) = &mut client.codec else { return };
        let answer = HandshakeAnswer::decode(frame);
        if !answer.is_accepted() {
            self.counters.handshakes_refused += 1;
            let (status, text) = (answer.status(), answer.text());
            self.output.append_with(socket, &mut client.out, |out| encode_answer(status, text, out));
            return self.close_client_when_sent(slot);
        }
        client.codec = AnyCodec::Websocket(mem::take(&mut **codec));
        let (mut head, refused) = unanswered.accept(&answer);
        self.counters.commands_refused += refused;
        head.extend(client.held.take().into_iter().flat_map(|held| *held));
        self.output.append(socket, &mut client.out, &head);
        self.resume_client(socket);
    }
}

const LINE_END: &str = "\r\n";
