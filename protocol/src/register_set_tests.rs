use super::Connection::Main;
use super::*;
use crate::register::{Broadcast, PONG};

const NAME: &str = "registers.example:1236";

/// A set and the world around it, in which the clock goes from one deadline to the next.
struct Scene {
    set: RegisterSet,
    now: u64,
    /// Connections that were asked for and not closed.
    conns: Vec<(RegisterConn, SocketAddr)>,
    /// What happened, one line each.
    log: Vec<String>,
}

impl Scene {
    fn new(addresses: &[&str], role: Role) -> Scene {
        let addresses: Vec<_> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let set = RegisterSet::new(&addresses, role, String::new(), Limits::default());
        let mut scene = Scene { set, now: 0, conns: Vec::new(), log: Vec::new() };
        scene.tick();
        scene
    }

    fn follower(addresses: &[&str]) -> Scene {
        Scene::new(addresses, Role::Follower)
    }

    fn tick(&mut self) {
        self.set.on_tick(self.now);
        self.see();
    }

    fn see(&mut self) {
        while let Some(action) = self.set.next_action() {
            let line = match action {
                Action::LookUp(index) => format!("look up {}", self.set.name(index)),
                Action::Connect(conn, address) => {
                    assert!(self.conns.iter().all(|(other, _)| *other != conn), "it is there already");
                    self.conns.push((conn, address));
                    let what = if conn.connection == Main { "connect" } else { "probe" };
                    format!("{what} {address}")
                }
                Action::Close(conn) => {
                    self.conns.retain(|(other, _)| *other != conn);
                    continue;
                }
                Action::Tell(label, News::Held) => format!("{label}: held"),
                Action::Tell(label, News::Listed { gateways, .. }) => {
                    format!("{label}: {} gateways", gateways.len())
                }
                Action::Tell(label, News::Lost { error, .. }) => format!("{label}: {error}"),
                Action::Unlisted => "unlisted".to_owned(),
            };
            self.log.push(line);
        }
        for (conn, _) in &self.conns {
            let size = self.set.unsent(*conn).len();
            self.set.on_sent(*conn, size);
        }
    }

    fn found(&mut self, addresses: &[u8]) {
        let addresses = addresses.iter().map(|host| address(*host)).collect();
        self.set.on_looked_up(self.now, 0, Ok(addresses));
        self.see();
    }

    fn not_found(&mut self) {
        self.set.on_looked_up(self.now, 0, Err(io::Error::other("no such name")));
        self.see();
    }

    fn conn(&self, host: u8) -> RegisterConn {
        let mut conns =
            self.conns.iter().filter(|(conn, to)| *to == address(host) && conn.connection == Main);
        conns.next().expect("there is a connection").0
    }

    /// The register at `host` takes the connection and lists gateways.
    fn lists(&mut self, host: u8, gateways: &[u16]) {
        let conn = self.conn(host);
        self.set.on_connected(self.now, conn);
        let addresses = gateways.iter().map(|port| gateway(*port).to_string()).collect();
        let mut line = Vec::new();
        Broadcast { addresses }.encode(&mut line);
        self.set.on_bytes(self.now, conn, &line);
        self.see();
    }

    fn ends(&mut self, host: u8) {
        self.set.on_end_of_stream(self.now, self.conn(host));
        self.see();
    }

    /// Time passes up to and with `until`. Registers that are connected answer pings.
    fn pass(&mut self, until: u64) {
        while self.set.deadline() <= until {
            assert!(self.set.deadline() > self.now, "a deadline that was met comes again");
            self.now = self.set.deadline();
            self.tick();
            for (conn, _) in self.conns.clone() {
                self.set.on_bytes(self.now, conn, PONG);
            }
            self.see();
        }
        self.now = until;
    }

    fn counting(&self) -> Vec<u16> {
        (0..10).filter(|port| self.set.lists(gateway(*port))).collect()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 1236))
}

fn gateway(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new([10, 0, 1, 1].into(), port)
}

