//! Links that are to prove that they know the secret key, and to say nothing before (WIRE.md §14).

use protocol::InnerAuth;
use protocol::inner::{Acceptor, Cmd, Frame, NotProven, Scope};

use super::LinkId;
use super::frames::LinkState;
use crate::shard::Shard;
use crate::shard::notices::Notice;

impl Shard {
    /// Asks a link that has just come for a proof, where that is wanted.
    pub(crate) fn challenge(&mut self, id: LinkId) {
        if self.settings.inner_auth != InnerAuth::Challenge {
            return;
        }
        let Some(link) = self.links.get_mut(id) else { return };
        let acceptor = Acceptor::new(self.settings.nonces.draw());
        link.queue_frame(
            &mut self.output,
            &Frame { body: &acceptor.challenge().0, ..Frame::command(Cmd::Challenge) },
        );
        link.acceptor = Some(Box::new(acceptor));
    }

    /// A frame, neither 200 nor 202, of a link that has not shown yet that it knows the key.
    pub(super) fn on_strangers_frame(&mut self, id: LinkId, frame: &Frame<'_>) -> LinkState {
        let Some(link) = self.links.get_mut(id) else { return LinkState::Gone };
        let Some(acceptor) = &mut link.acceptor else { return self.refuse(id) };
        if Cmd::from_u8(frame.cmd) != Some(Cmd::Challenge) {
            return self.refuse_unproven(id, false);
        }
        let scope = Scope::Gateway(self.identity.address);
        match acceptor.take(&self.settings.secret_key, scope, frame.body) {
            Ok(proof) => {
                (link.authorized, link.acceptor) = (true, None);
                let proof = Frame { body: &proof, ..Frame::command(Cmd::Challenge) };
                link.queue_frame(&mut self.output, &proof);
                LinkState::Open
            }
            Err(NotProven::WrongKey) => self.refuse_key(id, true),
            Err(NotProven::OutOfOrder) => self.refuse_unproven(id, false),
        }
    }

    /// A link that says a key, or what it is, and no proof. `asked`: the peer wants to be told.
    pub(super) fn refuse_unproven(&mut self, id: LinkId, asked: bool) -> LinkState {
        self.counters.links_unproven += 1;
        if let Some(link) = self.links.get(id) {
            self.notices.push(Notice::Unproven { peer: link.peer });
        }
        self.refuse_as_key(id, asked)
    }
}
