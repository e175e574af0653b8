//! A bare echo server on the ring: sends back what comes. What the kernel's TCP costs, and nothing else, so it is
//! the budget that the gateway is measured against. Runs until it is ended by a signal.
//!
//!     cargo run --release -p ringway-uring --example echo -- 127.0.0.1:0

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, IoSlice};
use std::net::TcpListener;
use std::time::Duration;

use ringway_uring::{Config, Event, Ring, Send, SocketId};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let sockets_max = ringway_uring::raise_nofile_limit()?.min(1 << 20) as u32;
    let mut ring = Ring::new(Config { sockets_max, ..Config::default() })?;
    let listener = TcpListener::bind(address)?;
    println!("ready: {}", listener.local_addr()?);
    ring.listen(listener)?;
    let mut echo = Echo::default();
    loop {
        echo.turn(&mut ring)?;
    }
}

/// What came in one turn, in order, and what did not fit into a socket. A socket with a rest is paused, so that neither
/// more bytes nor its end come before the rest is gone.
#[derive(Default)]
struct Echo {
    bytes: Vec<u8>,
    parts: Vec<(SocketId, usize)>,
    ended: Vec<SocketId>,
    rests: HashMap<SocketId, Vec<u8>>,
}

impl Echo {
    fn turn(&mut self, ring: &mut Ring) -> io::Result<()> {
        let mut writable = Vec::new();
        ring.turn(Duration::from_secs(1), |event| match event {
            Event::Received { socket, bytes } => self.add(socket, bytes),
            Event::EndOfStream { socket } | Event::Failed { socket, .. } => self.ended.push(socket),
            Event::Writable { socket } => writable.push(socket),
            _ => {}
        })?;
        for socket in writable {
            let rest = self.rests.remove(&socket).unwrap_or_default();
            self.add(socket, &rest);
            ring.resume(socket);
        }
        self.send(ring)?;
        for socket in self.ended.drain(..) {
            self.rests.remove(&socket);
            ring.close(socket);
        }
        Ok(())
    }

    fn add(&mut self, socket: SocketId, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.parts.push((socket, bytes.len()));
    }

    fn send(&mut self, ring: &mut Ring) -> io::Result<()> {
        let mut start = 0;
        let sends = self.parts.iter().map(|&(socket, len)| {
            start += len;
            (socket, [IoSlice::new(&self.bytes[start - len..start])])
        });
        let sends: Vec<(SocketId, [IoSlice<'_>; 1])> = sends.collect();
        let mut short = Vec::new();
        ring.send_all(sends.iter().map(|(socket, slices)| Send { socket: *socket, slices }), &mut short)?;
        for fell in short {
            let sent = sends.iter().find(|sent| sent.0 == fell.socket);
            let (socket, [slice]) = sent.expect("only what was sent falls short");
            self.rests.insert(*socket, slice[fell.sent..].to_vec());
            ring.pause(*socket);
        }
        self.bytes.clear();
        self.parts.clear();
        Ok(())
    }
}
