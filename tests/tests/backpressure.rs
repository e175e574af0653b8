//! Clients and gateways that take or send so much that others could suffer.

use std::io::{Read, Write};
use std::net::TcpStream;

use ringway_tests::crowd::{Crowd, Plan};
use ringway_tests::status::counter;
use ringway_tests::{Cluster, Listen};

/// Nearly the largest message.
const LARGE: usize = 10_000_000;

/// How many of them one client sends back to back.
const LARGE_COUNT: usize = 40;

#[test]
fn a_client_that_echoes_large_messages_costs_nobody_an_answer() {
    let cluster = Cluster::builder().workers(1).listen(&[Listen::Text]).admin().start();
    let address = cluster.address(0, Listen::Text);
    let crowd = Crowd::start(Plan { address, words: &["echo"], clients: 16, rate: 1_000, lossy: false });
    let mut writer = TcpStream::connect(address).expect("the gateway listens");
    let mut reader = writer.try_clone().expect("a socket has room for two");
    let reading = std::thread::spawn(move || {
        let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
        loop {
            match reader.read(&mut buffer).expect("answers until we are done") {
                0 => return bytes,
                size => bytes += size,
            }
        }
    });
    let mut message = vec![b'x'; LARGE];
    message.push(b'\n');
    (0..LARGE_COUNT).for_each(|_| writer.write_all(&message).expect("the gateway reads"));
    // All answers there will be: the client itself may be too slow for some of its own.
    let sum = crowd.stop();
    writer.shutdown(std::net::Shutdown::Both).expect("the connection stands");
    assert!(reading.join().expect("no panic") >= LARGE, "at least one came back whole");
    assert_eq!(sum.said, sum.heard, "{sum:?}");
    let [_, _, worker] = cluster.admin_addresses()[..] else { panic!("a register, a gateway, a worker") };
    assert_eq!(counter(worker, "commands_dropped"), 0);
    cluster.stop();
}
