//! What an idle client costs a process that is gateway and worker in one thread.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use ringway_tests::client::websocket::WebsocketClient;
use ringway_tests::own_address;
use ringway_tests::process::Process;
use ringway_tests::wait::waited_for;

/// Bytes that an idle websocket client may cost.
const COST_MAX: f64 = 260.0;

/// Clients at most. A table whose entries double has just done so before, so that none is measured half empty by luck: 16,384
/// buckets have room for 14,336.
const CLIENTS_MAX: u64 = 17_400;

/// Fewer cost less than what a page of memory more or less makes.
const CLIENTS_MIN: u64 = 8_000;

/// Files of this process that are no clients, of it and of tests beside this one.
const OTHER_FILES: u64 = 600;

#[test]
fn an_idle_websocket_client_costs_no_more_than_promised() {
    let clients = program::raise_open_files().saturating_sub(OTHER_FILES).min(CLIENTS_MAX);
    assert!(clients >= CLIENTS_MIN, "this test needs a limit of open files (ulimit -Hn) of 8,600 or more");
    let ip = own_address();
    let listen = format!("websocket://{ip}:8282");
    let page = format!("{ip}:8080");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(["--listen", &listen, "--page", &page, "--count", "1", "--app", "echo"]);
    // What handshakes have needed and was freed is given back at once, so that only what is kept is seen.
    command.env("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0,background_thread:false");
    let process = Process::spawn("ringway", command);
    process.await_ready("ringway");
    let address = SocketAddr::from((ip, 8282));
    // Buffers that all clients share, and code that had not run.
    (0..100).for_each(|_| WebsocketClient::connect(address).echo("hello"));
    let before = process.rss();
    let there: Vec<TcpStream> = (0..clients).map(|_| WebsocketClient::connect(address).writer()).collect();
    WebsocketClient::connect(address).echo("behind all of them");
    let cost = || process.rss().saturating_sub(before) as f64 / there.len() as f64;
    waited_for(|| cost() <= COST_MAX);
    println!("{:.0} B per client, of {clients}", cost());
    assert!(cost() <= COST_MAX, "{:.0} B per client, of {clients}", cost());
}
