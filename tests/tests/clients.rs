//! Clients that misbehave are dealt with alone.

use std::io::Write;

use protocol::inner::Cmd;
use ringway_tests::client::websocket::{Event, Frame};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::peer::Link;
use ringway_tests::sockets::await_keepalive;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen};

/// A small limit, so that a test need not send megabytes to pass it.
const SMALL: &[&str] = &["--max-package-size", "1000"];

#[test]
fn a_message_over_the_limit_closes_that_client_alone() {
    let cluster = Cluster::builder().listen(&Listen::ALL).gateway_flags(SMALL).start();
    let mut steady = cluster.websocket(0);
    let breaches: [(Framing, Vec<u8>); 4] = [
        (Framing::Text, vec![b'x'; 1001]),
        (Framing::Frame, 1001_u32.to_be_bytes().to_vec()),
        (Framing::Frame, 0_u32.to_be_bytes().to_vec()),
        (Framing::Frame, 3_u32.to_be_bytes().to_vec()),
    ];
    for (framing, bytes) in breaches {
        let mut client = cluster.plain(0, framing);
        client.echo(b"fine so far");
        client.send_bytes(&bytes);
        assert_eq!(client.read_to_end(), b"", "{framing:?} {}", bytes.escape_ascii());
        steady.echo("still here");
    }
    let mut client = cluster.websocket(0);
    client.echo(&"x".repeat(900));
    client.send_text(&"x".repeat(1001));
    client.expect(&Event::Close(Some(1009)));
    client.send(&Frame::close(1009));
    client.expect(&Event::End);
    steady.close();
    drop(client);
    cluster.stop();
}

#[test]
fn those_that_hold_most_of_unfinished_messages_are_closed_and_told_so() {
    // The share of the only shard is a message of the largest size.
    let flags = ["--max-package-size", "1000", "--max-unfinished-size", "1"];
    let cluster = Cluster::builder().listen(&Listen::ALL).gateway_flags(&flags).start();
    let mut frame = cluster.plain(0, Framing::Frame);
    let message = [&u32::to_be_bytes(700), [b'x'; 696].as_slice()].concat();
    frame.send_bytes(&message[..600]);
    let mut websocket = cluster.websocket(0);
    websocket.send_bytes(&Frame::text("x".repeat(900)).encode()[..800]);
    websocket.expect(&Event::Close(Some(1008)));
    websocket.expect(&Event::End);
    frame.send_bytes(&message[600..]);
    assert_eq!(frame.receive().as_deref(), Some(&message[4..]), "the smaller one is served");
    drop((frame, websocket));
    cluster.stop();
}

#[test]
fn a_message_that_does_not_come_to_an_end_ends_its_client() {
    let flags = ["--unfinished-timeout", "0.5"];
    let mut cluster = Cluster::builder().listen(&Listen::ALL).gateway_flags(&flags).start();
    let mut websocket = cluster.websocket(0);
    websocket.echo("whole");
    websocket.send_bytes(&Frame::text("unfinished").encode()[..8]);
    websocket.expect(&Event::Close(Some(1008)));
    websocket.expect(&Event::End);
    for (framing, beginning) in [(Framing::Text, &b"no newline"[..]), (Framing::Frame, b"\0\0\0\x64abc")] {
        let mut client = cluster.plain(0, framing);
        client.echo(b"whole");
        client.send_bytes(beginning);
        assert_eq!(client.read_to_end(), b"", "{framing:?}");
    }
    let log = cluster.gateway(0).stderr();
    assert_eq!(log.matches("--unfinished-timeout").count(), 1, "one line in ten seconds: {log}");
    cluster.stop();
}

#[test]
fn the_kernel_asks_every_client_whether_it_is_still_there() {
    let cluster = Cluster::builder().listen(&Listen::ALL).start();
    let _clients = (cluster.websocket(0), Framing::ALL.map(|framing| cluster.plain(0, framing)));
    for listen in Listen::ALL {
        await_keepalive(cluster.address(0, listen));
    }
    cluster.stop();
}