#[test]
fn what_counts_is_the_union_of_all_lists() {
    let mut scene = Scene::follower(&["10.0.0.1:1236", "10.0.0.2:1236"]);
    assert_eq!(scene.take_log(), ["connect 10.0.0.1:1236", "connect 10.0.0.2:1236"]);
    scene.lists(1, &[1, 2]);
    assert!(!scene.set.are_all_tried());
    scene.lists(2, &[2, 3]);
    assert!(scene.set.are_all_tried() && scene.set.are_all_held());
    assert_eq!(scene.counting(), [1, 2, 3]);
    // One gateway is known by the other register alone when this one comes back with nothing.
    scene.ends(1);
    assert_eq!(scene.counting(), [1, 2, 3]);
    scene.pass(500);
    scene.lists(1, &[]);
    assert_eq!(scene.counting(), [1, 2, 3]);
    scene.take_log();
    scene.pass(500 + RETURN_GRACE_MS);
    assert_eq!((scene.counting(), scene.take_log()), (vec![2, 3], vec!["unlisted".to_owned()]));
}

#[test]
fn all_addresses_of_a_name_are_registers() {
    let mut scene = Scene::new(&[NAME], Role::Gateway("10.0.1.1:2900".to_owned()));
    assert_eq!(scene.take_log(), [format!("look up {NAME}")]);
    scene.found(&[2, 1, 2]);
    assert_eq!(scene.take_log(), ["connect 10.0.0.1:1236", "connect 10.0.0.2:1236"]);
    for host in [1, 2] {
        let conn = scene.conn(host);
        scene.set.on_connected(0, conn);
        scene.set.on_bytes(0, conn, PONG);
    }
    scene.see();
    assert_eq!(scene.take_log(), [1, 2].map(|host| format!("{NAME} (10.0.0.{host}:1236): held")));
    // Another one is found within half a minute.
    scene.pass(30_000);
    assert_eq!(scene.take_log(), [format!("look up {NAME}")]);
    scene.found(&[1, 2, 3]);
    assert_eq!(scene.take_log(), ["connect 10.0.0.3:1236"]);
}

#[test]
fn a_gateway_asks_a_silent_register_at_the_address_where_it_is() {
    let mut scene = Scene::new(&[NAME], Role::Gateway("10.0.1.1:2900".to_owned()));
    scene.found(&[1, 2]);
    for host in [1, 2] {
        scene.set.on_connected(0, scene.conn(host));
    }
    scene.set.on_bytes(0, scene.conn(1), PONG);
    scene.see();
    scene.take_log();
    scene.now = scene.set.deadline();
    while scene.log.is_empty() {
        scene.now = scene.set.deadline();
        scene.tick();
    }
    assert_eq!(scene.take_log(), ["probe 10.0.0.2:1236"]);
}

/// A register is replaced by one that has another address.
#[test]
fn a_name_is_looked_up_before_each_attempt_and_who_is_gone_counts_a_minute_more() {
    let mut scene = Scene::follower(&[NAME]);
    scene.found(&[1, 2]);
    scene.lists(1, &[1]);
    scene.lists(2, &[2]);
    scene.take_log();
    scene.ends(1);
    scene.pass(500);
    let closed = format!("{NAME} (10.0.0.1:1236): closed by the register");
    assert_eq!(scene.take_log(), [closed, format!("look up {NAME}")]);
    scene.found(&[2, 3]);
    assert_eq!(scene.take_log(), ["connect 10.0.0.3:1236"]);
    scene.lists(3, &[]);
    assert_eq!(scene.counting(), [1, 2]);
    scene.pass(400 + RETURN_GRACE_MS);
    assert_eq!(scene.counting(), [1, 2]);
    scene.pass(500 + RETURN_GRACE_MS);
    assert_eq!((scene.counting(), scene.set.register_count()), (vec![2], 2));
}

#[test]
fn a_connection_that_works_outlives_its_address() {
    let mut scene = Scene::follower(&[NAME]);
    scene.found(&[1, 2]);
    scene.lists(1, &[1]);
    scene.lists(2, &[2]);
    scene.pass(30_000);
    scene.found(&[2]);
    scene.pass(60_000);
    scene.found(&[2]);
    assert_eq!((scene.conns.len(), scene.counting()), (2, vec![1, 2]));
}

