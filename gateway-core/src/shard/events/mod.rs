//! What clients do, on its way to their workers: as frames on links, or waiting for a link.

pub(super) mod departed;
pub(super) mod reroute;
pub(super) mod route;

use std::net::SocketAddrV4;

use protocol::inner::{Cmd, FLAG_BINARY, FLAG_TEXT, Frame};

use super::Shard;
use super::clients::ClientSlot;
use super::links::LinkId;
use super::links::link::Link;
use super::output::Output;

/// An event for a client's worker: what differs between frames of one client.
pub(crate) struct ClientEvent<'a> {
    pub cmd: Cmd,
    pub flag: u8,
    pub body: &'a [u8],
}

/// Whom an event is about, as its frame says it (WIRE.md §4).
pub(crate) struct Subject<'a> {
    pub gateway: SocketAddrV4,
    pub connection_id: u32,
    pub address: SocketAddrV4,
    /// The port that it connected to.
    pub port: u16,
    pub session: &'a [u8],
}

/// An event that does not fit into a frame of the inner protocol.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl Link {
    /// Queues an event. PHP's workers are not told text from binary.
    pub(super) fn queue_event(
        &mut self,
        output: &mut Output,
        about: &Subject<'_>,
        event: &ClientEvent<'_>,
    ) -> Result<(), TooLarge> {
        let kinds = if self.ringway { 0 } else { FLAG_TEXT | FLAG_BINARY };
        let frame = Frame {
            cmd: event.cmd as u8,
            gateway: about.gateway,
            client: about.address,
            connection_id: about.connection_id,
            flag: event.flag & !kinds,
            gateway_port: about.port,
            ext: about.session,
            body: event.body,
        };
        if frame.size() > self.frame_size_max() {
            return Err(TooLarge);
        }
        self.queue_frame(output, &frame);
        Ok(())
    }
}

impl Shard {
    /// Queues an event of a client on a link that has been found for it.
    pub(super) fn emit(
        &mut self,
        slot: ClientSlot,
        link: LinkId,
        event: ClientEvent<'_>,
    ) -> Result<(), TooLarge> {
        let client = &self.clients[slot];
        let about = Subject {
            gateway: self.identity.address,
            connection_id: client.connection_id,
            address: client.peer.v4(),
            port: self.settings.listen[usize::from(client.listener)].address.port(),
            session: &client.session,
        };
        let link = self.links.get_mut(link).expect("a worker's link is forgotten when it closes");
        link.queue_event(&mut self.output, &about, &event)
    }
}
