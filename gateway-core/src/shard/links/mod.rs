//! Inner connections: what comes over them, whose they are, and whether the other end is alive.

pub(super) mod drain;
pub(super) mod frames;
pub(super) mod in_flight;
pub(super) mod link;
mod proof;
pub(super) mod pulse;
mod receipts;
pub(super) mod refusals;
mod retained;
pub(super) mod window;
pub(super) mod workers;

use protocol::inner::{Origin, Run};
use uring::SocketId;

use self::link::Link;
use self::receipts::TakenOfLost;
use self::workers::Workers;
use super::table::Table;

/// Names a link for good: when it is gone, this finds none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LinkId(SocketId);

impl LinkId {
    /// Of the link that has or had this socket, if one has.
    pub(crate) fn of(socket: SocketId) -> LinkId {
        LinkId(socket)
    }

    pub(crate) fn socket(self) -> SocketId {
        self.0
    }
}

/// All links, and the workers that have one.
///
/// Invariants: `ids` names the rows; a worker's link is one of them; a link that drains is in `draining`, where one that is gone
/// may be, too.
pub(super) struct Links {
    rows: Table<Box<Link>>,
    ids: Vec<LinkId>,
    pub workers: Workers,
    draining: Vec<LinkId>,
    /// How often events of a link were given a name.
    named: u32,
    taken_of_lost: TakenOfLost,
}

impl Links {
    pub(super) fn new() -> Links {
        Links {
            rows: Table::new(),
            ids: Vec::new(),
            workers: Workers::default(),
            draining: Vec::new(),
            named: 0,
            taken_of_lost: TakenOfLost::default(),
        }
    }

    /// A link, if it is still there.
    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.rows.get(id.0.index()).map(|link| &**link).filter(|link| link.id == id)
    }

    /// The same.
    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.rows.get_mut(id.0.index()).map(|link| &mut **link).filter(|link| link.id == id)
    }

    /// All links, by number: a walk that closes some goes from behind.
    pub(super) fn nth(&self, index: usize) -> Option<LinkId> {
        self.ids.get(index).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many are of workers that hand their clients over.
    pub(super) fn draining_count(&self) -> usize {
        self.iter().filter(|link| link.drain.is_some()).count()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.ids.iter().filter_map(|id| self.get(*id))
    }

    pub(super) fn insert(&mut self, link: Link) {
        self.ids.push(link.id);
        self.rows.insert(link.id.0.index(), Box::new(link));
    }

    /// What events of the next link are called that keeps them, in this run of the shard.
    fn name_events(&mut self, run: Run) -> Origin {
        self.named = self.named.wrapping_add(1);
        Origin { run, link: self.named }
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Box<Link>> {
        self.get(id)?;
        self.ids.retain(|other| *other != id);
        self.rows.remove(id.0.index())
    }
}
