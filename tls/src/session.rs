//! One connection's TLS, of either side, as a state machine over bytes.
//!
//! Owns the received bytes that are not a whole record yet, and nothing else that waits: plain bytes and bytes to send are
//! appended to buffers of the caller.

use std::mem;

use rustls::HandshakeKind;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use crate::config::{REST_SIZE_MAX, SEALED_OVERHEAD_MAX};

/// One connection's TLS.
///
/// Invariants: `rest` holds no whole record between calls and is at most [`REST_SIZE_MAX`] long; nothing is decrypted or
/// encrypted once the session has failed.
pub struct Session {
    conn: Conn,
    rest: Vec<u8>,
    stage: Stage,
    /// We have said that we will send no more.
    finished: bool,
    /// The peer has said that it will send no more.
    ended: bool,
    /// TLS has said something to the peer.
    answered: bool,
}

enum Conn {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has been received; a client may have said its hello.
    New,
    Handshaking,
    Open,
    /// We have said that we will send no more, or the session has failed.
    Closed,
}

/// What is to be written once the session can.
#[derive(Clone, Copy)]
enum Outgoing<'a> {
    Nothing,
    Data(&'a [u8]),
    CloseNotify,
}

/// How one step of rustls went.
enum Step {
    Again,
    PeerClosed,
    /// More input is needed for the handshake.
    Hungry,
    /// The handshake is done, and so is what was to be written.
    Ready,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What came first is no TLS.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// A record, or a message of the handshake, beyond [`REST_SIZE_MAX`].
    #[error("the peer sent more than a record at once")]
    TooLarge,
    /// Whatever else the peer did wrong, or did not want.
    #[error(transparent)]
    Tls(rustls::Error),
}

impl Session {
    pub(crate) fn server(conn: UnbufferedServerConnection) -> Session {
        Session::new(Conn::Server(conn))
    }

    /// A client begins: its hello is appended to `reply` by the first [`Session::receive`], of nothing.
    pub(crate) fn client(conn: UnbufferedClientConnection) -> Session {
        Session::new(Conn::Client(conn))
    }

    fn new(conn: Conn) -> Session {
        Session { conn, rest: Vec::new(), stage: Stage::New, finished: false, ended: false, answered: false }
    }

    /// Whether the handshake is done and [`Session::seal`] may be called.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open && !self.finished
    }

    /// Whether the handshake was a short one, by a ticket of an earlier session.
    pub fn is_resumed(&self) -> bool {
        let kind = match &self.conn {
            Conn::Server(conn) => conn.handshake_kind(),
            Conn::Client(conn) => conn.handshake_kind(),
        };
        kind == Some(HandshakeKind::Resumed)
    }

    /// Whether the handshake is not done, and has not failed.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::New | Stage::Handshaking)
    }

    /// Whether TLS has said something to the peer: of a server's handshake, that the largest part of it is done.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Whether the peer has said, by close_notify, that it will send no more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that are kept of a record that is not whole.
    pub fn kept_size(&self) -> usize {
        self.rest.len()
    }

    /// Takes received bytes, which are changed. What they hold is appended to `plain`, what TLS itself answers to
    /// `reply`.
    ///
    /// # Errors
    /// The session is over, and takes nothing more. `plain` has what came before; `reply` has the alert that tells the
    /// peer, where there is one.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.ended || self.stage == Stage::Closed {
            return Ok(());
        }
        if self.stage == Stage::New {
            match (bytes.first(), &self.conn) {
                (None, Conn::Server(_)) => return Ok(()),
                // The hello is wanted.
                (None, Conn::Client(_)) => {}
                (Some(&HANDSHAKE), _) | (Some(&ALERT), Conn::Client(_)) => self.stage = Stage::Handshaking,
                (Some(_), _) => return self.fail(Failure::NotTls),
            }
        }
        let said = reply.len();
        let result = if self.rest.is_empty() {
            let (done, result) = self.run(bytes, Outgoing::Nothing, plain, reply);
            self.rest.extend_from_slice(&bytes[done..]);
            result
        } else {
            let mut rest = mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let (done, result) = self.run(&mut rest, Outgoing::Nothing, plain, reply);
            if done < rest.len() {
                rest.drain(..done);
                self.rest = rest;
            }
            result
        };
        self.answered |= reply.len() > said;
        match result {
            Err(failure) => self.fail(failure),
            Ok(()) if self.ended => {
                self.rest = Vec::new();
                Ok(())
            }
            Ok(()) if self.rest.len() > REST_SIZE_MAX => self.fail(Failure::TooLarge),
            Ok(()) => Ok(()),
        }
    }

    /// Encrypts `plain` behind the end of `out`.
    ///
    /// # Errors
    /// So much has been sent that TLS 1.2 allows no more under these keys. The session is over.
    ///
    /// # Panics
    /// The session is not open.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        assert!(self.is_open(), "sealing needs the keys of a finished handshake");
        match self.write(Outgoing::Data(plain), out) {
            Ok(()) => Ok(()),
            Err(failure) => self.fail(failure),
        }
    }

    /// Says behind the end of `out` that nothing more will be sent: close_notify. What comes is still taken. Says nothing
    /// twice, nor before the handshake is done.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            // Who cannot say it any more needs not.
            let _ = self.write(Outgoing::CloseNotify, out);
            self.finished = true;
        }
    }

    /// The same, and nothing more is taken.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.finish(out);
        self.stage = Stage::Closed;
    }

    fn fail<T>(&mut self, failure: Failure) -> Result<T, Failure> {
        self.stage = Stage::Closed;
        self.rest = Vec::new();
        Err(failure)
    }

    fn write(&mut self, what: Outgoing<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        // It has no whole record, but rustls may have looked at its beginning, and wants to see that again.
        let mut rest = mem::take(&mut self.rest);
        let (done, result) = self.run(&mut rest, what, &mut Vec::new(), out);
        rest.drain(..done);
        self.rest = rest;
        result
    }

    /// Steps until `input` has no whole record and `what` is written. Returns how many bytes of `input` are done with.
    fn run(
        &mut self,
        input: &mut [u8],
        what: Outgoing<'_>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), Failure>) {
        let mut done = 0;
        loop {
            let (consumed, step) = self.conn.step(&mut input[done..], what, plain, out);
            done += consumed;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::PeerClosed) => self.ended = true,
                Ok(Step::Hungry) => return (done, Ok(())),
                Ok(Step::Ready) => {
                    if self.stage == Stage::Handshaking {
                        self.stage = Stage::Open;
                    }
                    return (done, Ok(()));
                }
                Err(error) => {
                    // The alert that tells the peer. It comes before rustls looks at any input, which it must not again.
                    while self.conn.wants_write()
                        && matches!(self.conn.step(&mut [], Outgoing::Nothing, plain, out).1, Ok(Step::Again))
                    {
                    }
                    return (done, Err(Failure::Tls(error)));
                }
            }
        }
    }
}

