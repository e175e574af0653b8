//! The inner connection to a gateway, as a GatewayClient has it (WIRE.md §1, §5): commands, and queries one at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use protocol::inner::ext::{ClientConnect, Field, Select};
use protocol::inner::{Cmd, Frame, reply};
use protocol::php::{self, Key};
use protocol::register::{self, Lines, Request};

use crate::config::{REPLY_SIZE_MAX, SENDER_TIMEOUT};

/// A connection to one gateway.
#[derive(Debug)]
pub(super) struct Link {
    address: String,
    stream: TcpStream,
}

impl Link {
    /// Finds the gateways and connects to each.
    ///
    /// # Errors
    /// In one line: the register or a gateway cannot be reached, or there is no gateway.
    pub(super) fn to_all(register: &str, secret_key: &str) -> Result<Vec<Link>, String> {
        let gateways =
            ask_register(register, secret_key).map_err(|error| format!("register {register}: {error}"))?;
        if gateways.is_empty() {
            return Err(format!("register {register} knows no gateway"));
        }
        gateways.iter().map(|address| Link::open(address, secret_key)).collect()
    }

    fn open(address: &str, secret_key: &str) -> Result<Link, String> {
        let open = || {
            let mut stream = connect(address)?;
            if !secret_key.is_empty() {
                let mut bytes = Vec::new();
                let body = ClientConnect { secret_key: Some(secret_key.to_owned()) }.encode();
                Frame { body: &body, ..Frame::command(Cmd::GatewayClientConnect) }.encode(&mut bytes);
                stream.write_all(&bytes)?;
            }
            Ok(Link { address: address.to_owned(), stream })
        };
        open().map_err(|error: io::Error| format!("gateway {address}: {error}"))
    }

    /// Sends commands, whole frames.
    ///
    /// # Errors
    /// In one line: the gateway takes no more, or not in time.
    pub(super) fn send(&mut self, frames: &[u8]) -> Result<(), String> {
        self.stream.write_all(frames).map_err(|error| self.explain(&error))
    }

    /// The clients of the gateway, by their connection ids.
    ///
    /// # Errors
    /// In one line: no answer, or none that is one.
    pub(super) fn clients(&mut self) -> Result<Vec<u32>, String> {
        let select = Select { fields: vec![Field::Uid], condition: None }.encode();
        let found = self
            .ask(&Frame { ext: &select, ..Frame::command(Cmd::Select) })
            .and_then(|value| php::decode(&value).map_err(invalid))
            .map_err(|error| self.explain(&error))?;
        let ids = found.as_array().into_iter().flat_map(php::Array::keys);
        Ok(ids
            .filter_map(|key| if let Key::Int(id) = key { u32::try_from(*id).ok() } else { None })
            .collect())
    }

    /// Waits until the gateway has carried out all commands it was sent: it answers in order.
    ///
    /// # Errors
    /// In one line: no answer.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        self.ask(&Frame::command(Cmd::IsOnline)).map(drop).map_err(|error| self.explain(&error))
    }

    fn ask(&mut self, question: &Frame<'_>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        question.encode(&mut bytes);
        self.stream.write_all(&bytes)?;
        let mut input = Vec::new();
        receive(&mut self.stream, |bytes| {
            input.extend_from_slice(bytes);
            let reply = reply::decode(&input, REPLY_SIZE_MAX).map_err(invalid)?;
            Ok(reply.map(|(value, _)| value.to_vec()))
        })
    }

    fn explain(&self, error: &io::Error) -> String {
        format!("gateway {}: {error}", self.address)
    }
}

/// The list that a register gives to a GatewayClient.
fn ask_register(register: &str, secret_key: &str) -> io::Result<Vec<String>> {
    let mut stream = connect(register)?;
    let mut request = Vec::new();
    Request::WorkerConnect { secret_key: secret_key.to_owned(), admin: None }.encode(&mut request);
    stream.write_all(&request)?;
    let mut lines = Lines::default();
    receive(&mut stream, |bytes| {
        lines.push(bytes);
        let Some(line) = lines.next_line().map_err(invalid)? else { return Ok(None) };
        Ok(Some(register::Broadcast::decode(line).map_err(invalid)?.addresses))
    })
}

/// Hands what comes to `take` until that has its answer. A read with a timeout ends when its thread is interrupted, whatever
/// becomes of the signal.
fn receive<T>(stream: &mut impl Read, mut take: impl FnMut(&[u8]) -> io::Result<Option<T>>) -> io::Result<T> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let size = match stream.read(&mut buffer) {
            Ok(0) => return Err(io::Error::other("closed without an answer; is the --secret-key right?")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if let Some(answer) = take(&buffer[..size])? {
            return Ok(answer);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Is interrupted once.
    struct Interrupted(bool);

    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return (&b"answer"[..]).read(buffer);
            }
            Err(io::ErrorKind::Interrupted.into())
        }
    }

    #[test]
    fn an_interrupted_read_goes_on() {
        let answer = receive(&mut Interrupted(false), |bytes| Ok(Some(bytes.to_vec()))).unwrap();
        assert_eq!(answer, b"answer");
        let ended = receive(&mut io::empty(), |_| Ok(Some(()))).unwrap_err();
        assert!(ended.to_string().contains("closed without an answer"), "{ended}");
    }
}
