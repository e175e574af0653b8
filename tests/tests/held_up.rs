//! Programs that are held up and come back: stopped gateways, stopped workers, workers that do not read for a minute. Nothing
//! that was accepted is lost, and nobody is thrown out. These tests take as long as patience does, all at once.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddrV4, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::inner::{Cmd, Frame};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::peer::{Link, Received};
use ringway_tests::status::counter;
use ringway_tests::wait::{Deadline, wait_until};
use ringway_tests::{Clients, Cluster, Listen};

/// Longer than any restart takes on a loaded machine.
const PATIENT: &[&str] = &["--no-worker-wait", "25"];

const CLIENTS: usize = 11;
const MESSAGES: usize = 1_000;

fn await_log(what: &str, log: impl Fn() -> String) {
    wait_until(&format!("the log to say: {what}"), || log().contains(what).then_some(()));
}

fn clients(cluster: &Cluster) -> Vec<PlainClient> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| cluster.plain(0, Framing::Text)).collect();
    clients.iter_mut().for_each(|client| client.echo(b"hello"));
    clients
}

fn say_all(clients: &mut [PlainClient]) {
    for number in 0..MESSAGES {
        clients.iter_mut().for_each(|client| client.send(number.to_string().as_bytes()));
    }
}

fn hear_all(clients: &mut [PlainClient]) {
    for (index, client) in clients.iter_mut().enumerate() {
        for number in 0..MESSAGES {
            let heard = client.receive().unwrap_or_else(|| panic!("client {index} was closed at {number}"));
            assert_eq!(heard, number.to_string().as_bytes(), "client {index}");
        }
    }
}

/// As a virtual machine that is paused or moved: its workers give it up, its clients do not.
#[test]
fn what_clients_say_to_a_gateway_that_is_stopped_is_answered_when_it_goes_on() {
    let mut cluster = Cluster::builder().listen(&[Listen::Text]).gateway_flags(PATIENT).start();
    let mut clients = clients(&cluster);
    cluster.gateway(0).pause();
    say_all(&mut clients);
    await_log("does not ping any more", || cluster.worker_log(0));
    cluster.gateway(0).resume();
    hear_all(&mut clients);
    drop(clients);
    cluster.stop();
}

/// Its master is not there to replace it.
#[test]
fn the_clients_of_the_only_worker_wait_for_it_when_it_is_stopped() {
    let worker = ["--no-master"];
    let cluster = Cluster::builder().listen(&[Listen::Text]).admin().worker_flags(&worker);
    // Too little for the pause: it does not count while the worker is only silent.
    let mut cluster = cluster.gateway_flags(&["--no-worker-wait", "1"]).start();
    let mut clients = clients(&cluster);
    let admin = cluster.admin_addresses()[1];
    cluster.worker(0).pause();
    wait_until("the worker to be silent", || (counter(admin, "links_kept") == 1).then_some(()));
    say_all(&mut clients);
    wait_until("clients to be held back", || (counter(admin, "stalls_silent") > 0).then_some(()));
    // More than its own patience, which is not for a pause of its own.
    let pause = Deadline::after(Duration::from_secs(5));
    while !pause.is_over() {
        thread::park_timeout(pause.left());
    }
    cluster.worker(0).resume();
    hear_all(&mut clients);
    assert_eq!((counter(admin, "links_silent"), counter(admin, "events_dropped")), (0, 0));
    drop(clients);
    cluster.stop();
}

/// Clients that say more than all queues on the way hold, each in a thread of its own.
struct Flood {
    clients: Vec<JoinHandle<TcpStream>>,
}

const FLOOD_CLIENTS: usize = 4;
const FLOOD_MESSAGES: usize = 8_000;

impl Flood {
    fn start(cluster: &Cluster) -> Flood {
        let address = cluster.address(0, Listen::Text);
        let say = move |client: usize| {
            let mut stream = TcpStream::connect(address).expect("the gateway listens");
            thread::spawn(move || {
                for number in 0..FLOOD_MESSAGES {
                    let line = format!("{client} {number} {}\n", "x".repeat(1_000));
                    stream.write_all(line.as_bytes()).expect("nobody is thrown out");
                }
                stream
            })
        };
        Flood { clients: (0..FLOOD_CLIENTS).map(say).collect() }
    }

