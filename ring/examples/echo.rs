//! A bare echo server on the ring: sends back what comes. What the kernel's TCP costs, and nothing else, so it is
//! the budget that the gateway is measured against. Runs until it is ended by a signal.
//!
//!     cargo run --release -p ringway-ring --example echo -- 127.0.0.1:0

use std::error::Error;
use std::io::IoSlice;
use std::net::TcpListener;
use std::time::Duration;

use ringway_ring::{Config, Event, Ring, Send, SocketId};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let sockets_max = ringway_ring::raise_nofile_limit()?.min(1 << 20) as u32;
    let mut ring = Ring::new(Config { sockets_max, ..Config::default() })?;
    let listener = TcpListener::bind(address)?;
    println!("ready: {}", listener.local_addr()?);
    ring.listen(listener)?;
    let mut echo = Echo::default();
    loop {
        echo.turn(&mut ring)?;
    }
}

/// What came in one turn, and what did not fit into a socket. A socket with a rest is paused, so there is never more than one.
#[derive(Default)]
struct Echo {
    bytes: Vec<u8>,
    parts: Vec<(SocketId, usize)>,
    rests: Vec<(SocketId, Vec<u8>)>,
}

impl Echo {
    fn turn(&mut self, ring: &mut Ring) -> std::io::Result<()> {
        let (mut ended, mut writable) = (Vec::new(), Vec::new());
        self.bytes.clear();
        self.parts.clear();
        ring.turn(Duration::from_secs(1), |event| match event {
            Event::Received { socket, bytes } => {
                self.bytes.extend_from_slice(bytes);
                self.parts.push((socket, bytes.len()));
            }
            Event::EndOfStream { socket } | Event::Failed { socket, .. } => ended.push(socket),
            Event::Writable { socket } => writable.push(socket),
            _ => {}
        })?;
        for socket in writable {
            if let Some(index) = self.rests.iter().position(|rest| rest.0 == socket) {
                let (_, rest) = self.rests.swap_remove(index);
                ring.resume(socket);
                self.bytes.extend_from_slice(&rest);
                self.parts.push((socket, rest.len()));
            }
        }
        self.send(ring)?;
        for socket in ended {
            self.rests.retain(|rest| rest.0 != socket);
            ring.close(socket);
        }
        Ok(())
    }

    fn send(&mut self, ring: &mut Ring) -> std::io::Result<()> {
        let mut left = self.bytes.as_slice();
        let slices: Vec<_> = (self
            .parts
            .iter()
            .map(|&(socket, len)| (socket, IoSlice::new(left.split_off(..len).expect("parts add up")))))
        .collect();
        let mut short = Vec::new();
        ring.send_all(
            slices
                .iter()
                .map(|(socket, slice)| Send { socket: *socket, slices: std::slice::from_ref(slice) }),
            &mut short,
        )?;
        for fell in short {
            let (socket, slice) =
                slices.iter().find(|sent| sent.0 == fell.socket).expect("only what was sent falls short");
            ring.pause(*socket);
            self.rests.push((*socket, slice[fell.sent..].to_vec()));
        }
        Ok(())
    }
}
