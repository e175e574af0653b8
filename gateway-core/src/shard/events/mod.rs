//! What clients do, on its way to their workers: as frames on links, or waiting for a link. Which link a client's next
//! event goes to, or why none.

pub(super) mod departed;
pub(super) mod reroute;
pub(super) mod suspects;

use std::net::SocketAddrV4;

use protocol::inner::{Cmd, FLAG_BINARY, FLAG_TEXT, Frame, Repeat};
use uring::SocketId;

use super::Shard;
use super::clients::ClientSlot;
use super::clients::client::Peer;
use super::clients::rates::Excessive;
use super::counters::Counters;
use super::links::link::Link;
use super::links::workers::{WorkerId, WorkerLink};
use super::links::{LinkId, Links};
use super::output::Output;
use crate::ClientInfo;

/// An event for a client's worker: what differs between frames of one client.
pub(crate) struct ClientEvent<'a> {
    pub cmd: Cmd,
    pub flag: u8,
    pub body: &'a [u8],
    /// A worker may have had it.
    pub repeat: Option<Repeat>,
}

/// Whom an event is about, as its frame says it (WIRE.md §4).
pub(crate) struct Subject<'a> {
    pub gateway: SocketAddrV4,
    pub connection_id: u32,
    pub peer: &'a Peer,
    /// The port that it connected to.
    pub port: u16,
    pub session: &'a [u8],
}

/// An event that does not fit into a frame of the inner protocol.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Why a client's events cannot go out now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stall {
    /// There is no worker.
    NoWorker,
    /// The link to the client's worker is full.
    LinkFull(LinkId),
    /// The client's worker takes no more events, and may still handle an earlier one of this client.
    Draining(LinkId),
    /// Nothing is heard of the client's worker, and there is no other.
    Silent(LinkId),
    /// Others' events that lost links had not taken go first on this link.
    Rerouting(LinkId),
    /// The worker has not done as many events as it lets come.
    Window(LinkId),
    /// As many events of this client are in flight as may be of one.
    OwnEvents,
    /// Its worker has not answered its handshake.
    Handshake,
    /// The client has had its share of this period.
    Share,
    /// The client has had its share of this turn.
    Turn,
    /// The client has sent more messages, or bytes, than it may (`--messages-per-second`, `--bytes-per-second`).
    Rate(Excessive),
}

impl Stall {
    /// The link that is waited for.
    pub(crate) fn link(self) -> Option<LinkId> {
        match self {
            Stall::NoWorker
            | Stall::OwnEvents
            | Stall::Handshake
            | Stall::Share
            | Stall::Turn
            | Stall::Rate(_) => None,
            Stall::LinkFull(link)
            | Stall::Draining(link)
            | Stall::Silent(link)
            | Stall::Rerouting(link)
            | Stall::Window(link) => Some(link),
        }
    }
}

impl Counters {
    /// How often clients were stalled for this reason.
    pub(crate) fn stalls(&mut self, stall: Stall) -> &mut u64 {
        match stall {
            Stall::NoWorker => &mut self.stalls_no_worker,
            Stall::LinkFull(_) => &mut self.stalls_link_full,
            Stall::Draining(_) => &mut self.stalls_draining,
            Stall::Silent(_) => &mut self.stalls_silent,
            Stall::Rerouting(_) => &mut self.stalls_rerouting,
            Stall::Window(_) => &mut self.stalls_window,
            Stall::OwnEvents => &mut self.stalls_own_events,
            Stall::Handshake => &mut self.stalls_handshake,
            Stall::Share | Stall::Turn => &mut self.stalls_share,
            Stall::Rate(Excessive::Messages) => &mut self.stalls_message_rate,
            Stall::Rate(Excessive::Bytes) => &mut self.stalls_byte_rate,
        }
    }
}

impl Links {
    /// Whether a worker's link takes an event now, with at most so many bytes queued; `None`: however many, and whatever is in
    /// flight.
    pub(super) fn room(&self, id: LinkId, queued_max: Option<usize>) -> Result<LinkId, Stall> {
        match self.get(id).expect("a worker's link is forgotten when it closes") {
            Link { shut: true, .. } => Err(Stall::NoWorker),
            Link { silent: true, .. } => Err(Stall::Silent(id)),
            link if queued_max.is_some_and(|max| link.out.queue.len() >= max) => Err(Stall::LinkFull(id)),
            link if queued_max.is_some() && !link.is_window_open() => Err(Stall::Window(id)),
            _ => Ok(id),
        }
    }

    /// The link of the worker that a client has; none if another is to be chosen.
    pub(super) fn of_client(
        &self,
        worker: Option<WorkerId>,
        connection_id: u32,
    ) -> Result<Option<LinkId>, Stall> {
        match worker.map_or(WorkerLink::Gone, |worker| self.workers.link_of(worker)) {
            WorkerLink::Open(link) => Ok(Some(link)),
            WorkerLink::Draining(link) if self.holds(link, connection_id) => Err(Stall::Draining(link)),
            WorkerLink::Draining(_) | WorkerLink::Gone => Ok(None),
        }
    }
}

