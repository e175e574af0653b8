//! The sending side of broadcasts and room messages, on a thread of its own: a GatewayClient that sends at the moments of a
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
use crate::config::{JOIN_BYTES, SENDS_PER_TURN, SYNC_PERIOD, SYNC_TRIES_MAX};
use crate::flags::Flags;
use crate::measure::Phase;
use crate::pace::Pace;
use crate::stamp;
use crate::step::Step;

/// A connection to every gateway.
pub(crate) struct Sender {
    links: Vec<Link>,
    step: Step,
    /// None: every message goes to all clients.
    rooms: Option<Rooms>,
}

/// A running sender; it ends at the end of its phase, or when this is dropped.
pub(crate) struct Sending {
    thread: JoinHandle<Sent>,
    /// Nothing is ever sent: its end ends the thread.
    _stop: Channel<()>,
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    /// The messages, in order.
    pub messages: Vec<Message>,
    /// Why there are no more, if that was not the plan.
    pub error: Option<String>,
}

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// The moment it was meant for, which names it.
    pub stamp: Nanos,
    /// How many clients were to receive it; none: all that are connected.
    pub members: Option<u64>,
}

impl Sender {
    /// Finds the gateways and connects to them.
    ///
    /// # Errors
    /// In one line: the register or a gateway cannot be reached, or there is no gateway.
    pub(crate) fn connect(flags: &Flags, step: &Step) -> Result<Sender, String> {
        let links = Link::to_all(&flags.register, &flags.secret_key)?;
        Ok(Sender { links, step: step.clone(), rooms: None })
    }

    /// Has the gateways put their clients into rooms, if messages go to rooms. Waits until the gateways know at least
    /// `clients`, which may be a little later than the clients know themselves connected.
    ///
    /// # Errors
    /// In one line: a gateway does not answer, or they know too few.
    pub(crate) fn join_rooms(&mut self, clients: u64) -> Result<(), String> {
        let Some(size) = self.step.room_size else { return Ok(()) };
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
        self.links.iter_mut().try_for_each(Link::flush)
    }

    /// The connection ids at each gateway.
    fn find_clients(&mut self, clients: u64) -> Result<Vec<Vec<u32>>, String> {
        let mut count = 0;
        for _ in 0..SYNC_TRIES_MAX {
            let found = self.links.iter_mut().map(Link::clients).collect::<Result<Vec<_>, _>>()?;
            count = found.iter().map(|connections| connections.len() as u64).sum();
            if count >= clients {
                return Ok(found);
            }
            std::thread::sleep(SYNC_PERIOD);
        }
        Err(format!("the gateways know {count} clients, {clients} are connected: is it their --register?"))
    }

    /// Begins to send.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(self, clock: Clock, phase: Phase) -> io::Result<Sending> {
        let (_stop, stopped) = crossbeam_channel::bounded(0);
        let work = move || self.send_all(clock, phase, &stopped);
        let thread = program::spawn_vital("loadgen-sender", work)?;
        Ok(Sending { thread, _stop })
    }

    fn send_all(mut self, clock: Clock, phase: Phase, stopped: &Receiver<()>) -> Sent {
        let burst = self.step.burst.unwrap_or(1);
        let mut pace = Pace::new(phase.from..phase.until, self.step.per_second() / burst as f64);
        let mut sent = Sent::default();
        let mut frames = Vec::new();
        while let Some(next) = pace.next_at() {
            if stopped.recv_timeout(next.since(clock.now())) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            let now = clock.now();
            let due = std::iter::from_fn(|| pace.take(now)).take(SENDS_PER_TURN.div_ceil(burst));
            // Messages are named by their stamps, so those of a burst are a nanosecond apart.
            let stamps: Vec<Nanos> =
                due.flat_map(|at| (0..burst as u64).map(move |n| Nanos(at.0 + n))).collect();
            frames.clear();
            let messages: Vec<Message> =
                stamps.into_iter().map(|stamp| self.write(stamp, &mut frames)).collect();
            if let Err(why) = self.links.iter_mut().try_for_each(|link| link.send(&frames)) {
                sent.error = Some(why);
                break;
            }
            sent.messages.extend(messages);
        }
        sent
    }

    fn write(&mut self, stamp: Nanos, frames: &mut Vec<u8>) -> Message {
        let mut body = Vec::with_capacity(self.step.size);
        stamp::write(stamp, self.step.size, &mut body);
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
    pub(crate) fn finish(self) -> Sent {
        drop(self._stop);
        self.thread
            .join()
            .unwrap_or_else(|_| Sent { error: Some("the sender failed".into()), ..Sent::default() })
    }
}
