//! A shard and a core, joined by memory and by a wire: clients notice no difference.

mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::Duration;

use gateway_core::protocol::InnerAuth;
use gateway_core::{Identity, Sends, Settings, Sink};
use ringway_worker::core::Setup;
use ringway_worker::runtime::Host;
use ringway_worker::{Client, Config, Events, Gateway, Message, time};
use uring::{Acks, Short};

use self::wire::Wire;
use super::*;

const GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 2900);
const FIRST_SLOT: u32 = 64;
const ROOM: usize = 128 * 1024;

/// How a shard and its core are joined.
trait Joined: Near {
    fn new(random: fastrand::Rng) -> Self;
    fn core_hears(&mut self, core: &mut Runtime);
    fn shard_hears(&mut self, shard: &mut Shard, now: Millis);
    fn is_pending(&self) -> bool;
    fn shard_acts(&mut self, action: ShardAction);
    fn shard_sends(&mut self, socket: SocketId, bytes: &[u8]) -> usize;
    /// Whether each direction of each link keeps to its bound.
    fn is_bounded(&self) -> bool;
}

impl Joined for MemoryLinks {
    fn new(_random: fastrand::Rng) -> MemoryLinks {
        MemoryLinks::new(GATEWAY, FIRST_SLOT, ROOM)
    }

    fn core_hears(&mut self, core: &mut Runtime) {
        self.tell_core(core);
    }

    fn shard_hears(&mut self, shard: &mut Shard, now: Millis) {
        self.tell_shard(shard, now);
    }

    fn is_pending(&self) -> bool {
        MemoryLinks::is_pending(self)
    }

    fn shard_acts(&mut self, action: ShardAction) {
        MemoryLinks::shard_acts(self, action);
    }

    fn shard_sends(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        MemoryLinks::shard_sends(self, socket, &mut std::iter::once(IoSlice::new(bytes)))
    }

    fn is_bounded(&self) -> bool {
        self.links
            .iter()
            .all(|link| [&link.to_core, &link.to_shard].iter().all(|way| way.bytes.len() <= ROOM))
    }
}

/// What a message says is what is done.
struct App(Rc<RefCell<BTreeMap<u16, Vec<String>>>>);

impl App {
    fn note(&self, client: &Client, what: &str) {
        self.0.borrow_mut().entry(client.address().port()).or_default().push(what.to_owned());
    }
}

impl Events for App {
    async fn on_connect(&self, _gateway: &Gateway, client: &Client) {
        self.note(client, "connect");
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        self.note(client, &message.text());
        let text = message.text().into_owned();
        match text.split(' ').next().unwrap_or_default() {
            "late" => time::sleep(Duration::from_millis(text.len() as u64 * 7)).await,
            "ask" => {
                let online = gateway.is_online(client.id()).await;
                return gateway
                    .send_to_client(client.id(), format!("{} {}", online.value, online.missing.len()));
            }
            "count" => {
                client.edit_session(|session| {
                    let count = session.get("count").and_then(|count| count.as_int()).unwrap_or(0);
                    drop(session.insert("count", count + 1));
                    gateway.send_to_client(client.id(), format!("count {count}"));
                });
                return;
            }
            "all" => return gateway.send_to_all(text),
            "large" => return gateway.send_to_client(client.id(), vec![b'x'; 300_000]),
            "leave" => return gateway.close_client_with(client.id(), "bye"),
            _ => {}
        }
        gateway.send_to_client(client.id(), text);
    }

    async fn on_close(&self, _gateway: &Gateway, client: &Client) {
        self.note(client, "close");
    }

    async fn on_stop(&self, gateway: &Gateway) {
        gateway.send_to_all("stop");
    }
}

struct World<J> {
    shard: Shard,
    core: Runtime,
    joined: J,
    now: Rc<Cell<Duration>>,
    noted: Rc<RefCell<BTreeMap<u16, Vec<String>>>>,
    /// What each client was sent, by slot.
    sent: BTreeMap<u32, Vec<u8>>,
    closed: Vec<u32>,
    clients: HashMap<usize, SocketId>,
    accepted: usize,
}

struct WorldSink<'a, J> {
    joined: &'a mut J,
    sent: &'a mut BTreeMap<u32, Vec<u8>>,
    closed: &'a mut Vec<u32>,
}