impl Conn {
    fn step(
        &mut self,
        input: &mut [u8],
        what: Outgoing<'_>,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<Step, rustls::Error>) {
        match self {
            Conn::Server(conn) => step(conn.process_tls_records(input), what, plain, out),
            Conn::Client(conn) => step(conn.process_tls_records(input), what, plain, out),
        }
    }

    fn wants_write(&self) -> bool {
        match self {
            Conn::Server(conn) => conn.wants_write(),
            Conn::Client(conn) => conn.wants_write(),
        }
    }
}

/// Whether a connection's first bytes are those of a TLS client.
pub fn is_client_hello(bytes: &[u8]) -> bool {
    const MAJOR_VERSION: u8 = 3;
    bytes.starts_with(&[HANDSHAKE, MAJOR_VERSION])
}

/// Does what rustls wants done. Returns how much of the input is done with.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    what: Outgoing<'_>,
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> (usize, Result<Step, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::Again),
                Some(Err(error)) => break Err(error),
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            append(out, 0, |room| data.encode(room).map_err(Shortage::from)).map(|()| Step::Again)
        }
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Step::PeerClosed),
        Ok(ConnectionState::WriteTraffic(traffic)) => write(traffic, what, out).map(|()| Step::Ready),
        // Early data is switched off, and what rustls may have some day nobody asked for.
        Ok(_) => Ok(Step::Hungry),
    };
    (discard, step)
}

fn write<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    what: Outgoing<'_>,
    out: &mut Vec<u8>,
) -> Result<(), rustls::Error> {
    match what {
        Outgoing::Nothing => Ok(()),
        Outgoing::Data(data) => {
            let size = data.len() + SEALED_OVERHEAD_MAX;
            append(out, size, |room| traffic.encrypt(data, room).map_err(Shortage::from))
        }
        Outgoing::CloseNotify => {
            append(out, SEALED_OVERHEAD_MAX, |room| traffic.queue_close_notify(room).map_err(Shortage::from))
        }
    }
}

/// Why rustls wrote nothing.
enum Shortage {
    Room(usize),
    Keys,
}

impl From<EncodeError> for Shortage {
    fn from(error: EncodeError) -> Shortage {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Shortage::Room(required_size)
            }
            EncodeError::AlreadyEncoded => Shortage::Room(0),
        }
    }
}

impl From<EncryptError> for Shortage {
    fn from(error: EncryptError) -> Shortage {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Shortage::Room(required_size)
            }
            EncryptError::EncryptExhausted => Shortage::Keys,
        }
    }
}

/// Appends what `write` puts into the room it is given: `size` bytes, or as many as it asks for then.
fn append(
    out: &mut Vec<u8>,
    size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Shortage>,
) -> Result<(), rustls::Error> {
    let start = out.len();
    out.resize(start + size, 0);
    let written = match write(&mut out[start..]) {
        Err(Shortage::Room(size)) => {
            out.resize(start + size, 0);
            write(&mut out[start..])
        }
        done => done,
    };
    out.truncate(start + *written.as_ref().unwrap_or(&0));
    match written {
        Ok(_) => Ok(()),
        Err(Shortage::Room(_) | Shortage::Keys) => Err(rustls::Error::EncryptError),
    }
}

/// The record type that both sides' hellos come in (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// That of what a server says instead of its hello when it does not like the client's.
const ALERT: u8 = 21;
