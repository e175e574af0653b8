//! Owns one connection: bytes to lines, the owed list to the socket, and when it ends.
//!
//! A connection reads on only after its own answer is written, so a peer that asks without reading is held back by TCP.
//! Never waits for another connection.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{or, pending};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::timer::Timer;
use protocol::pulse::Pulse;
use protocol::register::{Lines, PONG};

use crate::config::{READ_SIZE, READS_PER_TURN, REQUEST_SIZE_MAX, TURN_PAUSE};
use crate::directory::{PeerId, Refusal};
use crate::shared::{Shared, Wakes};

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it, or the network did.
    Gone,
    /// The register is stopping.
    Stopped,
    /// A peer that pings did so no more.
    Dead,
    Refused(Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// One connection and what it has sent so far.
pub(crate) struct Conn {
    peer: PeerId,
    stream: TcpStream,
    wakes: Rc<Wakes>,
    shared: Rc<Shared>,
    lines: Lines,
    /// Bytes since the last line end; `unfinished_size <= REQUEST_SIZE_MAX`.
    unfinished_size: usize,
}

enum Event {
    Read(io::Result<usize>),
    Owed,
    TimedOut,
}

impl Conn {
    pub(crate) fn new(peer: PeerId, stream: TcpStream, wakes: Rc<Wakes>, shared: Rc<Shared>) -> Self {
        Self { peer, stream, wakes, shared, lines: Lines::default(), unfinished_size: 0 }
    }

    /// Serves the connection until it ends. The socket is closed then; the directory still knows the peer.
    pub(crate) async fn serve(mut self, introduction_timeout: Duration) -> End {
        let wakes = Rc::clone(&self.wakes);
        let stopped = async {
            wakes.stop.notified().await;
            End::Stopped
        };
        let dead = async {
            wakes.dead.notified().await;
            End::Dead
        };
        let crowded = async {
            wakes.crowded.notified().await;
            End::Refused(Refusal::Crowded)
        };
        let end = or(or(stopped, or(dead, crowded)), async {
            match self.run(introduction_timeout).await {
                Ok(never) => match never {},
                Err(end) => end,
            }
        })
        .await;
        if let End::Refused(refusal) = end {
            self.say(refusal.farewell()).await;
        }
        // The reactor may hold the socket a moment longer; the peer need not wait for that.
        let _ = self.stream.shutdown(Shutdown::Both).await;
        end
    }

    async fn run(&mut self, introduction_timeout: Duration) -> Result<std::convert::Infallible, End> {
        let mut buffer = [0; READ_SIZE];
        let mut introduction_due = Some(Timer::new(introduction_timeout));
        let mut full_reads = 0;
        loop {
            if full_reads == READS_PER_TURN {
                full_reads = 0;
                Timer::new(TURN_PAUSE).await;
            }
            match self.event(&mut buffer, introduction_due.as_mut()).await {
                Event::Read(size) => {
                    let size = size?;
                    full_reads = if size == READ_SIZE { full_reads + 1 } else { 0 };
                    self.on_bytes(&buffer[..size]).await?;
                }
                Event::Owed => self.write_owed().await?,
                Event::TimedOut => {
                    introduction_due = None;
                    self.shared.directory.borrow_mut().on_timeout(self.peer)?;
                }
            }
            if introduction_due.is_some() && self.shared.directory.borrow().is_known(self.peer) {
                introduction_due = None;
            }
        }
    }

    async fn event(&mut self, buffer: &mut [u8], due: Option<&mut Timer>) -> Event {
        let stream = &mut self.stream;
        let read = async { Event::Read(stream.read(buffer).await) };
        let owed = async {
            self.wakes.owed.notified().await;
            Event::Owed
        };
        let timed_out = async {
            match due {
                Some(timer) => timer.await,
                None => pending().await,
            };
            Event::TimedOut
        };
        or(read, or(owed, timed_out)).await
    }

    async fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), End> {
        if bytes.is_empty() {
            return Err(End::Gone);
        }
        self.unfinished_size = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(line_end) => bytes.len() - line_end - 1,
            None => self.unfinished_size + bytes.len(),
        };
        if self.unfinished_size > REQUEST_SIZE_MAX {
            return Err(Refusal::TooLong.into());
        }
        self.wakes.beat(Pulse::heard);
        self.lines.push(bytes);
        while let Some(line) = self.lines.next_line().map_err(|_| Refusal::TooLong)? {
            self.shared.on_line(self.peer, line)?;
            if self.shared.directory.borrow_mut().take_pong(self.peer) {
                self.wakes.beat(Pulse::pinged);
                self.stream.write_all(PONG).await?;
            }
            self.write_owed().await?;
        }
        Ok(())
    }

    async fn write_owed(&mut self) -> io::Result<()> {
        loop {
            let Some(line) = self.shared.directory.borrow_mut().take_line(self.peer) else {
                return Ok(());
            };
            self.stream.write_all(&line).await?;
            self.shared.count(|counters| counters.lists += 1);
        }
    }

    async fn say(&mut self, farewell: Option<&[u8]>) {
        if let Some(line) = farewell {
            // A peer that is refused and does not listen has lost nothing.
            let _ = self.stream.write_all(line).await;
        }
    }
}
