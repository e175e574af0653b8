//! What a flood has taken is given back.

use std::io::Write as _;
use std::thread;

use protocol::inner::Cmd;
use ringway_tests::client::Framing;
use ringway_tests::peer::Link;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen};

/// Everything that is asked for passes; what does so is held for a moment.
const GATEWAY: &[&str] =
    &["--send-to-client-buffer-size", "100000000", "--send-to-worker-buffer-size", "100000000"];
const WORKER: &[&str] = &["--send-to-gateway-buffer-size", "100000000"];

/// What may stay of it, in bytes: buffers that are kept for reuse, and what the allocator's own order costs.
const KEPT_MAX: u64 = 24 << 20;

fn cluster() -> Cluster {
    Cluster::builder().listen(&[Listen::Text]).gateway_flags(GATEWAY).worker_flags(WORKER).start()
}

/// Clients that each have `count` messages of `size` bytes echoed, all sent before the answers are read.
fn flood(cluster: &Cluster, clients: usize, size: usize, count: usize) {
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = cluster.plain(0, Framing::Text);
                let message = Framing::Text.encode(&vec![b'x'; size]);
                let mut writer = client.writer();
                let (client, message) = (&mut client, &message);
                thread::scope(|scope| {
                    scope
                        .spawn(move || (0..count).for_each(|_| writer.write_all(message).expect("it reads")));
                    for _ in 0..count {
                        assert_eq!(client.receive().map(|answer| answer.len()), Some(size));
                    }
                });
            });
        }
    });
}

/// Waits until gateway and worker hold hardly more than before. 30 s is also what is promised.
fn await_return(cluster: &mut Cluster, before: [u64; 2]) {
    wait_until("memory to come back", || {
        let now = memory(cluster);
        (now[0] <= before[0] + KEPT_MAX && now[1] <= before[1] + KEPT_MAX).then_some(())
    });
}

fn memory(cluster: &mut Cluster) -> [u64; 2] {
    [cluster.gateway(0).rss(), cluster.worker(0).rss()]
}

#[test]
fn memory_comes_back_after_floods_of_large_messages() {
    for (clients, size, count) in [(8, 9_900_000, 2), (80, 100_000, 20), (80, 5_000, 400)] {
        let mut cluster = cluster();
        let before = memory(&mut cluster);
        flood(&cluster, clients, size, count);
        await_return(&mut cluster, before);
        cluster.stop();
    }
}

#[test]
fn memory_comes_back_after_large_sessions() {
    const CLIENTS: usize = 100;
    const SESSION_SIZE: usize = 1_000_000;
    let mut cluster = cluster();
    let before = memory(&mut cluster);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| cluster.plain(0, Framing::Text)).collect();
    clients.iter_mut().for_each(|client| client.echo(b"here"));
    let mut link = Link::gateway_client(cluster.inner_address(0, 0), "");
    let session = format!("a:1:{{s:1:\"k\";s:{SESSION_SIZE}:\"{}\";}}", "y".repeat(SESSION_SIZE));
    let ids = link.query(Cmd::Select, 0, br#"{"fields":["uid"],"where":[]}"#);
    let Ok(protocol::php::Value::Array(ids)) = protocol::php::decode(&ids) else { panic!("{ids:?}") };
    for (id, _) in ids.iter() {
        let protocol::php::Key::Int(id) = *id else { panic!("{id:?}") };
        link.command(Cmd::SetSession, id as u32, session.as_bytes(), b"");
    }
    link.query(Cmd::IsOnline, 1, b"");
    assert!(memory(&mut cluster)[0] > (CLIENTS * SESSION_SIZE) as u64);
    // The worker gets them all.
    clients.iter_mut().for_each(|client| client.echo(b"again"));
    drop((clients, link));
    await_return(&mut cluster, before);
    cluster.stop();
}
