//! A bare hop on the ring: every connection gets one of its own to another server, and bytes are passed on both ways.
//! With `echo` behind it, the path that a message takes through gateway and worker, without what those do.
//! Runs until it is ended by a signal.
//!
//!     cargo run --release -p ringway-uring --example relay -- 127.0.0.1:0 127.0.0.1:7000

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ringway_uring::{Config, Event, Ring, Send, SocketId};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(end)) = (words.next(), words.next()) else {
        return Err("usage: relay ADDRESS END".into());
    };
    let sockets_max = ringway_uring::raise_nofile_limit()?.min(1 << 20) as u32;
    let mut ring = Ring::new(Config { sockets_max, ..Config::default() })?;
    let listener = TcpListener::bind(address)?;
    println!("ready: {}", listener.local_addr()?);
    ring.listen(listener)?;
    let mut relay = Relay { end: end.parse()?, ..Relay::default() };
    loop {
        relay.turn(&mut ring)?;
    }
}

/// Pairs of connections, and what came in one turn, in order. A connection whose other end does not take all of it at
/// once ends, with the other: there is no queue here.
struct Relay {
    end: SocketAddr,
    others: HashMap<SocketId, SocketId>,
    bytes: Vec<u8>,
    /// To whom how many of the bytes go.
    parts: Vec<(SocketId, usize)>,
    accepted: Vec<SocketId>,
    connected: Vec<SocketId>,
    ended: Vec<SocketId>,
}

impl Default for Relay {
    fn default() -> Relay {
        Relay {
            end: SocketAddr::from(([127, 0, 0, 1], 0)),
            others: HashMap::new(),
            bytes: Vec::new(),
            parts: Vec::new(),
            accepted: Vec::new(),
            connected: Vec::new(),
            ended: Vec::new(),
        }
    }
}

impl Relay {
    fn turn(&mut self, ring: &mut Ring) -> io::Result<()> {
        ring.turn(Duration::from_secs(1), |event| match event {
            Event::Accepted { socket, .. } => self.accepted.push(socket),
            Event::Connected { socket } => self.connected.push(socket),
            Event::Received { socket, bytes } => {
                if let Some(other) = self.others.get(&socket) {
                    self.bytes.extend_from_slice(bytes);
                    self.parts.push((*other, bytes.len()));
                }
            }
            Event::EndOfStream { socket } | Event::Failed { socket, .. } => self.ended.push(socket),
            _ => {}
        })?;
        // Who came is read once there is somebody to pass it on to.
        for socket in self.accepted.drain(..) {
            ring.pause(socket);
            let other = ring.connect(self.end, None)?;
            self.others.extend([(socket, other), (other, socket)]);
        }
        for socket in self.connected.drain(..) {
            self.others.get(&socket).inspect(|other| ring.resume(**other));
        }
        self.send(ring)?;
        for socket in self.ended.drain(..) {
            if let Some(other) = self.others.remove(&socket) {
                self.others.remove(&other);
                ring.close(other);
            }
            ring.close(socket);
        }
        Ok(())
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
        self.ended.extend(short.iter().map(|fell| fell.socket));
        self.bytes.clear();
        self.parts.clear();
        Ok(())
    }
}
