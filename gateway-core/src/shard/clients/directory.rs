//! Who is called what: named sets of clients, for uids and for groups. Whoever takes a client out of its table takes it out of
//! every set first.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::Bound;
use std::rc::Rc;

use hashbrown::HashMap;

use super::ClientSlot;

/// Names one set for as long as it has members. Ids grow in order of creation. Never 0, so that no membership costs a
/// client no more than one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct SetId(NonZeroU64);

/// A client's place in a set: what it takes to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Membership {
    pub set: SetId,
    joined: u64,
}

/// Sets by name. A set is there while it has members; sets come in order of creation, members in order of joining
/// (WIRE.md §5).
#[derive(Default)]
pub(crate) struct Directory {
    by_name: HashMap<Rc<[u8]>, SetId>,
    sets: BTreeMap<SetId, Set>,
    /// Counts sets and joins alike.
    clock: u64,
}

struct Set {
    name: Rc<[u8]>,
    members: Members,
}

/// Most sets are small, and a tree for one member is a waste; a large one must not be searched or moved at each leave.
enum Members {
    /// In order of `joined`, at most [`FEW_MAX`].
    Few(Vec<(u64, ClientSlot)>),
    Many(BTreeMap<u64, ClientSlot>),
}

impl Directory {
    /// Puts a client into the set of this name. The caller knows that it is not in it.
    pub(crate) fn join(&mut self, name: &[u8], slot: ClientSlot) -> Membership {
        self.clock += 1;
        let id = match self.by_name.get(name) {
            Some(id) => *id,
            None => self.create(name),
        };
        let set = self.sets.get_mut(&id).expect("a named set exists");
        set.members.push(self.clock, slot);
        Membership { set: id, joined: self.clock }
    }

    /// Takes a client out of a set, and the set away with its last member.
    pub(crate) fn leave(&mut self, membership: Membership) {
        let Some(set) = self.sets.get_mut(&membership.set) else { return };
        set.members.remove(membership.joined);
        if set.members.len() == 0 {
            self.remove(membership.set);
        }
    }

    /// Takes the set of this name away and returns its members, who are to forget their memberships.
    pub(crate) fn disband(&mut self, name: &[u8]) -> Option<(SetId, Vec<ClientSlot>)> {
        let id = self.find(name)?;
        let members = self.members(id).collect();
        self.remove(id);
        Some((id, members))
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<SetId> {
        self.by_name.get(name).copied()
    }

    /// The name of a set that exists.
    pub(crate) fn name(&self, id: SetId) -> &Rc<[u8]> {
        &self.sets.get(&id).expect("members hold ids of sets that exist").name
    }

    /// The members, in order of joining.
    pub(crate) fn members(&self, id: SetId) -> impl Iterator<Item = ClientSlot> {
        let (few, many) = match self.sets.get(&id).map(|set| &set.members) {
            Some(Members::Few(few)) => (few.as_slice(), None),
            Some(Members::Many(many)) => (&[][..], Some(many)),
            None => (&[][..], None),
        };
        few.iter().map(|(_, slot)| *slot).chain(many.into_iter().flat_map(|many| many.values().copied()))
    }

    /// The members of the set of this name; none if there is no such set.
    pub(crate) fn members_of(&self, name: &[u8]) -> impl Iterator<Item = ClientSlot> {
        self.find(name).into_iter().flat_map(|id| self.members(id))
    }

    pub(crate) fn member_count(&self, name: &[u8]) -> usize {
        self.find(name).map_or(0, |id| self.sets[&id].members.len())
    }

    /// Names in order of creation.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &Rc<[u8]>> {
        self.sets.values().map(|set| &set.name)
    }

    /// The set created next after another, or first, of those that exist.
    pub(crate) fn next_set(&self, after: Option<SetId>) -> Option<(SetId, &Rc<[u8]>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (id, set) = self.sets.range((start, Bound::Unbounded)).next()?;
        Some((*id, &set.name))
    }

    /// The sets created after another, or all, with how many members each has.
    pub(crate) fn counted_after(
        &self,
        after: Option<SetId>,
    ) -> impl Iterator<Item = (SetId, &Rc<[u8]>, usize)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let sets = self.sets.range((start, Bound::Unbounded));
        sets.map(|(id, set)| (*id, &set.name, set.members.len()))
    }

    /// The set created last, of those that exist.
    pub(crate) fn last_set(&self) -> Option<SetId> {
        self.sets.last_key_value().map(|(id, _)| *id)
    }

    fn create(&mut self, name: &[u8]) -> SetId {
        let id = SetId(NonZeroU64::new(self.clock).expect("join has counted"));
        let name = Rc::<[u8]>::from(name);
        self.by_name.insert(Rc::clone(&name), id);
        self.sets.insert(id, Set { name, members: Members::Few(Vec::new()) });
        id
    }

    fn remove(&mut self, id: SetId) {
        let set = self.sets.remove(&id).expect("found by the caller");
        self.by_name.remove(&set.name);
    }
}

impl Members {
    fn len(&self) -> usize {
        match self {
            Members::Few(few) => few.len(),
            Members::Many(many) => many.len(),
        }
    }

    fn push(&mut self, joined: u64, slot: ClientSlot) {
        match self {
            Members::Few(few) if few.len() < FEW_MAX => {
                if few.is_empty() {
                    few.reserve_exact(1);
                }
                few.push((joined, slot));
            }
            Members::Few(few) => {
                let mut many: BTreeMap<u64, ClientSlot> = few.drain(..).collect();
                many.insert(joined, slot);
                *self = Members::Many(many);
            }
            Members::Many(many) => {
                many.insert(joined, slot);
            }
        }
    }

    fn remove(&mut self, joined: u64) {
        match self {
            Members::Few(few) => few.retain(|(at, _)| *at != joined),
            Members::Many(many) => {
                many.remove(&joined);
            }
        }
    }
}

/// Members up to which a set is a plain list: a few cache lines.
const FEW_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_of_joining_whatever_the_size() {
        let mut directory = Directory::default();
        let memberships: Vec<_> =
            (0..100).rev().map(|slot| directory.join(b"room", ClientSlot(slot))).collect();
        let all: Vec<_> = (0..100).rev().map(ClientSlot).collect();
        assert_eq!(directory.members_of(b"room").collect::<Vec<_>>(), all);
        for membership in &memberships[..95] {
            directory.leave(*membership);
        }
        assert_eq!(directory.members_of(b"room").collect::<Vec<_>>(), all[95..]);
        assert_eq!(directory.member_count(b"room"), 5);
    }

    #[test]
    fn a_set_goes_with_its_last_member_and_comes_back_new() {
        let mut directory = Directory::default();
        let first = directory.join(b"a", ClientSlot(1));
        directory.join(b"b", ClientSlot(1));
        directory.leave(first);
        assert_eq!(directory.find(b"a"), None);
        directory.join(b"a", ClientSlot(2));
        let names: Vec<&[u8]> = directory.names().map(|name| &**name).collect();
        assert_eq!(names, [b"b", b"a"]);
    }

    #[test]
    fn disband_returns_everybody() {
        let mut directory = Directory::default();
        let kept = directory.join(b"kept", ClientSlot(1));
        let gone = directory.join(b"gone", ClientSlot(1));
        directory.join(b"gone", ClientSlot(2));
        assert_eq!(directory.disband(b"gone"), Some((gone.set, vec![ClientSlot(1), ClientSlot(2)])));
        assert_eq!(directory.disband(b"gone"), None);
        directory.leave(gone);
        assert_eq!(directory.members(kept.set).collect::<Vec<_>>(), [ClientSlot(1)]);
    }
}
