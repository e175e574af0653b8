//! What workers and other programs command (WIRE.md §5). None has a reply; one that makes no sense is ignored.

use hashbrown::HashSet;
use protocol::inner::{CloseReason, Cmd, Frame, ext};
use protocol::php;

use crate::config::{GROUPS_PER_CLIENT_MAX, SESSION_SIZE_MAX};
use crate::shard::clients::directory::Slot;
use crate::shard::fanouts::{Fanout, Message, Targets};
use crate::shard::{Conn, Shard};

impl Shard {
    /// Does what a command says. Queries and the start of a link are not for here.
    pub(crate) fn apply(&mut self, link: Slot, cmd: Cmd, frame: &Frame<'_>) {
        match cmd {
            Cmd::SendToAll => return self.send_to_all(link, frame),
            Cmd::SendToUid => return self.send_to_uids(link, frame),
            Cmd::SendToGroup => return self.send_to_groups(link, frame),
            Cmd::Ungroup => return self.ungroup(frame.ext),
            Cmd::Drain => return self.drain(link, frame),
            Cmd::DrainBusy => return self.drain_busy(link, frame),
            Cmd::DrainFree => return self.drain_free(link, frame),
            _ => {}
        }
        let Some(slot) = self.connection_ids.get(&frame.connection_id).copied() else { return };
        match cmd {
            Cmd::SendToOne => {
                if let Some(message) = Message::of(frame) {
                    self.send_message(slot, &message);
                }
            }
            Cmd::Kick => self.kick(slot, frame),
            Cmd::Destroy => self.close_client_now(slot),
            Cmd::SetSession => self.set_session(slot, frame.ext),
            Cmd::UpdateSession => self.update_session(slot, frame.ext),
            Cmd::BindUid => self.bind_uid(slot, frame.ext),
            Cmd::UnbindUid => self.unbind_uid(slot),
            Cmd::JoinGroup => self.join_group(slot, frame.ext),
            Cmd::LeaveGroup => self.leave_group(slot, frame.ext),
            _ => {}
        }
    }

    fn send_to_all(&mut self, link: Slot, frame: &Frame<'_>) {
        let (Some(targets), Some(message)) = (ext::Targets::decode(frame.ext), Message::of(frame)) else {
            return;
        };
        let fanout = match targets {
            ext::Targets::All => Fanout::new(message, Targets::Found(self.everybody()), HashSet::new()),
            ext::Targets::Only(ids) => Fanout::new(message, Targets::Ids(ids), HashSet::new()),
            ext::Targets::Except(exclude) => {
                let everybody = Targets::Found(self.everybody());
                Fanout::new(message, everybody, exclude.into_iter().collect())
            }
        };
        self.start_fan_out(link, fanout);
    }

    /// In list order; a uid twice sends twice.
    fn send_to_uids(&mut self, link: Slot, frame: &Frame<'_>) {
        let (Some(uids), Some(message)) = (ext::decode_names(frame.ext), Message::of(frame)) else { return };
        let targets = Targets::Uids(uids);
        self.start_fan_out(link, Fanout::new(message, targets, HashSet::new()));
    }

    /// Group by group; a member of two gets it twice.
    fn send_to_groups(&mut self, link: Slot, frame: &Frame<'_>) {
        let (Some(to), Some(message)) = (ext::GroupTargets::decode(frame.ext), Message::of(frame)) else {
            return;
        };
        let targets = Targets::Groups(to.groups);
        self.start_fan_out(link, Fanout::new(message, targets, to.exclude.into_iter().collect()));
    }

    /// Last words, if there are any; then the client goes. Nothing it sends is read any more.
    fn kick(&mut self, slot: Slot, frame: &Frame<'_>) {
        if let Some(message) = Message::last_words(frame) {
            self.send_message(slot, &message);
        }
        if matches!(self.conns.get(slot as usize), Some(Conn::Client(client)) if !client.closing) {
            let reason = CloseReason::decode(frame.ext);
            self.say_close(slot, reason.code(), reason.text());
            self.close_client_when_sent(slot);
        }
    }

    fn set_session(&mut self, slot: Slot, session: &[u8]) {
        if session.len() > SESSION_SIZE_MAX {
            self.counters.commands_refused += 1;
            return;
        }
        self.client(slot).session = session.into();
    }

    /// An empty session takes the bytes as they are; else both are merged as PHP's recursive replace does.
    fn update_session(&mut self, slot: Slot, update: &[u8]) {
        if self.client(slot).session.is_empty() {
            return self.set_session(slot, update);
        }
        let mut merged = Vec::new();
        match php::merge_serialized(&self.client(slot).session, update, &mut merged) {
            Ok(()) => self.set_session(slot, &merged),
            Err(_) => self.counters.commands_refused += 1,
        }
    }

    fn bind_uid(&mut self, slot: Slot, uid: &[u8]) {
        if php::is_empty_name(uid) {
            return;
        }
        self.unbind_uid(slot);
        let membership = self.uids.join(uid, slot);
        self.client(slot).uid = Some(membership);
    }

    fn unbind_uid(&mut self, slot: Slot) {
        if let Some(membership) = self.client(slot).uid.take() {
            self.uids.leave(membership);
        }
    }

    fn join_group(&mut self, slot: Slot, group: &[u8]) {
        if php::is_empty_name(group) || self.position_in_groups(slot, group).is_some() {
            return;
        }
        if self.client(slot).groups().len() >= GROUPS_PER_CLIENT_MAX {
            self.counters.commands_refused += 1;
            return;
        }
        let membership = self.groups.join(group, slot);
        self.client(slot).groups.get_or_insert_with(|| Box::new(Vec::with_capacity(1))).push(membership);
    }

    fn leave_group(&mut self, slot: Slot, group: &[u8]) {
        let Some(position) = self.position_in_groups(slot, group) else { return };
        let groups = self.client(slot).groups.as_mut().expect("it is in one");
        let membership = groups.remove(position);
        self.groups.leave(membership);
    }

    fn ungroup(&mut self, group: &[u8]) {
        let Some((set, members)) = self.groups.disband(group) else { return };
        for slot in members {
            if let Some(groups) = &mut self.client(slot).groups {
                groups.retain(|membership| membership.set != set);
            }
        }
    }

    fn position_in_groups(&self, slot: Slot, group: &[u8]) -> Option<usize> {
        let set = self.groups.find(group)?;
        self.client_ref(slot).groups().iter().position(|membership| membership.set == set)
    }
}
