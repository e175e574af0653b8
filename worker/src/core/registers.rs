//! Where the gateways are: a connection to each register, and the union of what they list (WIRE.md §2).

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use protocol::register_client::{Limits, Role};
use protocol::register_set::{Action as SetAction, Listing, News, RegisterConn, RegisterSet};
use protocol::{Credentials, Nonces};
use tracing::{debug, info, warn};

use super::connections::{ConnId, Purpose};
use super::{Action, Core, Timer};
use crate::config::Config;

/// What a core knows of its registers.
#[derive(Debug)]
pub(super) struct Registers {
    set: RegisterSet,
    conns: Vec<(RegisterConn, ConnId)>,
    /// One of them has listed gateways.
    has_listed: bool,
    /// Listed by none of them, perhaps, and there all the same.
    own_gateway: Option<SocketAddrV4>,
}

impl Registers {
    pub(super) fn new(config: &Config, nonces: &Nonces, own_gateway: Option<SocketAddrV4>) -> Registers {
        let credentials = Credentials::new(config.secret_key.clone(), config.inner_auth, nonces);
        let addresses = &config.register_addresses;
        let set = RegisterSet::new(addresses, Role::Follower, credentials, Limits::default())
            .with_admin(config.admin);
        Registers { set, conns: Vec::new(), has_listed: false, own_gateway }
    }

    pub(super) fn own_gateway(&self) -> Option<SocketAddrV4> {
        self.own_gateway
    }

    /// Whether one has answered, if there is one.
    pub(super) fn have_listed(&self) -> bool {
        self.has_listed || self.set.is_empty()
    }

    fn lists(&self, gateway: SocketAddrV4) -> bool {
        self.own_gateway == Some(gateway) || self.set.lists(gateway)
    }
}

impl Core {
    pub(super) fn register_looked_up(&mut self, index: usize, found: io::Result<Vec<SocketAddr>>) {
        let now = self.now_ms();
        self.registers.set.on_looked_up(now, index, found);
        self.follow_registers();
    }

    pub(super) fn register_opened(&mut self, conn: RegisterConn) {
        let now = self.now_ms();
        self.registers.set.on_connected(now, conn);
        self.follow_registers();
    }

    pub(super) fn register_received(&mut self, conn: RegisterConn, bytes: &[u8]) {
        let now = self.now_ms();
        self.registers.set.on_bytes(now, conn, bytes);
        self.follow_registers();
    }

    pub(super) fn register_ended(&mut self, conn: RegisterConn, error: io::Error) {
        let now = self.now_ms();
        self.registers.set.on_failed(now, conn, error);
        self.follow_registers();
    }

    pub(super) fn registers_due(&mut self) {
        let now = self.now_ms();
        self.registers.set.on_tick(now);
        self.follow_registers();
    }

    /// No gateway is new to a core that ends.
    pub(crate) fn leave_registers(&mut self) {
        self.registers.set.clear();
        for (_, conn) in std::mem::take(&mut self.registers.conns) {
            self.close(conn);
        }
    }

    fn now_ms(&self) -> u64 {
        protocol::millis(self.now)
    }

    /// Does what the registers' clients want.
    fn follow_registers(&mut self) {
        while let Some(action) = self.registers.set.next_action() {
            match action {
                SetAction::LookUp(index) => {
                    let name = self.registers.set.name(index).to_owned();
                    self.actions.push(Action::LookUp(index, name));
                }
                SetAction::Connect(register, address) => {
                    let from = self.registers.set.connect_from(address);
                    let conn = self.connect_from(Purpose::Register(register), address, from);
                    self.registers.conns.push((register, conn));
                }
                SetAction::Close(register) => {
                    let conns = &mut self.registers.conns;
                    if let Some(place) = conns.iter().position(|(other, _)| *other == register) {
                        let (_, conn) = conns.remove(place);
                        self.close(conn);
                    }
                }
                SetAction::Tell(register, news) => self.register_news(&register, news),
                SetAction::Unlisted => self.note_listed(),
            }
        }
        for (register, conn) in &self.registers.conns {
            let unsent = self.registers.set.unsent(*register);
            if !unsent.is_empty() {
                self.connections.tail(*conn).extend_from_slice(unsent);
                let size = unsent.len();
                self.registers.set.on_sent(*register, size);
            }
        }
        let deadline = self.registers.set.deadline();
        if deadline < u64::MAX {
            self.timers.arm(Timer::Registers, Duration::from_millis(deadline));
        }
    }

    fn register_news(&mut self, register: &str, news: News) {
        match news {
            News::Held if self.announced.is_new_register(register) => {
                info!(register, core = self.index, "connected to register");
            }
            News::Held => {}
            News::Lost { error, was_held } => {
                if !self.announced.is_new_failure(register, &error, was_held) {
                    debug!(register, core = self.index, "no register: {error}");
                } else if was_held {
                    warn!(register, core = self.index, "lost register, trying on: {error}");
                } else {
                    warn!(register, core = self.index, "no register, trying on: {error}");
                }
            }
            News::Listed { gateways, left_out } => {
                if left_out > 0 {
                    debug!(register, left_out, "entries that are no address of a gateway, or too many");
                }
                self.take_list(gateways);
            }
        }
    }

    /// Notes a register's new list, and connects to gateways that are new in it.
    fn take_list(&mut self, mut list: Vec<Listing>) {
        self.registers.has_listed = true;
        self.note_listed();
        list.sort_unstable_by_key(|listing| listing.gateway);
        list.dedup_by_key(|listing| listing.gateway);
        for Listing { gateway, is_new } in list {
            match self.links.find_mut(gateway).map(|link| link.relist(is_new)) {
                Some(true) => self.link_connect(gateway),
                Some(false) => {}
                None => self.link_begin(gateway),
            }
        }
        self.check_ready();
    }

    /// Notes of each gateway whether registers list it. One that they do not keeps its link, if it has one.
    fn note_listed(&mut self) {
        for gateway in self.links.addresses() {
            let listed = self.registers.lists(gateway);
            if let Some(link) = self.links.find_mut(gateway) {
                link.listed = listed;
            }
        }
    }
}
