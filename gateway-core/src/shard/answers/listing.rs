//! A query whose answer is a list: found, then written in slices, so that nobody waits for a long one.
//!
//! The answer tells of who was there when the query came, less those that have gone when it is their turn to be written;
//! what it tells of each is as of then. A link that gets replies, which come in order, is not served meanwhile.

use std::collections::VecDeque;
use std::vec;

use hashbrown::HashSet;
use protocol::LogLimit;
use protocol::inner::ext::{Field, Where};
use protocol::php::write;
use tracing::warn;

use super::on_link::Asker;
use super::pieces::{OpenArray, Pieces};
use crate::config::{
    LISTED_AT_ONCE_MAX, LISTING_SLICE, LISTING_SLICE_SIZE, REPLY_LOG_PERIOD_MS, REPLY_SIZE_MAX,
};
use crate::shard::Shard;
use crate::shard::clients::Clients;
use crate::shard::clients::client::Client;
use crate::shard::clients::directory::SetId;
use crate::shard::clients::found::{Found, Ordered};

/// The lists that are being written.
pub(crate) struct Listings {
    waiting: VecDeque<Listing>,
    log: LogLimit,
}

impl Default for Listings {
    fn default() -> Listings {
        Listings { waiting: VecDeque::new(), log: LogLimit::new(1, REPLY_LOG_PERIOD_MS) }
    }
}

impl Listings {
    pub(crate) fn are_under_way(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// A list that is being written.
pub(crate) struct Listing {
    asker: Asker,
    source: Source,
    out: Pieces,
    array: OpenArray,
    count: usize,
}

/// What the elements are about.
pub(crate) enum Source {
    /// Every client.
    Everybody(Ordered, Element),
    /// Clients by what they are called.
    Called(Called, Element),
    /// Names, each once, and how many clients the group of this name has.
    GroupCounts(Names),
    /// Names, each once, and which clients the uid of this name has; `members` is the list that is being written.
    UidMembers { names: Names, members: Option<Members> },
    /// The groups that there are, in order of creation: those behind `after`, up to `until`.
    Groups { after: Option<SetId>, until: Option<SetId> },
}

/// What an element tells of a client.
pub(crate) enum Element {
    /// Its id and its session.
    Session,
    /// Its place in the list and its id.
    ConnectionId,
    /// Its id and these fields.
    Fields(Vec<Field>),
}

/// Names, each once.
pub(crate) struct Names {
    names: vec::IntoIter<Vec<u8>>,
    seen: HashSet<Vec<u8>>,
}

/// The members of groups, then the clients of uids, then these connections; each client once.
pub(crate) struct Called {
    groups: vec::IntoIter<Vec<u8>>,
    uids: vec::IntoIter<Vec<u8>>,
    connection_ids: vec::IntoIter<u32>,
    found: Found,
    /// Connection ids of those who have been listed; `None`: there is one name only, which has each client once.
    seen: Option<HashSet<u32>>,
}

/// The list of a uid's clients within a list.
pub(crate) struct Members {
    found: Found,
    array: OpenArray,
    count: usize,
}

/// How far a list is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    More,
    /// More, in another turn.
    Later,
    Done,
}

impl Called {
    pub(crate) fn group(name: &[u8]) -> Called {
        Called { seen: None, ..Where { groups: vec![name.to_vec()], ..Where::default() }.into() }
    }

    pub(crate) fn uid(name: &[u8]) -> Called {
        Called { seen: None, ..Where { uids: vec![name.to_vec()], ..Where::default() }.into() }
    }
}

impl Default for Called {
    /// Nobody.
    fn default() -> Called {
        Where::default().into()
    }
}

impl From<Where> for Called {
    fn from(condition: Where) -> Called {
        Called {
            groups: condition.groups.into_iter(),
            uids: condition.uids.into_iter(),
            connection_ids: condition.connection_ids.into_iter(),
            found: Found::default(),
            seen: Some(HashSet::new()),
        }
    }
}

impl From<Vec<Vec<u8>>> for Names {
    fn from(names: Vec<Vec<u8>>) -> Names {
        Names { names: names.into_iter(), seen: HashSet::new() }
    }
}

impl Shard {
    /// Answers a query by a list: at once if it is short.
    pub(crate) fn begin_listing(&mut self, asker: Asker, source: Source) {
        let mut out = Pieces::new();
        let array = out.open_array();
        let mut listing = Listing { asker, source, out, array, count: 0 };
        if listing.go_on(&self.clients) == Progress::Done {
            return self.end_listing(listing);
        }
        if let Some(link) = self.links.get_mut(asker.link) {
            match asker.id {
                Some(_) => link.answers.listing_begins(),
                None => link.busy = true,
            }
            self.listings.waiting.push_back(listing);
        }
    }