#[test]
fn malformed_websocket_clients_hurt_nobody() {
    let cluster = Cluster::builder().start();
    let mut steady = cluster.websocket(0);
    let breaches = [
        (Frame::text(b"\xff"), 1007),
        (Frame::text("plain").unmasked(), 1002),
        (Frame::continuation("of nothing"), 1002),
        (Frame::ping(&[0; 126]), 1002),
        (Frame::text("reserved").rsv(4), 1002),
    ];
    for (frame, code) in breaches {
        let mut client = cluster.websocket(0);
        client.send(&frame);
        client.expect(&Event::Close(Some(code)));
        client.send(&Frame::close(code));
        client.expect(&Event::End);
        steady.echo("still here");
    }
    steady.close();
    cluster.stop();
}

/// How much is sent to a client that does not read: more than the kernel's buffers and the gateway's together.
const FLOOD_COUNT: usize = 1024;
const FLOOD_SIZE: usize = 64 * 1024;

/// A gateway of which one client does not read while a worker floods it, and another client that does.
struct Flood {
    cluster: Cluster,
    worker: Link,
    slow: PlainClient,
    slow_id: u32,
}

fn flood(slow_client: &str) -> Flood {
    let flags = ["--slow-client", slow_client];
    let cluster = Cluster::builder().workers(0).listen(&[Listen::Frame]).gateway_flags(&flags).start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let slow = cluster.plain(0, Framing::Frame);
    let slow_id = worker.expect(Cmd::OnConnect).connection_id;
    let mut quick = cluster.plain(0, Framing::Frame);
    let quick_id = worker.expect(Cmd::OnConnect).connection_id;
    for index in 0..FLOOD_COUNT {
        let mut body = vec![b'.'; FLOOD_SIZE];
        body[..4].copy_from_slice(&(index as u32).to_be_bytes());
        worker.send_to_one(slow_id, &body);
    }
    worker.send_to_one(quick_id, b"not held up");
    assert_eq!(quick.receive().as_deref(), Some(&b"not held up"[..]));
    Flood { cluster, worker, slow, slow_id }
}

#[test]
fn messages_for_a_slow_client_are_dropped_whole() {
    let Flood { cluster, mut worker, mut slow, slow_id } = flood("drop");
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        loop {
            let body = slow.receive().expect("the client is not closed");
            if body == b"end" {
                return seen;
            }
            assert_eq!(body.len(), FLOOD_SIZE);
            seen.push(u32::from_be_bytes(*body.first_chunk().unwrap()));
        }
    });
    // Whether there is room for it yet only the client can tell.
    wait_until("the end to get through", || {
        worker.send_to_one(slow_id, b"end");
        reader.is_finished().then_some(())
    });
    let seen = reader.join().unwrap();
    assert!(seen.is_sorted_by(|left, right| left < right), "out of order");
    assert!(!seen.is_empty() && seen.len() < FLOOD_COUNT, "{} of {FLOOD_COUNT} arrived", seen.len());
    cluster.stop();
}

#[test]
fn a_slow_client_is_closed_if_so_configured() {
    let Flood { cluster, mut worker, mut slow, slow_id } = flood("close");
    let close = worker.expect(Cmd::OnClose);
    assert_eq!(close.connection_id, slow_id);
    // What the kernel had taken is still there to be read, and then the end.
    assert!(slow.read_to_end().len() < FLOOD_COUNT * FLOOD_SIZE);
    cluster.stop();
}

/// A client that reads nothing of what it asks for is throttled by TCP, not by dropping what it sends.
#[test]
fn nothing_is_dropped_for_a_worker_that_reads_late() {
    const COUNT: u32 = 400;
    let flags = ["--send-to-worker-buffer-size", "100000"];
    let cluster = Cluster::builder().workers(0).listen(&[Listen::Frame]).gateway_flags(&flags).start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let client = cluster.plain(0, Framing::Frame);
    let mut writer = client.writer();
    let sender = std::thread::spawn(move || {
        for index in 0..COUNT {
            let mut body = vec![b'.'; FLOOD_SIZE];
            body[..4].copy_from_slice(&index.to_be_bytes());
            writer.write_all(&Framing::Frame.encode(&body)).unwrap();
        }
    });
    worker.expect(Cmd::OnConnect);
    for index in 0..COUNT {
        let message = worker.expect(Cmd::OnMessage);
        assert_eq!(message.body.len(), FLOOD_SIZE);
        assert_eq!(message.body[..4], index.to_be_bytes());
    }
    sender.join().unwrap();
    drop(client);
    cluster.stop();
}
