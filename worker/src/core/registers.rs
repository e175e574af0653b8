//! Where the gateways are: a connection to each register, and the union of what they list (WIRE.md §2).

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use hashbrown::HashSet;
use protocol::register_client::{Action as ClientAction, Connection, Limits, News, RegisterClient, Role};
use tracing::{debug, info, warn};

use super::connections::{ConnId, Purpose};
use super::{Action, Core, Timer};
use crate::config::Config;

/// What a core knows of its registers.
#[derive(Debug)]
pub(super) struct Registers {
    list: Vec<Register>,
    /// One of them has listed gateways.
    has_listed: bool,
    /// Listed by none of them, perhaps, and there all the same.
    own_gateway: Option<SocketAddrV4>,
}

#[derive(Debug)]
struct Register {
    client: RegisterClient,
    conn: Option<ConnId>,
    /// The last list; one that is away keeps its last one.
    list: HashSet<SocketAddrV4>,
    /// A list came on the connection that stands: whoever is in the first one of a register that was away may have started
    /// again meanwhile.
    is_listed: bool,
}

impl Registers {
    pub(super) fn new(config: &Config, own_gateway: Option<SocketAddrV4>) -> Registers {
        let register = |address: &String| Register {
            client: RegisterClient::new(
                address.clone(),
                Role::Follower,
                config.secret_key.clone(),
                Limits::default(),
            ),
            conn: None,
            list: HashSet::new(),
            is_listed: false,
        };
        let list = config.register_addresses.iter().map(register).collect();
        Registers { list, has_listed: false, own_gateway }
    }

    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    pub(super) fn own_gateway(&self) -> Option<SocketAddrV4> {
        self.own_gateway
    }

    /// Whether one has answered, if there is one.
    pub(super) fn have_listed(&self) -> bool {
        self.has_listed || self.list.is_empty()
    }

    fn lists(&self, gateway: SocketAddrV4) -> bool {
        self.own_gateway == Some(gateway) || self.list.iter().any(|register| register.list.contains(&gateway))
    }
}

impl Core {
    pub(super) fn register_resolved(&mut self, index: usize) -> bool {
        let now = self.now_ms();
        let client = &mut self.registers.list[index].client;
        let is_wanted = client.is_looking_up(Connection::Main);
        if is_wanted {
            client.on_connecting(now, Connection::Main);
            self.follow_register(index);
        }
        is_wanted
    }

    pub(super) fn register_opened(&mut self, index: usize) {
        let now = self.now_ms();
        let register = &mut self.registers.list[index];
        register.is_listed = false;
        register.client.on_connected(now, Connection::Main);
        self.follow_register(index);
    }

    pub(super) fn register_received(&mut self, index: usize, bytes: &[u8]) {
        let now = self.now_ms();
        self.registers.list[index].client.on_bytes(now, Connection::Main, bytes);
        self.follow_register(index);
    }

    pub(super) fn register_ended(&mut self, index: usize, error: io::Error) {
        let now = self.now_ms();
        self.registers.list[index].client.on_failed(now, Connection::Main, error);
        self.follow_register(index);
    }

    pub(super) fn register_due(&mut self, index: usize) {
        let now = self.now_ms();
        if let Some(register) = self.registers.list.get_mut(index) {
            register.client.on_tick(now);
            self.follow_register(index);
        }
    }

    /// No gateway is new to a core that ends.
    pub(crate) fn leave_registers(&mut self) {
        for conn in std::mem::take(&mut self.registers.list).into_iter().filter_map(|register| register.conn)
        {
            self.close(conn);
        }
    }

    fn now_ms(&self) -> u64 {
        protocol::millis(self.now)
    }

    /// Does what the client of a register wants.
    fn follow_register(&mut self, index: usize) {
        while let Some(action) = self.registers.list[index].client.next_action() {
            match action {
                ClientAction::Connect(_) => {
                    let conn = self.connections.add(Purpose::Register(index));
                    let register = &mut self.registers.list[index];
                    register.conn = Some(conn);
                    let name = register.client.register().to_owned();
                    self.actions.push(Action::ConnectByName(conn, name));
                }
                ClientAction::Close(_) => {
                    if let Some(conn) = self.registers.list[index].conn.take() {
                        self.close(conn);
                    }
                }
                ClientAction::News(news) => self.register_news(index, news),
            }
        }
        let register = &mut self.registers.list[index];
        if let Some(conn) = register.conn {
            let unsent = register.client.unsent(Connection::Main);
            if !unsent.is_empty() {
                self.connections.tail(conn).extend_from_slice(unsent);
                let size = unsent.len();
                register.client.on_sent(Connection::Main, size);
            }
        }
        let deadline = register.client.deadline();
        if deadline < u64::MAX {
            self.timers.arm(Timer::Register(index), Duration::from_millis(deadline));
        }
    }

    fn register_news(&mut self, index: usize, news: News) {
        let register = self.registers.list[index].client.register();
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
            News::Gateways { gateways, left_out } => {
                if left_out > 0 {
                    debug!(register, left_out, "entries that are no address of a gateway, or too many");
                }
                self.take_list(index, &gateways);
            }
        }
    }

    /// Notes a register's new list, and connects to gateways that are new in it.
    fn take_list(&mut self, index: usize, gateways: &[SocketAddrV4]) {
        self.registers.has_listed = true;
        let register = &mut self.registers.list[index];
        let list: HashSet<_> = gateways.iter().copied().collect();
        let was_listed = std::mem::replace(&mut register.is_listed, true);
        let before = std::mem::replace(&mut register.list, list);
        let is_new = |gateway: &SocketAddrV4| !was_listed || !before.contains(gateway);
        for gateway in self.links.addresses() {
            let listed = self.registers.lists(gateway);
            if let Some(link) = self.links.find_mut(gateway) {
                link.listed = listed;
            }
        }
        let mut list: Vec<_> = self.registers.list[index].list.iter().copied().collect();
        list.sort_unstable();
        for gateway in list {
            match self.links.find_mut(gateway).map(|link| link.relist(is_new(&gateway))) {
                Some(true) => self.link_connect(gateway),
                Some(false) => {}
                None => self.link_begin(gateway),
            }
        }
        self.check_ready();
    }
}
