//! The sending side of broadcasts and room messages, on a thread of its own: plays a GatewayClient at the moments of a
//! pace. It knows the clients only as the gateways do.

mod link;
mod rooms;

use std::io;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender as Channel};
use protocol::inner::{Cmd, Frame};

use self::link::Link;
use self::rooms::Rooms;
use crate::clock::{Clock, Nanos};
use crate::config::{GATHER_PERIOD, GATHER_TRIES_MAX, JOIN_BYTES, SENDS_PER_TURN};
use crate::measure::Phase;
use crate::pace::Pace;
use crate::stamp;
use crate::step::{Audience, Cast};

/// A connection to every gateway.
pub struct Sender {
    links: Vec<Link>,
    per_second: f64,
    /// Messages that leave at once.
    burst: usize,
    /// None: every message goes to everybody.
    rooms: Option<Rooms>,
}

/// A sender at work; it ends at the end of its phase, or when this is dropped.
pub struct Sending {
    thread: JoinHandle<Sent>,
    /// Nothing is ever sent: its end ends the thread.
    _alive: Channel<()>,
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// Why there are no more, if that was not the plan.
    pub error: Option<String>,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// The moment it was meant for, which names it.
    pub stamp: Nanos,
    /// How many were to receive it; none: everybody who is there.
    pub members: Option<u64>,
}

impl Sender {
    /// Finds the gateways and connects to them.
    ///
    /// # Errors
    /// In one line: the register or a gateway cannot be reached, or there is no gateway.
    pub fn connect(cast: &Cast) -> Result<Sender, String> {
        let Cast { cluster, per_second, burst, .. } = cast;
        Ok(Sender { links: Link::to_all(cluster)?, per_second: *per_second, burst: *burst, rooms: None })
    }

    /// Gets ready for `audience`: has the gateways put their clients into rooms. Waits until they know at least `clients`,
    /// which may be a little later than those know themselves connected.
    ///
    /// # Errors
    /// In one line: a gateway does not answer, or they know too few.
    pub fn gather(&mut self, audience: Audience, clients: u64) -> Result<(), String> {
        let Audience::Rooms { size } = audience else { return Ok(()) };
        let found = self.find_clients(clients)?;
        let rooms = Rooms::new(found.iter().map(Vec::len).sum(), size);
        let mut index = 0;
        for (link, connections) in self.links.iter_mut().zip(found) {
            for connections in connections.chunks(JOIN_BYTES / 64) {
                let mut joins = Vec::with_capacity(JOIN_BYTES);
                for connection in connections {
                    rooms.write_join(index, *connection, &mut joins);
                    index += 1;
                }
                link.send(&joins)?;
            }
        }
        self.rooms = Some(rooms);
        self.links.iter_mut().try_for_each(Link::settle)
    }

    /// The connection ids at each gateway.
    fn find_clients(&mut self, clients: u64) -> Result<Vec<Vec<u32>>, String> {
        let mut count = 0;
        for _ in 0..GATHER_TRIES_MAX {
            let found = self.links.iter_mut().map(Link::clients).collect::<Result<Vec<_>, _>>()?;
            count = found.iter().map(|connections| connections.len() as u64).sum();
            if count >= clients {
                return Ok(found);
            }
            std::thread::sleep(GATHER_PERIOD);
        }
        Err(format!("the gateways know {count} clients, {clients} are connected: is it their --register?"))
    }

    /// Begins to send messages of `size` bytes.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self, clock: Clock, phase: Phase, size: usize) -> io::Result<Sending> {
        let (_alive, end) = crossbeam_channel::bounded(0);
        let work = move || self.send_all(clock, phase, size, &end);
        let thread = program::spawn_vital("loadgen-sender", work)?;
        Ok(Sending { thread, _alive })
    }

    fn send_all(mut self, clock: Clock, phase: Phase, size: usize, end: &Receiver<()>) -> Sent {
        let mut pace = Pace::new(phase.from, self.per_second / self.burst as f64);
        let mut sent = Sent::default();
        let mut frames = Vec::new();
        while pace.next_at() < phase.until {
            let wait = pace.next_at().since(clock.now());
            if end.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            let last = clock.now().min(Nanos(phase.until.0.saturating_sub(1)));
            let due = std::iter::from_fn(|| pace.take(last)).take(SENDS_PER_TURN.div_ceil(self.burst));
            // Messages are named by their stamps, so those of a burst are a nanosecond apart.
            let stamps: Vec<Nanos> =
                due.flat_map(|at| (0..self.burst as u64).map(move |n| Nanos(at.0 + n))).collect();
            frames.clear();
            let messages: Vec<Message> =
                stamps.into_iter().map(|stamp| self.write(stamp, size, &mut frames)).collect();
            if let Err(why) = self.links.iter_mut().try_for_each(|link| link.send(&frames)) {
                sent.error = Some(why);
                break;
            }
            sent.messages.extend(messages);
        }
        sent
    }

    fn write(&mut self, stamp: Nanos, size: usize, frames: &mut Vec<u8>) -> Message {
        let mut body = Vec::with_capacity(size);
        stamp::write(stamp, size, &mut body);
        let members = match &mut self.rooms {
            Some(rooms) => Some(rooms.write_next(&body, frames)),
            None => {
                Frame { body: &body, ..Frame::command(Cmd::SendToAll) }.encode(frames);
                None
            }
        };
        Message { stamp, members }
    }
}

impl Sending {
    /// Ends it if it has not ended yet, and returns what it sent.
    pub fn finish(self) -> Sent {
        drop(self._alive);
        self.thread
            .join()
            .unwrap_or_else(|_| Sent { error: Some("the sender failed".into()), ..Sent::default() })
    }
}