    /// The next slice of one list. Several take turns.
    pub(crate) fn continue_listings(&mut self) {
        let Some(mut listing) = self.listings.waiting.pop_front() else { return };
        let asker = listing.asker;
        if self.links.get(asker.link).is_none() {
            return;
        }
        if listing.go_on(&self.clients) != Progress::Done {
            return self.listings.waiting.push_back(listing);
        }
        self.end_listing(listing);
        if asker.id.is_none() {
            return self.link_idle(asker.link);
        }
        if let Some(link) = self.links.get_mut(asker.link) {
            link.answers.listing_ends();
        }
        self.continue_answers(asker.link);
    }

    /// Sends the answer, or says that there is none if it is longer than anybody takes: by the end of the link, where replies have an order.
    fn end_listing(&mut self, listing: Listing) {
        let Listing { asker, mut out, array, count, .. } = listing;
        out.close_array(array, count);
        if out.len() > REPLY_SIZE_MAX {
            return self.refuse_reply(asker);
        }
        let Some(link) = self.links.get_mut(asker.link) else { return };
        if let Some(id) = asker.id {
            return link.queue_answer(&mut self.output, id, out.into_pieces());
        }
        for piece in out.finish() {
            self.output.append_answer(link.id.socket(), &mut link.out, link.worker.is_some(), piece);
        }
    }

    fn refuse_reply(&mut self, asker: Asker) {
        let Some(link) = self.links.get(asker.link) else { return };
        self.counters.replies_too_large += 1;
        if let Some(unsaid) = self.listings.log.admit(self.now.0) {
            warn!(
                peer = %link.peer, unsaid,
                "a query whose answer is longer than {} MiB is not answered; ask for less at once",
                REPLY_SIZE_MAX >> 20
            );
        }
        match (asker.id, self.links.get_mut(asker.link)) {
            // No value is empty.
            (Some(id), Some(link)) => link.queue_answer(&mut self.output, id, []),
            _ => self.close_link(asker.link),
        }
    }
}

impl Listing {
    /// Writes the next slice.
    fn go_on(&mut self, clients: &Clients) -> Progress {
        let size_max = self.out.len() + LISTING_SLICE_SIZE;
        for _ in 0..LISTING_SLICE {
            if self.out.len() > REPLY_SIZE_MAX {
                return Progress::Done;
            }
            match self.write_next(clients) {
                Progress::More if self.out.len() < size_max => {}
                Progress::More => return Progress::Later,
                end => return end,
            }
        }
        Progress::Later
    }

