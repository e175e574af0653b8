//! What workers set of a client: its session, its uid, its groups.

use protocol::php;

use super::client::Client;
use super::{ClientSlot, Clients};
use crate::config::{GROUPS_PER_CLIENT_MAX, SESSION_SIZE_MAX};

/// Nothing is changed: a limit would be exceeded, or the update is no PHP array.
#[derive(Debug)]
pub(crate) struct Refused;

impl Client {
    pub(crate) fn set_session(&mut self, session: &[u8]) -> Result<(), Refused> {
        if session.len() > SESSION_SIZE_MAX {
            return Err(Refused);
        }
        self.session = session.into();
        Ok(())
    }

    /// An empty session takes the bytes as they are; else both are merged as PHP's recursive replace does.
    pub(crate) fn update_session(&mut self, update: &[u8]) -> Result<(), Refused> {
        if self.session.is_empty() {
            return self.set_session(update);
        }
        let mut merged = Vec::new();
        php::merge_serialized(&self.session, update, &mut merged).map_err(|_| Refused)?;
        self.set_session(&merged)
    }
}

impl Clients {
    pub(crate) fn bind_uid(&mut self, slot: ClientSlot, uid: &[u8]) {
        if php::is_empty_name(uid) {
            return;
        }
        self.unbind_uid(slot);
        let membership = self.uids.join(uid, slot);
        self[slot].uid = Some(membership);
    }

    pub(crate) fn unbind_uid(&mut self, slot: ClientSlot) {
        if let Some(membership) = self[slot].uid.take() {
            self.uids.leave(membership);
        }
    }

    pub(crate) fn join_group(&mut self, slot: ClientSlot, group: &[u8]) -> Result<(), Refused> {
        if php::is_empty_name(group) || self.position_in_groups(slot, group).is_some() {
            return Ok(());
        }
        if self[slot].groups().len() >= GROUPS_PER_CLIENT_MAX {
            return Err(Refused);
        }
        let membership = self.groups.join(group, slot);
        self[slot].groups.get_or_insert_with(|| Box::new(Vec::with_capacity(1))).push(membership);
        Ok(())
    }

    pub(crate) fn leave_group(&mut self, slot: ClientSlot, group: &[u8]) {
        let Some(position) = self.position_in_groups(slot, group) else { return };
        let groups = self[slot].groups.as_mut().expect("it is in one");
        let membership = groups.remove(position);
        self.groups.leave(membership);
    }

    pub(crate) fn ungroup(&mut self, group: &[u8]) {
        let Some((set, members)) = self.groups.disband(group) else { return };
        for slot in members {
            if let Some(groups) = &mut self[slot].groups {
                groups.retain(|membership| membership.set != set);
            }
        }
    }

    fn position_in_groups(&self, slot: ClientSlot, group: &[u8]) -> Option<usize> {
        let set = self.groups.find(group)?;
        self[slot].groups().iter().position(|membership| membership.set == set)
    }
}
