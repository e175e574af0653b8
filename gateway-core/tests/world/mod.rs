//! A fake ring around a shard: sockets with little room, chunks of any size, ends at any time. Deterministic.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddrV4};

use gateway_core::{Action, Identity, Listen, Millis, Notice, Sends, Settings, Shard, Sink};
use protocol::inner::{self, Cmd, EventRange, Frame, Run, Window, ext};
use uring::{Acks, Short, SocketId};

/// The other end of a socket of the shard.
pub(crate) struct Peer {
    pub socket: SocketId,
    /// Sent by the peer, not delivered yet.
    pub inbox: VecDeque<u8>,
    /// Sent by the shard.
    pub received: Vec<u8>,
    /// The peer says FIN once its inbox is delivered.
    pub ending: bool,
    pub paused: bool,
    /// The shard said FIN.
    pub shut: bool,
    pub closed: bool,
    /// Bytes the socket takes until the peer reads; `None`: any number.
    pub room: Option<usize>,
    /// What the kernel would tell of its acknowledgements; `None`: nothing.
    pub acks: Option<Acks>,
    blocked: bool,
}

pub(crate) struct World {
    pub shard: Shard,
    pub now: Millis,
    pub peers: Vec<Peer>,
    /// What an operator would be told.
    pub notices: Vec<Notice>,
    /// Indices into `peers`.
    by_socket: HashMap<SocketId, usize>,
    free_slots: Vec<u32>,
    /// The shard wants no new clients.
    pub holds_accepts: bool,
}

/// What a shard wanted done in a turn.
#[derive(Default)]
pub(crate) struct Turn {
    pub actions: Vec<Action>,
    /// One for each send.
    pub sent: Vec<SocketId>,
    /// The ring would have waited in the system call of the sends.
    pub waits: bool,
}

/// A shard's turns take effect on its peers.
struct FakeSink<'a> {
    peers: &'a mut [Peer],
    by_socket: &'a HashMap<SocketId, usize>,
    free_slots: &'a mut Vec<u32>,
    holds_accepts: &'a mut bool,
    turn: Turn,
    /// The ring would wait by now: whatever follows would be late.
    waits: bool,
}

impl FakeSink<'_> {
    fn peer(&mut self, socket: SocketId) -> &mut Peer {
        &mut self.peers[self.by_socket[&socket]]
    }
}

impl Sink for FakeSink<'_> {
    type Error = Infallible;

    fn act(&mut self, action: Action) {
        assert!(!self.waits, "nothing was to follow from the last sends, and then {action:?}");
        self.turn.actions.push(action);
        match action {
            Action::Pause(socket) => self.peer(socket).paused = true,
            Action::Resume(socket) => self.peer(socket).paused = false,
            Action::Shutdown(socket) => self.peer(socket).shut = true,
            Action::HoldAccepts(held) => *self.holds_accepts = held,
            Action::Close(socket) => {
                let peer = self.peer(socket);
                assert!(!peer.closed, "a socket is closed once");
                peer.closed = true;
                self.free_slots.push(socket.index() as u32);
            }
        }
    }

    fn acknowledged(&mut self, link: SocketId) -> Option<Acks> {
        self.peer(link).acks
    }

    fn send(&mut self, sends: Sends<'_>, short: &mut Vec<Short>) -> Result<(), Infallible> {
        for socket in sends.sockets() {
            self.turn.sent.push(*socket);
            let bytes: Vec<u8> = sends.bytes(*socket).flat_map(|slice| slice.to_vec()).collect();
            let peer = self.peer(*socket);
            if peer.closed {
                continue;
            }
            assert!(!peer.shut || bytes.is_empty(), "nothing is sent behind a FIN");
            let sent = peer.room.unwrap_or(usize::MAX).min(bytes.len());
            peer.room = peer.room.map(|room| room - sent);
            peer.received.extend(&bytes[..sent]);
            if sent < bytes.len() {
                peer.blocked = true;
                short.push(Short { socket: *socket, sent });
            }
        }
        self.waits = sends.are_last() && short.is_empty();
        Ok(())
    }
}