    /// Waits until everything is said. The connections end when they are dropped.
    fn end(self) -> Vec<TcpStream> {
        self.clients.into_iter().map(|client| client.join().expect("everything was said")).collect()
    }
}

/// What workers were told, by client: the numbers of its messages, which must come in order.
#[derive(Default)]
struct Heard(BTreeMap<String, usize>);

impl Heard {
    fn note(&mut self, frame: &Received) {
        if frame.cmd != Cmd::OnMessage as u8 {
            return;
        }
        let text = String::from_utf8_lossy(&frame.body);
        let mut words = text.split(' ');
        let (client, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let next = self.0.entry(client.to_owned()).or_default();
        assert_eq!(number, next.to_string(), "of client {client}: once each and in order");
        *next += 1;
    }

    fn is_all(&self) -> bool {
        self.0.len() == FLOOD_CLIENTS && self.0.values().all(|count| *count == FLOOD_MESSAGES)
    }

    fn hear_rest(&mut self, worker: &mut Link) {
        while !self.is_all() {
            self.note(&worker.receive().expect("the gateway stays"));
        }
    }
}

/// A worker of ours, as far as the gateway can tell; it pings once.
fn ringway_worker(address: SocketAddrV4, name: &str) -> Link {
    let mut link = Link::connect(address);
    let body = format!("{{\"worker_key\":\"{name}\",\"secret_key\":\"\",\"ringway\":1}}");
    link.send(&Frame { body: body.as_bytes(), ..Frame::command(Cmd::WorkerConnect) });
    link.send(&Frame::command(Cmd::RingwayPing));
    link.expect(Cmd::RingwayHello);
    link
}

fn flooded(flags: &[&str]) -> (Cluster, SocketAddrV4, SocketAddrV4) {
    let flags = [flags, PATIENT, &["--send-to-worker-buffer-size", "4000000"]].concat();
    let cluster = Cluster::builder().workers(0).listen(&[Listen::Text]).admin().gateway_flags(&flags).start();
    let (inner, admin) = (cluster.inner_address(0, 0), cluster.admin_addresses()[1]);
    (cluster, inner, admin)
}

fn await_full_link(admin: SocketAddrV4) {
    wait_until("the link to be full", || {
        (counter(admin, "stalls_link_full") >= FLOOD_CLIENTS as u64).then_some(())
    });
}

/// One of two workers hangs, with all that the kernels and the gateway hold for it.
#[test]
fn what_a_worker_that_hangs_had_not_taken_goes_to_the_other() {
    let (cluster, inner, admin) = flooded(&[]);
    let mut hanging = ringway_worker(inner, "hanging");
    let flood = Flood::start(&cluster);
    await_full_link(admin);
    // It pings never, so it may be silent.
    let mut other = Link::worker(inner, "other", "");
    let before: Vec<Received> = {
        // Only what the gateway gave it whole before it closed the link; the rest went on.
        wait_until("the worker to be given up", || (counter(admin, "links_silent") == 1).then_some(()));
        std::iter::from_fn(|| hanging.receive()).collect()
    };
    let mut heard = Heard::default();
    before.iter().for_each(|frame| heard.note(frame));
    assert!(!heard.is_all());
    heard.hear_rest(&mut other);
    assert!(counter(admin, "events_rerouted") > 0);
    assert_eq!((counter(admin, "events_dropped"), counter(admin, "clients_closed")), (0, 0));
    drop(flood.end());
    cluster.stop();
}

/// A handler of PHP's that blocks for longer than a minute: it neither reads nor says anything.
#[test]
fn a_php_worker_that_does_not_read_for_65_seconds_gets_everything() {
    let (cluster, inner, admin) = flooded(&[]);
    let mut worker = Link::worker(inner, "php", "");
    let flood = Flood::start(&cluster);
    await_full_link(admin);
    let handler = Deadline::after(Duration::from_secs(66));
    while !handler.is_over() {
        thread::park_timeout(handler.left());
    }
    Heard::default().hear_rest(&mut worker);
    assert_eq!((counter(admin, "links_stuck"), counter(admin, "clients_closed")), (0, 0));
    drop(flood.end());
    cluster.stop();
}