    /// Writes the next element, or gets nearer to it.
    fn write_next(&mut self, clients: &Clients) -> Progress {
        let Listing { source, out, count, .. } = self;
        match source {
            Source::Everybody(ordered, _) if ordered.is_collecting() => {
                return if ordered.collect(clients) { Progress::Later } else { Progress::More };
            }
            Source::Everybody(ordered, element) => {
                let Some(client) = ordered.next(clients) else { return Progress::Done };
                client.into_iter().for_each(|client| write_client(clients, client, element, count, out));
            }
            Source::Called(called, element) => {
                let Some(client) = called.next(clients) else { return Progress::Done };
                client.into_iter().for_each(|client| write_client(clients, client, element, count, out));
            }
            Source::GroupCounts(names) => {
                let Some(name) = names.names.next() else { return Progress::Done };
                if !names.seen.contains(&name) {
                    write::encode_key(&name[..], out.out_for(name.len()));
                    write::encode_count(clients.groups.member_count(&name), out.out());
                    *count += 1;
                    names.seen.insert(name);
                }
            }
            Source::UidMembers { members: Some(list), .. } if !list.found.is_at_end() => {
                list.write_next(clients, out);
            }
            Source::UidMembers { names, members } => {
                if let Some(list) = members.take() {
                    out.close_array(list.array, list.count);
                }
                let Some(name) = names.names.next() else { return Progress::Done };
                if !names.seen.contains(&name) {
                    *members = begin_uid(clients, &name, out);
                    *count += 1;
                    names.seen.insert(name);
                }
            }
            Source::Groups { after, until } => {
                let next = clients.groups.next_set(*after).filter(|(id, _)| Some(*id) <= *until);
                let Some((id, name)) = next else { return Progress::Done };
                *after = Some(id);
                write::encode_count(*count, out.out());
                // An array key before it became a value here: an int if it looks like one (WIRE.md §6).
                write::encode_key(&name[..], out.out_for(name.len()));
                *count += 1;
            }
        }
        Progress::More
    }
}

impl Called {
    /// The next client; none if it has gone or was listed before, or at the end of a name.
    fn next<'a>(&mut self, clients: &'a Clients) -> Option<Option<&'a Client>> {
        let client = if !self.found.is_at_end() {
            self.found.next(clients)
        } else if let Some(group) = self.groups.next() {
            self.found = clients.found(clients.groups.members_of(&group));
            None
        } else if let Some(uid) = self.uids.next() {
            self.found = clients.found(clients.uids.members_of(&uid));
            None
        } else {
            let id = self.connection_ids.next()?;
            clients.by_id(id).map(|slot| &clients[slot])
        };
        let seen = &mut self.seen;
        Some(client.filter(|client| seen.as_mut().is_none_or(|seen| seen.insert(client.connection_id))))
    }
}

impl Members {
    fn write_next(&mut self, clients: &Clients, out: &mut Pieces) {
        if let Some(client) = self.found.next(clients) {
            write::encode_count(self.count, out.out());
            write::encode_int(client.connection_id.into(), out.out());
            self.count += 1;
        }
    }
}

/// Writes a uid and its clients; if they are many, returns what is to be written by and by.
fn begin_uid(clients: &Clients, uid: &[u8], out: &mut Pieces) -> Option<Members> {
    write::encode_key(uid, out.out_for(uid.len()));
    let count = clients.uids.member_count(uid);
    if count > LISTED_AT_ONCE_MAX {
        let found = clients.found(clients.uids.members_of(uid));
        return Some(Members { found, array: out.open_array(), count: 0 });
    }
    let out = out.out();
    write::array_start(count, out);
    for (index, slot) in clients.uids.members_of(uid).enumerate() {
        write::encode_count(index, out);
        write::encode_int(clients[slot].connection_id.into(), out);
    }
    write::array_end(out);
    None
}

fn write_client(clients: &Clients, client: &Client, element: &Element, count: &mut usize, out: &mut Pieces) {
    let id = i64::from(client.connection_id);
    match element {
        Element::Session => {
            write::encode_int(id, out.out());
            write::encode_bytes(&client.session, out.out_for(client.session.len()));
        }
        Element::Fields(fields) => {
            write::encode_int(id, out.out());
            write::array_start(fields.len(), out.out());
            for field in fields {
                write::encode_key(field.name().as_bytes(), out.out());
                write_field(clients, client, field, out);
            }
            write::array_end(out.out());
        }
        Element::ConnectionId => {
            write::encode_count(*count, out.out());
            write::encode_int(id, out.out());
        }
    }
    *count += 1;
}

fn write_field(clients: &Clients, client: &Client, field: &Field, pieces: &mut Pieces) {
    match (field, client.uid, &client.groups) {
        (Field::Session, _, _) => {
            write::encode_bytes(&client.session, pieces.out_for(client.session.len()));
        }
        (Field::Uid, Some(uid), _) => {
            let name = clients.uids.name(uid.set);
            write::encode_bytes(name, pieces.out_for(name.len()));
        }
        (Field::Groups, _, Some(groups)) => {
            write::array_start(groups.len(), pieces.out());
            for membership in groups.iter() {
                let name = clients.groups.name(membership.set);
                write::encode_key(&name[..], pieces.out_for(name.len()));
                write::encode_bytes(name, pieces.out_for(name.len()));
                if pieces.len() > REPLY_SIZE_MAX {
                    // Nobody will see the rest.
                    return;
                }
            }
            write::array_end(pieces.out());
        }
        (Field::Uid | Field::Groups | Field::Unknown(_), _, _) => write::encode_null(pieces.out()),
    }
}
