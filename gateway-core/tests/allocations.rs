//! Messages pass through a shard without an allocation, once its buffers are warm.
//!
//! Only the shard's own calls are measured.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use allocation_counter::measure;
use gateway_core::config::{COPY_MAX, FANOUT_SENDS_MAX};
use gateway_core::{Action, Identity, Listen, Millis, Sends, Settings, Shard, Sink};
use protocol::client::websocket::client::{TEXT, encode_frame, encode_request};
use protocol::inner::{Cmd, EventRange, Frame, Run, Window, ext};
use uring::{Acks, Short, SocketId};

/// A shard, one worker, many clients; sockets take everything at once.
struct Setting {
    shard: Shard,
    worker: SocketId,
    clients: Vec<SocketId>,
    /// Of a worker that says what is done: the number of the next event that is.
    done: Option<u32>,
}

/// Takes everything. Counts sends and their bytes.
struct Taker {
    sends: usize,
    bytes: usize,
}

impl Sink for Taker {
    type Error = Infallible;

    fn act(&mut self, action: Action) {
        panic!("nobody is slow, and nobody leaves: {action:?}");
    }

    fn acknowledged(&mut self, _: SocketId) -> Option<Acks> {
        None
    }

    fn send(&mut self, sends: Sends<'_>, _: &mut Vec<Short>) -> Result<(), Infallible> {
        self.sends += sends.sockets().len();
        let bytes = sends.sockets().iter().flat_map(|socket| sends.bytes(*socket));
        self.bytes += bytes.map(|slice| slice.len()).sum::<usize>();
        Ok(())
    }
}

impl Setting {
    /// Clients at `listen`, each of which has said `greeting`.
    fn new(listen: &str, client_count: u32, greeting: &[u8]) -> Setting {
        let listen: Listen = listen.parse().expect("a listen address");
        let settings = Settings {
            listen: vec![listen],
            ping_interval: Duration::from_millis(PERIOD.0),
            websocket_ping: true,
            ..Settings::default()
        };
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900);
        // The first connection id is 1.
        let shard = Shard::new(settings, Identity { address, seed: 1 << 32 }, NOW);
        let (worker, peer) = (SocketId::new(0, 1), SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5000));
        let mut setting = Setting { shard, worker, clients: Vec::new(), done: None };
        setting.shard.on_link_accepted(NOW, worker, peer.into());
        setting.introduce_worker(None);
        for index in 1..=client_count {
            let client = SocketId::new(index, 1);
            setting.shard.on_client_accepted(NOW, 0, client, peer.into());
            setting.say(client, greeting);
            setting.clients.push(client);
        }
        setting
    }

    fn text(client_count: u32) -> Setting {
        Setting::new("text://127.0.0.1:1000", client_count, b"")
    }

    fn websocket(client_count: u32) -> Setting {
        let mut request = Vec::new();
        encode_request("localhost", "/", [7; 16], &mut request);
        Setting::new("websocket://127.0.0.1:1000", client_count, &request)
    }

    /// Gives the worker a window, in which nothing is in flight yet.
    fn with_window(mut self) -> Setting {
        self.introduce_worker(Some(Window { events: 1_000, bytes: u32::MAX }));
        self.done = Some(0);
        self
    }

    fn introduce_worker(&mut self, window: Option<Window>) {
        let connect = ext::WorkerConnect {
            worker_key: "a".into(),
            secret_key: Some(String::new()),
            ringway: true,
            run: window.map(|_| Run(1)),
            acks: window.is_some(),
            resume: None,
            handshakes: false,
            window,
        };
        self.say(self.worker, &frame(Cmd::WorkerConnect, 0, &connect.encode()));
    }

    /// What the worker says of the next so many events, if it says anything.
    fn say_done(&mut self, count: u32) -> Vec<u8> {
        let mut body = Vec::new();
        self.done.map_or(vec![], |first| {
            EventRange { first, count }.encode(&mut body);
            self.done = Some(first + count);
            frame(Cmd::EventsSafe, 0, &body)
        })
    }

    /// `bytes` arrive in one piece, and what comes of it is sent.
    fn say(&mut self, socket: SocketId, bytes: &[u8]) {
        self.hear(socket, &mut bytes.to_vec());
    }

    /// As [`Setting::say`], with nothing but the shard's calls. Returns the bytes sent.
    fn hear(&mut self, socket: SocketId, bytes: &mut [u8]) -> usize {
        self.shard.on_received(NOW, socket, bytes);
        self.send()
    }

    /// What a turn of the pump does behind its events. Returns the bytes sent.
    fn send(&mut self) -> usize {
        let mut sent = 0;
        while self.shard.is_pending() {
            sent += self.turn(NOW).1;
        }
        sent
    }

    /// One turn. Returns how many sends it made, and their bytes.
    fn turn(&mut self, now: Millis) -> (usize, usize) {
        let mut taker = Taker { sends: 0, bytes: 0 };
        let Ok(()) = self.shard.turn(now, &mut taker);
        (taker.sends, taker.bytes)
    }

    /// Every client in turn says `message`, and the worker sends `body` back. Returns how many allocations that took.
    fn echoes(&mut self, message: &[u8], body: &[u8], times: usize) -> u64 {
        let mut allocations = 0;
        for turn in 0..times {
            let index = turn % self.clients.len();
            let mut message = message.to_vec();
            let mut answer = frame(Cmd::SendToOne, index as u32 + 1, body);
            answer.extend(self.say_done(1));
            let client = self.clients[index];
            let info = measure(|| {
                assert_ne!(self.hear(client, &mut message), 0);
                assert_ne!(self.hear(self.worker, &mut answer), 0);
            });
            allocations += info.count_total;
        }
        allocations
    }

    /// All clients say `message` in one turn, and all get `body` in the next. Returns how many allocations that took.
    fn burst(&mut self, message: &[u8], body: &[u8]) -> u64 {
        let mut messages = vec![message.to_vec(); self.clients.len()];
        let ids = 1..=self.clients.len() as u32;
        let mut answers: Vec<u8> = ids.flat_map(|id| frame(Cmd::SendToOne, id, body)).collect();
        answers.extend(self.say_done(self.clients.len() as u32));
        let info = measure(|| {
            for (client, message) in self.clients.iter().zip(&mut messages) {
                self.shard.on_received(NOW, *client, message);
            }
            assert_ne!(self.send(), 0);
            assert_ne!(self.hear(self.worker, &mut answers), 0);
        });
        info.count_total
    }

    /// `frame` has a message for all. Returns how many allocations that took.
    fn broadcast(&mut self, frame: &[u8]) -> u64 {
        let mut bytes = frame.to_vec();
        let worker = self.worker;
        measure(|| assert!(self.hear(worker, &mut bytes) > self.clients.len())).count_total
    }
}