impl<J: Joined> Sink for WorldSink<'_, J> {
    type Error = Infallible;

    fn act(&mut self, action: ShardAction) {
        match action {
            ShardAction::Close(socket) if (socket.index() as u32) < FIRST_SLOT => {
                self.closed.push(socket.index() as u32);
            }
            _ => self.joined.shard_acts(action),
        }
    }

    fn acknowledged(&mut self, _link: SocketId) -> Option<Acks> {
        None
    }

    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets() {
            let bytes: Vec<u8> = sends.bytes(*socket).flat_map(|slice| slice.to_vec()).collect();
            if (socket.index() as u32) < FIRST_SLOT {
                self.sent.entry(socket.index() as u32).or_default().extend(bytes);
                continue;
            }
            let sent = self.joined.shard_sends(*socket, &bytes);
            short.extend((sent < bytes.len()).then_some(Short { socket: *socket, sent }));
        }
        Ok(())
    }
}

impl<J: Joined> World<J> {
    fn new(seed: u64) -> World<J> {
        let listen = vec!["text://127.0.0.1:1000".parse().unwrap()];
        let inner_auth = if seed.is_multiple_of(2) { InnerAuth::Plain } else { InnerAuth::Challenge };
        let settings = Settings {
            inner_auth,
            listen,
            lan_ip: *GATEWAY.ip(),
            send_to_worker_buffer_size: 400,
            secret_key: "key".to_owned(),
            ..Settings::default()
        };
        let now = Rc::new(Cell::new(Duration::ZERO));
        let noted = Rc::default();
        let config = Config {
            register_addresses: Vec::new(),
            secret_key: "key".to_owned(),
            inner_auth,
            max_concurrent_events: 3,
            send_to_gateway_buffer_size: 4_000,
            ..Config::default()
        };
        let announced = Default::default();
        let setup =
            Setup { config, key_name: "core".to_owned(), index: 0, announced, own_gateway: Some(GATEWAY) };
        let clock = Rc::clone(&now);
        let host = Host { clock: Box::new(move || clock.get()), wake: Box::new(|| {}) };
        let app = App(Rc::clone(&noted));
        let mut world = World {
            shard: Shard::new(settings, Identity { address: GATEWAY, seed }, Millis(0)),
            core: Runtime::new(setup, host, || app),
            joined: J::new(fastrand::Rng::with_seed(seed)),
            now,
            noted,
            sent: BTreeMap::new(),
            closed: Vec::new(),
            clients: HashMap::new(),
            accepted: 0,
        };
        world.settle();
        world
    }

    fn millis(&self) -> Millis {
        Millis(u64::try_from(self.now.get().as_millis()).unwrap())
    }

    /// As a thread does it that has both, but with pipes for sockets.
    fn turn(&mut self) {
        let now = self.millis();
        let World { shard, core, joined, sent, closed, .. } = self;
        let Ok(()) = shard.turn(now, &mut WorldSink { joined, sent, closed });
        joined.core_hears(core);
        core.turn();
        let (mut actions, mut dirty) = (Vec::new(), Vec::new());
        core.take_actions(&mut actions);
        assert!(actions.iter().all(|action| matches!(action, CoreAction::Tell(_)) || joined.act(action)));
        core.take_dirty(&mut dirty);
        for conn in dirty {
            let size = joined.send(conn, core.unsent().of(conn));
            core.on_sent(conn, size.expect("there is one gateway"));
        }
        joined.shard_hears(shard, now);
        assert!(joined.is_bounded());
    }

    /// Until nothing happens any more but by time.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            self.turn();
            if !(self.shard.is_pending() || self.core.is_pending() || self.joined.is_pending()) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn pass(&mut self, time: Duration) {
        self.now.set(self.now.get() + time);
        self.shard.on_tick(self.millis());
        self.settle();
    }

    /// Until every handler has ended.
    fn rest(&mut self) {
        (0..100).for_each(|_| self.pass(Duration::from_millis(100)));
    }

