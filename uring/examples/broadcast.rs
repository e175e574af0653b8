//! A bare send loop on the ring: the same bytes to everybody who is connected, so many times a second. What the kernel
//! takes for a broadcast, and nothing else. Runs until it is ended by a signal.
//!
//!     cargo run --release -p ringway-uring --example broadcast -- 127.0.0.1:0 SIZE SECONDS
//!
//! SIZE bytes go to everybody every SECONDS, in one send each. Who does not take them at once is closed.

use std::error::Error;
use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::time::Duration;

use ringway_uring::{Config, Event, Ring, Send, SocketId};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, size, seconds] = words.as_slice() else {
        return Err("usage: broadcast ADDRESS SIZE SECONDS".into());
    };
    let sockets_max = ringway_uring::raise_nofile_limit()?.min(1 << 20) as u32;
    let tick = Duration::from_secs_f64(seconds.parse()?);
    let mut ring = Ring::new(Config { sockets_max, tick, ..Config::default() })?;
    let listener = TcpListener::bind(address)?;
    println!("ready: {}", listener.local_addr()?);
    ring.listen(listener)?;
    let (message, mut clients) = (vec![b'.'; size.parse()?], Vec::new());
    loop {
        turn(&mut ring, &message, &mut clients)?;
    }
}

fn turn(ring: &mut Ring, message: &[u8], clients: &mut Vec<SocketId>) -> io::Result<()> {
    let (mut due, mut ended) = (false, Vec::new());
    ring.turn(Duration::from_secs(1), |event| match event {
        Event::Accepted { socket, .. } => clients.push(socket),
        Event::EndOfStream { socket } | Event::Failed { socket, .. } => ended.push(socket),
        Event::Tick => due = true,
        _ => {}
    })?;
    if due {
        let (slices, mut short) = ([IoSlice::new(message)], Vec::new());
        ring.send_all(clients.iter().map(|socket| Send { socket: *socket, slices: &slices }), &mut short)?;
        ended.extend(short.iter().map(|fell| fell.socket));
    }
    if !ended.is_empty() {
        clients.retain(|socket| !ended.contains(socket));
        ended.into_iter().for_each(|socket| ring.close(socket));
    }
    Ok(())
}
