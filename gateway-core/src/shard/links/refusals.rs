//! Links that are not taken: a wrong secret key, a name that another worker has (WIRE.md §14).

use protocol::inner::{Cmd, Frame, Hello, Refused, Run};
use ring::SocketId;

use crate::shard::clients::directory::Slot;
use crate::shard::clients::lingering::Lingering;
use crate::shard::links::frames::LinkState;
use crate::shard::links::link::Link;
use crate::shard::notices::{Gone, Notice};
use crate::shard::{Conn, Shard, slot};

impl Shard {
    /// Why `key` is not to be had by `run`: another run has a link of that name, be it of another core. PHP's workers, and
    /// old ones of ours, have no run: they always get it (WIRE.md §8). One that does not answer any more has none.
    pub(crate) fn name_refused(&self, key: &str, link: Slot, run: Option<Run>) -> Option<Refused> {
        let run = run?;
        let others = self.workers.links_of_name(key).filter(|other| slot(*other) != link);
        let mut refused = None;
        for other in others {
            match self.conns.get(other.index()) {
                Some(Conn::Link(other)) if other.run == Some(run) || other.silent => {}
                Some(Conn::Link(other)) if other.drain.is_none() => return Some(Refused::Name),
                _ => refused = Some(Refused::NameLeaving),
            }
        }
        refused
    }

    /// Says why, and our FIN behind it. Nothing that comes on this link is served any more.
    pub(crate) fn refuse_and_say(&mut self, slot: Slot, refused: Refused) -> LinkState {
        let Some(Conn::Link(link)) = self.conns.get_mut(slot as usize) else { return LinkState::Gone };
        if link.worker.is_some() {
            self.close_link(slot);
            return LinkState::Gone;
        }
        let hello = Hello { refused: Some(refused) };
        let hello = Frame { body: hello.encode(), ..Frame::command(Cmd::RingwayHello) };
        self.output.append_with(link.socket, &mut link.out, |out| hello.encode(out));
        link.refused = true;
        // It may not read.
        self.waits.authorization.push(self.now, link.socket);
        LinkState::Gone
    }

    /// A refused link has been told: our FIN, and a while for the peer's.
    pub(crate) fn part_from_link(&mut self, slot: Slot) {
        let Some(Conn::Link(link)) = self.conns.remove(slot as usize) else { return };
        self.links.retain(|other| *other != link.socket);
        self.conns.insert(slot as usize, Conn::Lingering(Lingering::of_link(link.socket, link.closing)));
        self.lingering_count += 1;
        self.say_end(slot);
    }

    /// The key of a link that said the wrong one, or none, is told to who asked for it; all others see the end.
    pub(crate) fn refuse_key(&mut self, slot: Slot, asked: bool) -> LinkState {
        self.counters.links_unauthorized += 1;
        if let Some(link) = self.link(slot) {
            let peer = link.peer;
            self.notices.push(Notice::WrongKey { peer });
        }
        if asked {
            return self.refuse_and_say(slot, Refused::Key);
        }
        self.close_link(slot);
        LinkState::Gone
    }

    /// A second link of a key takes the first one's place, which goes. Of one run it is the worker's own doing; else two
    /// workers have one name.
    pub(crate) fn displace(&mut self, key: &str, displaced: SocketId, run: Option<Run>) {
        let Some(link) = self.link(slot(displaced)) else { return };
        link.gone = Gone::Displaced;
        if !link.silent && (run.is_none() || link.run != run) {
            self.counters.workers_displaced += 1;
            self.notices.push(Notice::Displaced { key: key.into() });
        }
        self.close_link(slot(displaced));
    }
}

impl Link {
    /// What the worker said of itself in an accepted WORKER_CONNECT.
    pub(crate) fn introduce(&mut self, ringway: bool, run: Option<Run>) {
        self.ringway = ringway;
        self.run = run;
    }
}