impl World {
    pub(crate) fn new(settings: Settings) -> World {
        World::seeded(settings, u64::from(u32::MAX) << 32)
    }

    /// With a seed for what the shard chooses at random. Connection ids begin behind its lower half.
    pub(crate) fn seeded(settings: Settings, seed: u64) -> World {
        let identity = Identity { address: SHARD, seed };
        World {
            shard: Shard::new(settings, identity, Millis(0)),
            now: Millis(0),
            peers: Vec::new(),
            notices: Vec::new(),
            by_socket: HashMap::new(),
            free_slots: Vec::new(),
            holds_accepts: false,
        }
    }

    /// Text clients, and nothing else set.
    pub(crate) fn text() -> World {
        World::new(Settings { listen: listen(&["text://127.0.0.1:1000"]), ..Settings::default() })
    }

    /// A client at a listener; returns its index in `peers`.
    pub(crate) fn client(&mut self, listener: u8) -> usize {
        let peer = self.accept(listener);
        self.settle();
        peer
    }

    /// The same, and what comes of it waits for the next turn.
    pub(crate) fn accept(&mut self, listener: u8) -> usize {
        let peer = self.open();
        let address = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), (peer as u16).wrapping_add(5000));
        self.shard.on_client_accepted(self.now, listener, self.peers[peer].socket, address.into());
        peer
    }

    /// Somebody at a listener, from this address.
    pub(crate) fn client_from(&mut self, listener: u8, address: &str) -> usize {
        let peer = self.open();
        let address = address.parse().expect("an address");
        self.shard.on_client_accepted(self.now, listener, self.peers[peer].socket, address);
        self.settle();
        peer
    }

    /// An inner connection that has said nothing yet.
    pub(crate) fn link(&mut self) -> usize {
        let peer = self.link_at_once();
        self.settle();
        peer
    }

    /// The same, and what is under way waits for the next turn.
    pub(crate) fn link_at_once(&mut self) -> usize {
        let peer = self.open();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, (peer as u16).wrapping_add(6000));
        self.shard.on_link_accepted(self.now, self.peers[peer].socket, address.into());
        peer
    }

    /// A worker of this key.
    pub(crate) fn worker(&mut self, key: &str) -> usize {
        let link = self.link();
        self.introduce(link, key, false);
        link
    }

    /// One of ours, which has been told that the gateway is too.
    pub(crate) fn ringway_worker(&mut self, key: &str) -> usize {
        let link = self.link();
        self.introduce(link, key, true);
        self.take(link);
        link
    }

    /// One of ours, in the shard's own thread.
    pub(crate) fn guest_worker(&mut self, key: &str) -> usize {
        let link = self.guest_link();
        self.introduce(link, key, true);
        self.take(link);
        link
    }

    /// A link of what is in the shard's own thread.
    pub(crate) fn guest_link(&mut self) -> usize {
        let link = self.open();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        self.shard.on_guest_link(self.now, self.peers[link].socket, address.into());
        link
    }

    /// One of ours that says which events are done, and until then takes so many, and so many bytes of them.
    pub(crate) fn windowed_worker(&mut self, key: &str, events: u32, bytes: u32) -> usize {
        let link = self.link();
        self.introduce_with_window(link, key, events, bytes);
        self.take(link);
        link
    }

    /// One of ours that says which events are safe, of this run; it takes as much as any test needs.
    pub(crate) fn acking_worker(&mut self, key: &str, run: u64) -> usize {
        let link = self.link();
        self.introduce_with_acks(link, key, run, 1_000);
        self.take(link);
        link
    }

    /// Says WORKER_CONNECT as the only core of such a worker does, which takes so many events.
    pub(crate) fn introduce_with_acks(&mut self, link: usize, key: &str, run: u64, events: u32) {
        let window = Some(Window { events, bytes: 1_000_000 });
        let connect = connect(&format!("{key}:0"), "", true, Some(Run(run)), window);
        self.connect_worker(link, &ext::WorkerConnect { acks: true, ..connect });
    }

    /// One of ours of this run that answers websocket handshakes.
    pub(crate) fn answering_worker(&mut self, key: &str, run: u64) -> usize {
        let link = self.link();
        let window = Some(Window { events: 1_000, bytes: 1_000_000 });
        let connect = connect(&format!("{key}:0"), "", true, Some(Run(run)), window);
        self.connect_worker(link, &ext::WorkerConnect { acks: true, handshakes: true, ..connect });
        self.take(link);
        link
    }

    /// Says WORKER_CONNECT as a worker does that has windows.
    pub(crate) fn introduce_with_window(&mut self, link: usize, key: &str, events: u32, bytes: u32) {
        let window = Some(Window { events, bytes });
        self.connect_worker(link, &connect(key, "", true, None, window));
    }

    /// A worker says that so many of its events are done, from this number on.
    pub(crate) fn done(&mut self, link: usize, first: u32, count: u32) {
        let mut body = Vec::new();
        EventRange { first, count }.encode(&mut body);
        self.say(link, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::EventsDone) }));
    }

    /// The same, that they are safe.
    pub(crate) fn safe(&mut self, link: usize, first: u32, count: u32) {
        let mut body = Vec::new();
        EventRange { first, count }.encode(&mut body);
        self.say(link, &frame_bytes(&Frame { body: &body, ..Frame::command(Cmd::EventsSafe) }));
    }

    /// Says WORKER_CONNECT on a link.
    pub(crate) fn introduce(&mut self, link: usize, key: &str, ringway: bool) {
        self.introduce_as(link, key, "", ringway, None);
    }

    /// The same with a secret key and a run.
    pub(crate) fn introduce_as(
        &mut self,
        link: usize,
        key: &str,
        secret: &str,
        ringway: bool,
        run: Option<Run>,
    ) {
        self.connect_worker(link, &connect(key, secret, ringway, run, None));
    }

    fn connect_worker(&mut self, link: usize, connect: &ext::WorkerConnect) {
        self.say(
            link,
            &frame_bytes(&Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) }),
        );
    }

    /// A peer sends, and all of it arrives.
    pub(crate) fn say(&mut self, peer: usize, bytes: &[u8]) {
        self.peers[peer].inbox.extend(bytes);
        while !self.peers[peer].inbox.is_empty() && !self.peers[peer].paused && !self.peers[peer].closed {
            self.deliver(peer, usize::MAX);
        }
    }

    /// A worker or another program commands or asks; returns what came back on that link.
    pub(crate) fn command(&mut self, link: usize, frame: &Frame<'_>) -> Vec<u8> {
        self.peers[link].received.clear();
        self.say(link, &frame_bytes(frame));
        std::mem::take(&mut self.peers[link].received)
    }

    /// What a peer has received since it was last asked.
    pub(crate) fn take(&mut self, peer: usize) -> Vec<u8> {
        std::mem::take(&mut self.peers[peer].received)
    }

    /// The frames a worker has received since it was last asked: command, connection id, ext_data, body. Without pings of
    /// ours, which come at any time.
    pub(crate) fn take_frames(&mut self, link: usize) -> Vec<(Cmd, u32, Vec<u8>, Vec<u8>)> {
        let mut frames = self.take_frames_and_pings(link);
        frames.retain(|frame| frame.0 != Cmd::RingwayPing);
        frames
    }

    /// The same with them.
    pub(crate) fn take_frames_and_pings(&mut self, link: usize) -> Vec<(Cmd, u32, Vec<u8>, Vec<u8>)> {
        let bytes = self.take(link);
        let (mut at, mut frames) = (0, Vec::new());
        while let Some((frame, size)) =
            inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX).expect("the shard sends frames")
        {
            let cmd = Cmd::from_u8(frame.cmd).expect("known commands");
            frames.push((cmd, frame.connection_id, frame.ext.to_vec(), frame.body.to_vec()));
            at += size;
        }
        self.peers[link].received.splice(..0, bytes[at..].iter().copied());
        frames
    }

    /// Delivers up to `count` bytes of a peer, then its end if it has one.
    pub(crate) fn deliver(&mut self, peer: usize, count: usize) {
        let it = &mut self.peers[peer];
        if it.closed || it.paused {
            return;
        }
        let count = count.min(it.inbox.len());
        let mut bytes: Vec<u8> = it.inbox.drain(..count).collect();
        let (socket, end) = (it.socket, it.ending && it.inbox.is_empty());
        if !bytes.is_empty() {
            self.shard.on_received(self.now, socket, &mut bytes);
        }
        if end {
            self.peers[peer].ending = false;
            self.shard.on_end_of_stream(self.now, socket);
        }
        self.settle();
    }

    /// A peer sends its FIN behind what it has sent.
    pub(crate) fn end(&mut self, peer: usize) {
        self.peers[peer].ending = true;
        self.deliver(peer, usize::MAX);
    }

    /// A connection breaks.
    pub(crate) fn reset(&mut self, peer: usize) {
        if !self.peers[peer].closed {
            self.shard.on_failed(self.now, self.peers[peer].socket);
            self.settle();
        }
    }

    /// A peer reads: there is room for `room` bytes more.
    pub(crate) fn read(&mut self, peer: usize, room: Option<usize>) {
        let it = &mut self.peers[peer];
        it.room = room;
        if it.blocked && !it.closed {
            it.blocked = false;
            self.shard.on_writable(self.now, it.socket);
            self.settle();
        }
    }

    /// Time passes. The shard gets those ticks that it asks for.
    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(50) {
            self.now = self.now.plus(50);
            if self.now >= self.shard.next_tick() {
                self.shard.on_tick(self.now);
            }
            self.settle();
        }
    }

    /// A little time passes, in which nothing but a turn is due.
    pub(crate) fn pause(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.turn();
        self.settle();
    }

    /// Does everything the shard wants done.
    pub(crate) fn settle(&mut self) {
        while self.shard.is_pending() {
            self.turn();
        }
        self.shard.take_notices(&mut self.notices);
    }

    /// One turn; returns what the shard wanted done in it.
    pub(crate) fn turn(&mut self) -> Turn {
        let World { peers, by_socket, free_slots, holds_accepts, .. } = self;
        let turn = Turn::default();
        let mut sink = FakeSink { peers, by_socket, free_slots, holds_accepts, turn, waits: false };
        let Ok(()) = self.shard.turn(self.now, &mut sink);
        let FakeSink { mut turn, waits, .. } = sink;
        assert!(!(waits && self.shard.is_pending()), "it waits with work at hand");
        turn.waits = waits;
        turn
    }

    fn open(&mut self) -> usize {
        // A slot is used again as soon as it is free, with another generation.
        let generation = self.peers.len() as u32 + 1;
        let slot = self.free_slots.pop().unwrap_or(generation - 1);
        let socket = SocketId::new(slot, generation);
        self.by_socket.insert(socket, self.peers.len());
        self.peers.push(Peer {
            socket,
            inbox: VecDeque::new(),
            received: Vec::new(),
            ending: false,
            paused: false,
            shut: false,
            closed: false,
            room: None,
            acks: None,
            blocked: false,
        });
        self.peers.len() - 1
    }
}

pub(crate) fn listen(addresses: &[&str]) -> Vec<Listen> {
    addresses.iter().map(|address| address.parse().expect("a listen address")).collect()
}

fn connect(
    key: &str,
    secret: &str,
    ringway: bool,
    run: Option<Run>,
    window: Option<Window>,
) -> ext::WorkerConnect {
    ext::WorkerConnect {
        worker_key: key.into(),
        secret_key: Some(secret.into()),
        ringway,
        run,
        window,
        acks: false,
        resume: None,
        handshakes: false,
    }
}

pub(crate) fn frame_bytes(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// A command for one client.
pub(crate) fn to_client(cmd: Cmd, connection_id: u32) -> Frame<'static> {
    Frame { connection_id, ..Frame::command(cmd) }
}

/// The PHP value of the only reply in `bytes`.
pub(crate) fn value(bytes: &[u8]) -> String {
    let (value, size) = inner::reply::decode(bytes, usize::MAX).expect("a reply").expect("a whole reply");
    assert_eq!(size, bytes.len());
    String::from_utf8_lossy(value).into_owned()
}

pub(crate) const SHARD: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 11500);