    fn connect(&mut self) {
        let number = self.accepted;
        self.accepted += 1;
        let socket = SocketId::new(u32::try_from(number).unwrap(), 1);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000 + u16::try_from(number).unwrap()));
        self.shard.on_client_accepted(self.millis(), 0, socket, peer);
        self.clients.insert(number, socket);
    }

    fn say(&mut self, client: usize, text: &str) {
        self.shard.on_received(self.millis(), self.clients[&client], &mut text.as_bytes().to_vec());
    }

    fn leave(&mut self, client: usize) {
        self.shard.on_end_of_stream(self.millis(), self.clients[&client]);
    }
}

/// What came of it: what each client was sent, what handlers were told of each, and whose sockets were closed.
type History = (BTreeMap<u32, Vec<u8>>, BTreeMap<u16, Vec<String>>, Vec<u32>);

/// A run of steps that the seed draws; how the two are joined has no say in them.
fn run<J: Joined>(seed: u64) -> History {
    let mut world = World::<J>::new(seed);
    let mut random = fastrand::Rng::with_seed(!seed);
    (0..4).for_each(|_| world.connect());
    world.settle();
    for step in 0..60 {
        let here: Vec<usize> = {
            let closed = &world.closed;
            let mut here: Vec<_> = world.clients.keys().copied().collect();
            here.retain(|client| !closed.contains(&(*client as u32)));
            here.sort_unstable();
            here
        };
        let what = random.u32(..12);
        if [1, 2, 4].contains(&what) {
            // What goes on meanwhile has no order that clients could count on.
            world.rest();
        }
        match what {
            0 if world.accepted < 20 => world.connect(),
            1 if here.len() > 2 => world.leave(here[random.usize(..here.len())]),
            2 => world.say(here[0], &format!("all {step}\n")),
            3 => world.say(here[random.usize(..here.len())], "large\n"),
            4 if here.len() > 2 => {
                world.say(here[random.usize(..here.len())], "leave\n");
                world.rest();
            }
            _ => {
                for number in 0..random.usize(1..30) {
                    let word = ["echo", "late", "ask", "count"][random.usize(..4)];
                    world.say(here[random.usize(..here.len())], &format!("{word} {step}.{number}\n"));
                }
            }
        }
        world.settle();
        if random.bool() {
            world.pass(Duration::from_millis(random.u64(..200)));
        }
    }
    world.rest();
    world.core.stop();
    world.settle();
    (0..5).for_each(|_| world.pass(Duration::from_millis(500)));
    assert!(world.core.is_over(), "the core ends");
    assert_eq!((world.shard.worker_count(), world.core.status().queued_bytes), (0, 0));
    let mut closed = world.closed;
    closed.sort_unstable();
    let noted = world.noted.borrow().clone();
    (world.sent, noted, closed)
}

#[test]
fn clients_get_the_same_bytes_and_handlers_the_same_events_over_memory_and_over_a_wire() {
    let only = std::env::var("RINGWAY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..100, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let [memory, wire] = [run::<MemoryLinks>(seed), run::<Wire>(seed)];
        assert!(memory.0.values().map(Vec::len).sum::<usize>() > 1_000, "clients were answered");
        let (memory, wire) = (shown(&memory), shown(&wire));
        for (client, over_memory) in &memory {
            assert_eq!(
                Some(over_memory),
                wire.get(client),
                "client {client}, RINGWAY_SEED={seed} repeats it"
            );
        }
        assert_eq!(memory.len(), wire.len(), "seed {seed}");
    }
}

/// By client: what it was sent, what handlers were told of it, whether its socket was closed.
fn shown(history: &History) -> BTreeMap<u32, (String, Vec<String>, bool)> {
    let (sent, events, closed) = history;
    let client = |socket: &u32| {
        let text = String::from_utf8_lossy(&sent[socket]).replace(&"x".repeat(300_000), "<large>");
        let events = events.get(&(5000 + *socket as u16)).cloned().unwrap_or_default();
        (*socket, (text, events, closed.contains(socket)))
    };
    sent.keys().map(client).collect()
}

#[test]
fn the_links_of_a_core_that_has_ended_are_forgotten() {
    let mut world = World::<MemoryLinks>::new(1);
    assert_eq!(world.joined.links.len(), 1);
    world.connect();
    world.say(0, "ask\n");
    world.settle();
    assert_eq!(world.joined.links.len(), 2, "one for commands, one for queries");
    world.core.stop();
    world.settle();
    world.pass(Duration::from_secs(2));
    assert_eq!((world.core.is_over(), world.joined.links.len()), (true, 0));
}
