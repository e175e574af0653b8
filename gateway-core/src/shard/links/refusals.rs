//! Links that are not taken: a wrong secret key, a name that another worker has (WIRE.md §14).

use protocol::inner::{Cmd, Frame, Hello, Refused, Run};

use super::frames::LinkState;
use super::{LinkId, Links};
use crate::shard::Shard;
use crate::shard::clients::lingering::Lingering;
use crate::shard::notices::{Gone, Notice};

impl Links {
    /// Why `key` is not to be had by `run`: another run has a link of that name, be it of another core. PHP's workers, and
    /// old ones of ours, have no run: they always get it (WIRE.md §8). One that does not answer any more has none.
    pub(super) fn name_refused(&self, key: &str, link: LinkId, run: Option<Run>) -> Option<Refused> {
        let run = run?;
        let others = self.workers.links_of_name(key).filter(|other| *other != link);
        let mut refused = None;
        for other in others {
            match self.get(other) {
                Some(other) if other.run == Some(run) || other.silent => {}
                Some(other) if other.drain.is_none() => return Some(Refused::Name),
                _ => refused = Some(Refused::NameLeaving),
            }
        }
        refused
    }
}

impl Shard {
    /// Says why, and our FIN behind it. Nothing that comes on this link is served any more.
    pub(super) fn refuse_with_reason(&mut self, id: LinkId, refused: Refused) -> LinkState {
        let Some(link) = self.links.get_mut(id) else { return LinkState::Gone };
        if link.worker.is_some() {
            self.close_link(id);
            return LinkState::Gone;
        }
        let hello = Hello { refused: Some(refused), ..Hello::default() };
        let hello = Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) };
        link.queue_frame(&mut self.output, &hello);
        link.refused = true;
        // It may not read.
        self.deadlines.authorization.push(self.now, id.socket());
        LinkState::Gone
    }

    /// A refused link has been told: our FIN, and a while for the peer's.
    pub(super) fn linger_link(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(id) else { return };
        self.lingering.insert(id.socket(), Lingering::of_link(link.closing));
        self.endings().end(id.socket());
    }

    /// The key of a link that said the wrong one, or none, is told to who asked for it; all others see the end.
    pub(super) fn refuse_key(&mut self, id: LinkId, asked: bool) -> LinkState {
        self.counters.links_unauthorized += 1;
        if let Some(link) = self.links.get(id) {
            self.notices.push(Notice::WrongKey { peer: link.peer });
        }
        self.refuse_as_key(id, asked)
    }

    /// As of a wrong key, which is counted elsewhere.
    pub(super) fn refuse_as_key(&mut self, id: LinkId, asked: bool) -> LinkState {
        if asked {
            return self.refuse_with_reason(id, Refused::Key);
        }
        self.close_link(id);
        LinkState::Gone
    }

    /// A second link of a key takes the first one's place, which goes. Of one run it is the worker's own doing; else two
    /// workers have one name.
    pub(super) fn displace(&mut self, key: &str, displaced: LinkId, run: Option<Run>) {
        let Some(link) = self.links.get(displaced) else { return };
        if !link.silent && (run.is_none() || link.run != run) {
            self.counters.workers_displaced += 1;
            self.notices.push(Notice::Displaced { key: key.into() });
        }
        self.close_link_because(displaced, Gone::Displaced);
    }
}
