//! Clients notice no difference.

use std::net::SocketAddr;
use std::process::Command;

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::process::Process;
use ringway_tests::{Cluster, Listen, own_address};

fn chat(address: SocketAddr) {
    let mut ann = WebsocketClient::connect_to(address, "/?name=Ann", &[]);
    ann.expect(&Event::text("hello, Ann"));
    let mut bob = WebsocketClient::connect(address);
    bob.expect(&Event::text("hello, stranger"));
    ann.send_text("hi");
    for client in [&mut ann, &mut bob] {
        let Event::Text(text) = client.receive() else { panic!("everybody hears it") };
        assert!(text.ends_with(b": hi"), "{}", text.escape_ascii());
    }
    ann.close();
    let Event::Text(text) = bob.receive() else { panic!("the others are told") };
    assert!(text.ends_with(b" left"), "{}", text.escape_ascii());
}

#[test]
fn in_one_process() {
    let address = SocketAddr::from((own_address(), 8282));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    command.args(["--listen", &format!("websocket://{address}")]);
    let mut hello = Process::spawn("hello", command);
    let ready = hello.await_ready("hello");
    assert!(ready.starts_with(&format!("websocket://{address} ")), "{ready}");
    chat(address);
    hello.stop();
}

#[test]
fn as_a_worker_of_its_own() {
    let cluster = Cluster::builder().workers(0).start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello_worker"));
    command.args(["--register-address", &cluster.register_address().to_string()]);
    let mut worker = Process::spawn("hello_worker", command);
    worker.await_ready("hello_worker");
    chat(cluster.address(0, Listen::Websocket));
    worker.stop();
    cluster.stop();
}
