//! A shard whose turns are long, whatever makes them so, goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use gateway_core::{Admission, ClientInfo, Gateway, Hooks, HooksFactory, Settings};
use protocol::client::Kind;
use protocol::inner::{Cmd, Frame, ext};

/// Asks somebody about each client who does not answer: for longer than a thread may be away.
struct Blocking(Sender<()>);

impl Hooks for Blocking {
    fn on_connect(&mut self, _: &ClientInfo) -> Admission {
        // In the end the test is not interested any more.
        let _ = self.0.send(());
        thread::sleep(Duration::from_millis(3_200));
        Admission::Accept { kind: Kind::Unspecified }
    }
}

/// A worker, once the gateway has answered it.
fn worker(port: u16) -> TcpStream {
    let connect = ext::WorkerConnect {
        worker_key: "w:0".into(),
        secret_key: Some(String::new()),
        ringway: false,
        run: None,
        window: None,
        acks: false,
        resume: None,
        handshakes: false,
    };
    let mut bytes = Vec::new();
    Frame { body: &connect.encode(), ..Frame::command(Cmd::WorkerConnect) }.encode(&mut bytes);
    Frame::command(Cmd::GetGroupIdList).encode(&mut bytes);
    let mut worker = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the gateway listens");
    worker.write_all(&bytes).expect("the gateway reads");
    let mut answer = [0; 4 + b"a:0:{}".len()];
    worker.read_exact(&mut answer).expect("the gateway answers");
    worker
}

#[test]
fn hooks_that_block_for_seconds_in_every_turn_do_not_hold_back_what_is_to_be_sent_for_ever() {
    let (begins, begun) = channel();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let start_port = free.local_addr().expect("it is bound").port();
    drop(free);
    let gateway = Gateway::start(Settings {
        listen: vec!["text://127.0.0.1:0".parse().expect("an address")],
        start_port,
        hooks: HooksFactory::new(move || Blocking(begins.clone())),
        ..Settings::default()
    })
    .expect("a gateway starts");
    let mut worker = worker(start_port);
    let connect = || TcpStream::connect(gateway.listen()[0]).expect("the gateway listens");
    let mut clients = vec![connect()];
    // The next one comes while the hook is busy with the one before: there is no turn without a call.
    for _ in 0..5 {
        begun.recv().expect("the hook is called");
        clients.push(connect());
    }
    worker.set_nonblocking(true).expect("a socket has modes");
    worker.read_exact(&mut [0; 28]).expect("the worker has been told of the first client between the calls");
    drop(begun);
    gateway.stop();
}
