//! What workers and other programs command and ask (WIRE.md §5, §14). A command has no reply; one that makes no sense is
//! ignored.

use hashbrown::HashSet;
use protocol::inner::{CloseReason, Cmd, Frame, ext};

use super::Shard;
use super::clients::names::Refused;
use super::clients::{ClientSlot, Clients};
use super::fanouts::{Fanout, Message, Sent, Targets};
use super::links::LinkId;

impl Shard {
    /// Does what a command says, and answers a query, on a link that is authorized.
    pub(super) fn apply(&mut self, link: LinkId, cmd: Cmd, frame: &Frame<'_>) {
        let client = self.clients.by_id(frame.connection_id);
        match (cmd, client) {
            (Cmd::SendToOne, _) => self.send_to_one(link, client, frame),
            (Cmd::SendToAll, _) => self.fan_out(link, frame, to_all),
            (Cmd::SendToUid, _) => self.fan_out(link, frame, to_uids),
            (Cmd::SendToGroup, _) => self.fan_out(link, frame, to_groups),
            (Cmd::Kick, Some(slot)) => self.kick(slot, frame),
            (Cmd::Destroy, Some(slot)) => self.close_client_now(slot),
            (Cmd::SetSession, Some(slot)) => self.change(|clients| clients[slot].set_session(frame.ext)),
            (Cmd::UpdateSession, Some(slot)) => {
                self.change(|clients| clients[slot].update_session(frame.ext))
            }
            (Cmd::JoinGroup, Some(slot)) => self.change(|clients| clients.join_group(slot, frame.ext)),
            (Cmd::LeaveGroup, Some(slot)) => self.clients.leave_group(slot, frame.ext),
            (Cmd::Ungroup, _) => self.clients.ungroup(frame.ext),
            (Cmd::BindUid, Some(slot)) => self.clients.bind_uid(slot, frame.ext),
            (Cmd::UnbindUid, Some(slot)) => self.clients.unbind_uid(slot),
            (
                Cmd::Kick
                | Cmd::Destroy
                | Cmd::SetSession
                | Cmd::UpdateSession
                | Cmd::JoinGroup
                | Cmd::LeaveGroup
                | Cmd::BindUid
                | Cmd::UnbindUid
                | Cmd::HandshakeAnswer,
                None,
            ) => {}
            (
                Cmd::IsOnline
                | Cmd::GetSessionByClientId
                | Cmd::GetClientCountByGroup
                | Cmd::GetAllClientSessions
                | Cmd::GetClientSessionsByGroup
                | Cmd::GetClientIdByUid
                | Cmd::BatchGetClientIdByUid
                | Cmd::BatchGetClientCountByGroup
                | Cmd::GetGroupIdList
                | Cmd::Select,
                _,
            ) => self.on_query(link, cmd, frame),
            (Cmd::HandshakeAnswer, Some(slot)) => self.answer_handshake(slot, frame),
            (Cmd::Drain, _) => self.drain(link, frame),
            (Cmd::DrainBusy, _) => self.drain_busy(link, frame),
            (Cmd::DrainFree, _) => self.drain_free(link, frame),
            (Cmd::RingwayPing, _) => self.links.pinged(link),
            (Cmd::EventsDone, _) => self.events_done(link, frame),
            (Cmd::EventsSafe, _) => self.events_safe(link, frame),
            // The start of a link is not for here, PHP's PING says nothing, and the others are what we say to workers.
            (
                Cmd::WorkerConnect
                | Cmd::GatewayClientConnect
                | Cmd::Ping
                | Cmd::OnConnect
                | Cmd::OnMessage
                | Cmd::OnClose
                | Cmd::OnWebsocketConnect
                | Cmd::RingwayHello
                | Cmd::ClientAddress
                | Cmd::Receipt
                | Cmd::Repeat
                | Cmd::Answer
                | Cmd::Report
                | Cmd::Drained
                | Cmd::Challenge,
                _,
            ) => {}
        }
    }

    fn send_to_one(&mut self, link: LinkId, client: Option<ClientSlot>, frame: &Frame<'_>) {
        let report = self.begin_report(link, frame);
        let sent = client.zip(Message::of(frame)).map(|(slot, message)| self.send_to_client(slot, &message));
        if let Some(report) = report {
            self.end_report(report, sent.unwrap_or(Sent::Gone));
        }
    }

    /// To whom `targets` says, if the frame says it, and has a message.
    fn fan_out<'a>(
        &mut self,
        link: LinkId,
        frame: &Frame<'a>,
        targets: impl FnOnce(&[u8]) -> Option<(Targets, HashSet<u32>)>,
    ) {
        let report = self.begin_report(link, frame);
        match targets(frame.ext).zip(Message::of(frame)) {
            Some(((targets, exclude), message)) => {
                self.start_fan_out(link, Fanout::new(message, targets, exclude, report));
            }
            None => report.into_iter().for_each(|report| self.end_report(report, Sent::Gone)),
        }
    }

    /// Last words, if there are any; then the client goes. Nothing it sends is read any more.
    fn kick(&mut self, slot: ClientSlot, frame: &Frame<'_>) {
        let socket = self.clients[slot].socket;
        self.catch_up(slot);
        if let Some(message) = Message::of_kick(frame) {
            self.send_to_client(slot, &message);
        }
        // Too slow for its last words, it may be gone.
        if let Some(client) = self.clients.live_mut(socket).filter(|client| !client.closing) {
            let reason = CloseReason::decode(frame.ext);
            client.queue_close_frame(&mut self.output, &self.settings, reason.code(), reason.text());
            self.close_client_when_sent(slot);
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Clients) -> Result<(), Refused>) {
        self.counters.commands_refused += u64::from(change(&mut self.clients).is_err());
    }
}

fn to_all(ext: &[u8]) -> Option<(Targets, HashSet<u32>)> {
    Some(match ext::Targets::decode(ext)? {
        ext::Targets::All => (Targets::Everybody, HashSet::new()),
        ext::Targets::Only(ids) => (Targets::Ids(ids.into_iter()), HashSet::new()),
        ext::Targets::Except(exclude) => (Targets::Everybody, exclude.into_iter().collect()),
    })
}

/// In list order; a uid twice sends twice.
fn to_uids(ext: &[u8]) -> Option<(Targets, HashSet<u32>)> {
    Some((Targets::Uids(ext::decode_names(ext)?.into_iter()), HashSet::new()))
}

/// Group by group; a member of two gets it twice.
fn to_groups(ext: &[u8]) -> Option<(Targets, HashSet<u32>)> {
    let to = ext::GroupTargets::decode(ext)?;
    Some((Targets::Groups(to.groups.into_iter()), to.exclude.into_iter().collect()))
}