impl Link {
    /// Queues an event; `client`: whose share it is of, if the client is there. Returns how much of it. PHP's workers are not
    /// told text from binary.
    pub(super) fn queue_event(
        &mut self,
        output: &mut Output,
        about: &Subject<'_>,
        event: &ClientEvent<'_>,
        client: Option<SocketId>,
    ) -> Result<u8, TooLarge> {
        let kinds = if self.ringway { 0 } else { FLAG_TEXT | FLAG_BINARY };
        let frame = Frame {
            cmd: event.cmd as u8,
            gateway: about.gateway,
            client: about.peer.v4(),
            connection_id: about.connection_id,
            flag: event.flag & !kinds,
            gateway_port: about.port,
            ext: about.session,
            body: event.body,
        };
        let size = frame.size();
        if size > self.frame_size_max() {
            return Err(TooLarge);
        }
        let is_told = self.ringway && matches!(about.peer, Peer::V6(_));
        let Some(in_flight) = &mut self.in_flight else {
            output.append_with(self.id.socket(), &mut self.out, |out| {
                if is_told {
                    about.peer.encode_v6(about.connection_id, out);
                }
                frame.encode(out);
            });
            return Ok(0);
        };
        let repeat = event.repeat.filter(|_| in_flight.keeps());
        let mut weight = 0;
        // In one piece: what is in front of an event is found there if the link is lost.
        output.append_with(self.id.socket(), &mut self.out, |out| {
            if let Some(repeat) = &repeat {
                Frame { body: &repeat.encode(), ..Frame::command(Cmd::Repeat) }.encode(out);
            }
            let start = out.len();
            if is_told {
                about.peer.encode_v6(about.connection_id, out);
            }
            frame.encode(out);
            weight = in_flight.add(client, &out[start..], size, repeat);
        });
        Ok(weight)
    }
}

impl Shard {
    /// The link for a client's next event.
    pub(crate) fn route(&mut self, slot: ClientSlot) -> Result<LinkId, Stall> {
        let link = self.worker_link(slot)?;
        if self.is_behind(link) {
            return Err(Stall::Rerouting(link));
        }
        self.has_share(slot, link)?;
        self.room(slot, link)
    }

    /// Whether a link takes an event of this client now.
    pub(super) fn room(&self, slot: ClientSlot, link: LinkId) -> Result<LinkId, Stall> {
        if self.clients[slot].has_its_share() {
            return Err(Stall::OwnEvents);
        }
        self.links.room(link, Some(self.settings.send_to_worker_buffer_size))
    }

    /// The link of a client's worker. Another worker is chosen if the client has none, or if its worker is gone or
    /// has handed it over.
    pub(super) fn worker_link(&mut self, slot: ClientSlot) -> Result<LinkId, Stall> {
        let client = &self.clients[slot];
        if let Some(link) = self.links.of_client(client.worker, client.connection_id)? {
            return Ok(link);
        }
        let info =
            self.identity.client_info(client.connection_id, client.peer.address(), client.listener.into());
        let (worker, link) = self.rebind(client.worker, &info)?;
        self.clients[slot].worker = Some(worker);
        Ok(link)
    }

    /// Chooses a worker for a client, in place of the one that it had.
    pub(super) fn rebind(
        &mut self,
        before: Option<WorkerId>,
        client: &ClientInfo,
    ) -> Result<(WorkerId, LinkId), Stall> {
        let asked = self.hooks.routes(self.now).then(|| self.ask_hook(client)).flatten();
        let (random, waiting_max) = (&mut self.random, self.settings.send_to_worker_buffer_size);
        let workers = &mut self.links.workers;
        let chosen = match asked {
            Some(worker) => Some(workers.bind_to(worker)),
            None => workers.bind(self.settings.router, random.usize(..), waiting_max),
        };
        let worker = chosen.ok_or(Stall::NoWorker)?;
        workers.unbind(before);
        Ok((worker, workers.link(worker).ok_or(Stall::NoWorker)?))
    }

    fn ask_hook(&mut self, info: &ClientInfo) -> Option<WorkerId> {
        let (ids, infos): (Vec<_>, Vec<_>) = self.links.workers.connected().unzip();
        if ids.is_empty() {
            return None;
        }
        self.hooks.route(self.now, info, &infos).map(|index| ids[index])
    }

    /// Queues an event of a client on a link that has been found for it.
    pub(super) fn emit(
        &mut self,
        slot: ClientSlot,
        id: LinkId,
        event: ClientEvent<'_>,
    ) -> Result<(), TooLarge> {
        let client = &self.clients[slot];
        let about = Subject {
            gateway: self.identity.address,
            connection_id: client.connection_id,
            peer: &client.peer,
            port: self.settings.listen[usize::from(client.listener)].address.port(),
            session: &client.session,
        };
        let link = self.links.get_mut(id).expect("a worker's link is forgotten when it closes");
        let weight = link.queue_event(&mut self.output, &about, &event, Some(client.socket))?;
        let period = link.period(&self.clients.shares, self.now);
        let client = &mut self.clients[slot];
        client.in_flight += weight;
        if let Some(period) = period {
            client.spent.add(event.body.len(), period);
        }
        if let Some(repeat) = event.repeat {
            self.note_repeat(id, repeat);
        }
        Ok(())
    }
}
