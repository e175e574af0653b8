//! The way of a message: client, gateway, worker and back, through three programs, in all four client protocols.

use std::io::Write;

use ringway_tests::client::websocket::{Event, Frame};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::{Clients, Cluster, Listen};

/// Around every change of a length's form, and a megabyte.
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000, 1 << 20];

fn full_cluster() -> Cluster {
    Cluster::builder().gateways(2).shards(2).workers(2).listen(&Listen::ALL).start()
}

/// `size` bytes in which a lost or doubled part shows, none of them a line's end.
fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|index| b'!' + (index % 89) as u8).collect()
}

#[test]
fn every_protocol_and_size_comes_back_through_every_gateway() {
    let cluster = full_cluster();
    for gateway in 0..2 {
        let mut websocket = cluster.websocket(gateway);
        for size in SIZES {
            let body = payload(size);
            websocket.echo(std::str::from_utf8(&body).unwrap());
            websocket.echo_binary(&body);
        }
        websocket.close();
        for framing in Framing::ALL {
            let mut client = cluster.plain(gateway, framing);
            // Raw bytes have no empty message.
            for size in SIZES.into_iter().filter(|size| framing != Framing::Tcp || *size > 0) {
                client.echo(&payload(size));
            }
            client.finish_writing();
            assert_eq!(client.read_to_end(), b"");
        }
    }
    cluster.stop();
}

#[test]
fn bytes_are_not_touched() {
    let cluster = Cluster::builder().listen(&Listen::ALL).start();
    let every_byte: Vec<u8> = (0..=255).collect();
    cluster.websocket(0).echo_binary(&every_byte);
    cluster.plain(0, Framing::Frame).echo(&every_byte);
    cluster.plain(0, Framing::Tcp).echo(&every_byte);
    // A line cannot hold its own end, and loses the carriage returns before it (WIRE.md §10).
    let line: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let mut text = cluster.plain(0, Framing::Text);
    text.echo(&line);
    text.send(b"dos\r");
    assert_eq!(text.receive().unwrap(), b"dos");
    text.send_bytes(b"one\ntwo\n\nthr");
    text.send_bytes(b"ee\n");
    for expected in [&b"one"[..], b"two", b"", b"three"] {
        assert_eq!(text.receive().unwrap(), expected);
    }
    drop(text);
    cluster.stop();
}

#[test]
fn many_clients_each_get_their_own_answers_in_order() {
    const CLIENTS: usize = 500;
    const ROUNDS: usize = 10;
    let cluster = full_cluster();
    let mut clients: Vec<_> = (0..CLIENTS).map(|index| cluster.websocket(index % 2)).collect();
    let text = |client: usize, round: usize| format!("client {client} says {round}");
    for (index, client) in clients.iter_mut().enumerate() {
        let frames: Vec<Vec<u8>> =
            (0..ROUNDS).map(|round| Frame::text(text(index, round)).encode()).collect();
        client.send_bytes(&frames.concat());
    }
    for (index, client) in clients.iter_mut().enumerate() {
        for round in 0..ROUNDS {
            client.expect(&Event::text(text(index, round)));
        }
    }
    for client in &mut clients {
        client.close();
    }
    drop(clients);
    cluster.stop();
}

#[test]
fn mixed_protocols_at_once_do_not_mix() {
    let cluster = full_cluster();
    std::thread::scope(|scope| {
        for index in 0..24 {
            let cluster = &cluster;
            scope.spawn(move || match index % 4 {
                3 => {
                    let mut client = cluster.websocket(index % 2);
                    (0..200).for_each(|round| client.echo(&format!("{index}:{round}")));
                }
                plain => {
                    let mut client = cluster.plain(index / 4 % 2, Framing::ALL[plain]);
                    (0..200).for_each(|round| client.echo(format!("{index}:{round}").as_bytes()));
                }
            });
        }
    });
    cluster.stop();
}

/// A stream in both directions at once, with more under way than sockets and receive buffers hold, so that every
/// program meets short writes.
#[test]
fn a_long_stream_arrives_whole_and_in_order() {
    const MESSAGE: usize = 64 * 1024;
    const COUNT: usize = 1024;
    /// Sent and not yet back: below what workers and gateways queue before they drop.
    const UNDER_WAY: usize = 128;
    let flags = ["--send-to-client-buffer-size", "10000000"];
    let cluster = Cluster::builder().listen(&[Listen::Frame]).gateway_flags(&flags).start();
    let mut client = cluster.plain(0, Framing::Frame);
    let mut writer = client.writer();
    let (permit, permits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for index in 0..COUNT {
                if index >= UNDER_WAY {
                    permits.recv().expect("the reader goes on");
                }
                writer.write_all(&Framing::Frame.encode(&numbered(index, MESSAGE))).unwrap();
            }
        });
        for index in 0..COUNT {
            let received = client.receive().expect("the gateway stays");
            assert!(received == numbered(index, MESSAGE), "message {index} is missing or wrong");
            // The sender is done before the last answers are.
            let _ = permit.send(());
        }
    });
    drop(client);
    cluster.stop();
}

fn numbered(index: usize, size: usize) -> Vec<u8> {
    let mut body = payload(size);
    body[..8].copy_from_slice(&(index as u64).to_be_bytes());
    body
}

/// A client that goes without a word leaves the others alone, whatever it leaves half done.
#[test]
fn half_done_clients_hurt_nobody() {
    let cluster = full_cluster();
    let mut steady = cluster.websocket(0);
    for index in 0..100 {
        let mut client = PlainClient::connect(cluster.address(0, Listen::ALL[index % 4]), Framing::Tcp);
        client.send_bytes(&b"GET / HTTP/1.1\r\nHost: \0\x01\xff"[..index % 26]);
        steady.echo("still here");
    }
    steady.close();
    cluster.stop();
}
