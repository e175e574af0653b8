//! The sending side of a broadcast: plays a GatewayClient (WIRE.md §1, §5) on a thread of its own. Asks a register for the
//! gateways and has each of them send to all its clients, at the moments of a pace.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread::JoinHandle;

use crossbeam_channel::{RecvTimeoutError, Sender as Channel};
use protocol::inner::ext::ClientConnect;
use protocol::inner::{Cmd, Frame};
use protocol::register::{self, Lines, Request};

use crate::clock::{Clock, Nanos};
use crate::config::SENDER_TIMEOUT;
use crate::measure::Phase;
use crate::pace::Pace;
use crate::plan::Broadcast;
use crate::stamp;

/// A connection to every gateway.
pub struct Sender {
    links: Vec<TcpStream>,
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
    /// The moments the broadcasts were meant for, which are their names.
    pub rounds: Vec<Nanos>,
    /// Why there are no more, if that was not the plan.
    pub error: Option<String>,
}

impl Sender {
    /// Finds the gateways and connects to them.
    ///
    /// # Errors
    /// In one line: the register or a gateway cannot be reached, or there is no gateway.
    pub fn connect(cast: &Broadcast) -> Result<Sender, String> {
        let gateways = ask_register(cast).map_err(|error| format!("register {}: {error}", cast.register))?;
        if gateways.is_empty() {
            return Err(format!("register {} knows no gateway", cast.register));
        }
        let link = |gateway: &String| {
            connect_link(gateway, &cast.secret_key).map_err(|error| format!("gateway {gateway}: {error}"))
        };
        Ok(Sender { links: gateways.iter().map(link).collect::<Result<_, _>>()? })
    }

    /// Begins to send messages of `size` bytes.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(self, clock: Clock, phase: Phase, pace: Pace, size: usize) -> io::Result<Sending> {
        let (_alive, end) = crossbeam_channel::bounded(0);
        let work = move || self.send_all(clock, phase, pace, size, &end);
        let thread = std::thread::Builder::new().name("loadgen-sender".into()).spawn(work)?;
        Ok(Sending { thread, _alive })
    }

    fn send_all(
        mut self,
        clock: Clock,
        phase: Phase,
        mut pace: Pace,
        size: usize,
        end: &crossbeam_channel::Receiver<()>,
    ) -> Sent {
        let mut sent = Sent::default();
        while pace.next_at() < phase.until {
            let wait = pace.next_at().since(clock.now());
            if end.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            let Some(stamp) = pace.take(clock.now()) else { continue };
            if let Err(error) = self.broadcast(stamp, size) {
                sent.error = Some(format!("a gateway takes no more broadcasts: {error}"));
                break;
            }
            sent.rounds.push(stamp);
        }
        sent
    }

    fn broadcast(&mut self, stamp: Nanos, size: usize) -> io::Result<()> {
        let (mut body, mut bytes) = (Vec::new(), Vec::new());
        stamp::write(stamp, size, &mut body);
        Frame { body: &body, ..Frame::command(Cmd::SendToAll) }.encode(&mut bytes);
        self.links.iter_mut().try_for_each(|link| link.write_all(&bytes))
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

/// The list that a register gives to a GatewayClient.
fn ask_register(cast: &Broadcast) -> io::Result<Vec<String>> {
    let mut stream = connect(&cast.register)?;
    let mut request = Vec::new();
    Request::WorkerConnect { secret_key: cast.secret_key.clone() }.encode(&mut request);
    stream.write_all(&request)?;
    let (mut lines, mut buffer) = (Lines::default(), vec![0; 64 * 1024]);
    loop {
        if let Some(line) = lines.next_line().map_err(invalid)? {
            return Ok(register::Broadcast::decode(line).map_err(invalid)?.addresses);
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other("closed without an answer; is the --secret-key right?")),
            size => lines.push(&buffer[..size]),
        }
    }
}

fn connect_link(gateway: &str, secret_key: &str) -> io::Result<TcpStream> {
    let mut link = connect(gateway)?;
    if !secret_key.is_empty() {
        let mut bytes = Vec::new();
        let body = ClientConnect { secret_key: Some(secret_key.to_owned()) }.encode();
        Frame { body: &body, ..Frame::command(Cmd::GatewayClientConnect) }.encode(&mut bytes);
        link.write_all(&bytes)?;
    }
    Ok(link)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let found: Option<SocketAddr> = address.to_socket_addrs()?.next();
    let address = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))?;
    let stream = TcpStream::connect_timeout(&address, SENDER_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SENDER_TIMEOUT))?;
    stream.set_write_timeout(Some(SENDER_TIMEOUT))?;
    Ok(stream)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