fn frame(cmd: Cmd, connection_id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame { connection_id, body, ..Frame::command(cmd) }.encode(&mut bytes);
    bytes
}

/// A client's websocket text message.
fn masked(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(TEXT, body, [1, 2, 3, 4], &mut bytes);
    bytes
}

#[test]
fn echoes_of_text_clients_do_not_allocate() {
    let mut setting = Setting::text(20);
    setting.echoes(b"hello\n", b"hello", 100);
    assert_eq!(setting.echoes(b"hello\n", b"hello", 1_000), 0);
}

#[test]
fn echoes_of_websocket_clients_do_not_allocate() {
    let mut setting = Setting::websocket(20);
    let message = masked(b"hello");
    setting.echoes(&message, b"hello", 100);
    assert_eq!(setting.echoes(&message, b"hello", 1_000), 0);
}

#[test]
fn full_turns_do_not_allocate() {
    let mut setting = Setting::text(900);
    let mut bursts = |times| -> u64 { (0..times).map(|_| setting.burst(b"hello\n", b"hello")).sum() };
    bursts(900);
    assert_eq!(bursts(100), 0);
}

#[test]
fn what_is_done_does_not_allocate() {
    let mut setting = Setting::text(20).with_window();
    setting.echoes(b"hello\n", b"hello", 3_000);
    assert_eq!(setting.echoes(b"hello\n", b"hello", 3_000), 0);
    let mut setting = Setting::text(900).with_window();
    let mut bursts = |times| -> u64 { (0..times).map(|_| setting.burst(b"hello\n", b"hello")).sum() };
    bursts(900);
    assert_eq!(bursts(100), 0);
}

/// The list of targets, the encoded message, and the list of encodings.
const SMALL_BROADCAST_MAX: u64 = 3;

/// As for a small one, a message longer by its header while it is encoded, and its shared copy.
const LARGE_BROADCAST_MAX: u64 = 5;

/// In the log: a copy of the message instead of a list of targets, the list of pieces, and the piece.
const LOGGED_MORE: u64 = 3;

#[test]
fn broadcasts_allocate_as_little_for_many_clients_as_for_few() {
    for (clients, more) in [(9, 0), (900, LOGGED_MORE), (2_000, LOGGED_MORE)] {
        for mut setting in [Setting::text(clients), Setting::websocket(clients)] {
            let small = frame(Cmd::SendToAll, 0, b"hello");
            let large = frame(Cmd::SendToAll, 0, &[b'x'; COPY_MAX + 1]);
            for (frame, allocations_max) in [(small, SMALL_BROADCAST_MAX), (large, LARGE_BROADCAST_MAX)] {
                for _ in 0..3 {
                    setting.broadcast(&frame);
                }
                let allocations = setting.broadcast(&frame);
                assert!((1..=allocations_max + more).contains(&allocations), "{clients}: {allocations}");
            }
        }
    }
}

#[test]
fn a_sweep_of_heartbeats_does_not_allocate_and_goes_out_in_slices() {
    let clients = 2 * FANOUT_SENDS_MAX as u32 + 1;
    let mut setting = Setting::websocket(clients);
    let mut sweep = |at: Millis| {
        // The worker's ping, which may be due as well.
        setting.shard.on_tick(Millis(at.0 - 1));
        while setting.shard.is_pending() {
            setting.turn(at);
        }
        let mut sends = Vec::with_capacity(4);
        let info = measure(|| {
            setting.shard.on_tick(at);
            while setting.shard.is_pending() {
                sends.push(setting.turn(at));
            }
        });
        (info.count_total, sends)
    };
    // By the first sweep nobody has been silent for a whole period.
    assert_eq!(sweep(PERIOD).1, [(0, 0)]);
    for round in 2..5 {
        let (allocations, sends) = sweep(Millis(round * PERIOD.0));
        let ping = 2;
        let slice = (FANOUT_SENDS_MAX, FANOUT_SENDS_MAX * ping);
        assert_eq!(sends, [slice, slice, (1, ping)]);
        assert!(round == 2 || allocations == 0, "{allocations}");
    }
}

const NOW: Millis = Millis(0);

/// Of the heartbeat.
const PERIOD: Millis = Millis(25_000);