#[test]
fn an_address_that_comes_back_is_connected_to_again() {
    let mut scene = Scene::follower(&[NAME]);
    scene.found(&[1]);
    scene.lists(1, &[1]);
    scene.ends(1);
    scene.pass(500);
    scene.found(&[2]);
    scene.lists(2, &[]);
    scene.take_log();
    scene.pass(30_500);
    scene.found(&[1, 2]);
    assert_eq!(scene.take_log(), [format!("look up {NAME}"), "connect 10.0.0.1:1236".to_owned()]);
    // It is away until it lists something.
    scene.pass(30_500 + 2_000);
    assert_eq!(scene.counting(), [1]);
}

#[test]
fn while_names_cannot_be_looked_up_the_last_addresses_are_tried() {
    let mut scene = Scene::follower(&[NAME]);
    scene.not_found();
    assert!(scene.set.are_all_tried(), "it has failed");
    assert_eq!(scene.take_log()[1..], [format!("{NAME}: no such name")]);
    scene.pass(500);
    assert_eq!(scene.take_log(), [format!("look up {NAME}")]);
    scene.found(&[1]);
    scene.lists(1, &[1]);
    scene.ends(1);
    scene.pass(1_000);
    scene.take_log();
    scene.not_found();
    assert_eq!(scene.take_log(), ["connect 10.0.0.1:1236"]);
}

#[test]
fn of_both_kinds_of_addresses_those_of_ipv4_count_and_of_many_the_first() {
    let v6: SocketAddr = "[::1]:1236".parse().unwrap();
    assert_eq!(preferred(vec![v6, address(1)]).unwrap(), [address(1)]);
    assert_eq!(preferred(vec![v6]).unwrap(), [v6]);
    assert!(preferred(Vec::new()).is_err());
    let many = preferred((0..100).rev().map(address).collect()).unwrap();
    assert_eq!((many.len(), many[15]), (ADDRESSES_MAX, address(15)));
    let given = [NAME.to_owned(), "10.0.0.1:1236".to_owned()];
    assert_eq!(RegisterSet::connections_max(&given), 2 * (ADDRESSES_MAX + 1));
}

#[test]
fn what_comes_of_a_register_that_is_gone_is_ignored() {
    let mut scene = Scene::follower(&[NAME]);
    scene.found(&[1]);
    let conn = scene.conn(1);
    scene.set.on_failed(0, conn, io::Error::other("refused"));
    scene.see();
    scene.pass(500);
    scene.found(&[2]);
    scene.set.on_connected(500, conn);
    scene.set.on_bytes(500, conn, b"nonsense");
    assert_eq!((scene.set.unsent(conn), scene.set.register_count()), (&[][..], 1));
}

#[test]
fn a_register_is_told_of_an_admin_address_that_it_gets_to() {
    let own_address = |admin: &str, register: &str| {
        let role = Role::Gateway("10.0.0.9:2900".to_owned());
        let set = RegisterSet::new(&[register.to_owned()], role, String::new(), Limits::default());
        let mut set = set.with_admin(Some(admin.parse().unwrap()));
        set.on_tick(0);
        let Some(Action::Connect(conn, address)) = set.next_action() else { panic!("it connects") };
        set.on_connected(0, conn);
        let said = String::from_utf8_lossy(set.unsent(conn)).into_owned();
        let told = said.lines().next().unwrap().ends_with(",\"admin\":9501}");
        (told, set.connect_from(address).map(|from| from.to_string()))
    };
    let from = |address: &str| Some(address.to_owned());
    // On this machine it has to find the address that the process tells of itself at.
    assert_eq!(own_address("127.0.0.2:9501", "127.0.0.1:1236"), (true, from("127.0.0.2")));
    assert_eq!(own_address("10.0.0.9:9501", "127.0.0.1:1236"), (true, from("10.0.0.9")));
    assert_eq!(own_address("0.0.0.0:9501", "127.0.0.1:1236"), (true, None));
    assert_eq!(own_address("[::1]:9501", "127.0.0.1:1236"), (true, None));
    // Elsewhere the way there decides.
    assert_eq!(own_address("10.0.0.9:9501", "10.0.0.1:1236"), (true, None));
    assert_eq!(own_address("127.0.0.1:9501", "10.0.0.1:1236"), (false, None));
    assert_eq!(own_address("10.0.0.9:0", "10.0.0.1:1236"), (false, None));
}
