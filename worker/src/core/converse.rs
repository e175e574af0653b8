//! One question on a connection to a gateway, and what comes back (WIRE.md §3, §5).

use std::io;
use std::net::SocketAddrV4;

use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use protocol::calls::query;
use protocol::inner::reply;
use protocol::php::{self, Value};

use super::connect::connect;
use crate::config::{QUERY_READ_SIZE, REPLY_SIZE_MAX};

/// What has become of a question.
#[derive(Debug)]
pub(super) enum Answer {
    Awaited,
    Given(Reply),
    /// The gateway does not know the command, and was asked name by name.
    ByName(Vec<Value>),
    Failed,
}

/// A question that some gateways know only for one name at a time ([`protocol::calls::Query::by_name`]).
#[derive(Debug)]
pub(crate) struct ByName {
    /// All frames.
    pub(crate) questions: Vec<u8>,
    /// How many they are.
    pub(crate) count: usize,
}

/// A reply, as it came and what it says.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) serialized: Bytes,
    pub(super) value: Value,
}

/// Asks once, or again on a new connection when one that was kept turns out to be dead.
pub(super) async fn ask(
    gateway: SocketAddrV4,
    connection: &mut Option<TcpStream>,
    authorization: &[u8],
    question: &[u8],
    by_name: Option<&ByName>,
) -> io::Result<Answer> {
    let packet = [authorization, question].concat();
    if let Some(kept) = connection.as_mut() {
        match converse(kept, packet.clone(), by_name).await {
            Err(error) if is_loss(&error) => {}
            done => return done,
        }
    }
    converse(connection.insert(connect(gateway).await?), packet, by_name).await
}

/// Whether the gateway has closed the connection, as opposed to having answered nonsense.
fn is_loss(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// Sends a question and reads the one reply. A question that the gateway may not know has a guard behind it: if that is
/// what is answered first, it does not, and is asked name by name.
async fn converse(
    stream: &mut TcpStream,
    mut packet: Vec<u8>,
    by_name: Option<&ByName>,
) -> io::Result<Answer> {
    if by_name.is_some() {
        query::guard().encode(&mut packet);
    }
    stream.write_all(&packet).await?;
    let mut arrived = Vec::new();
    let reply = read_reply(stream, &mut arrived).await?;
    let answer = match by_name {
        Some(by_name) if query::is_guards(&reply.value) => {
            stream.write_all(&by_name.questions).await?;
            let mut values = Vec::new();
            for _ in 0..by_name.count {
                values.push(read_reply(stream, &mut arrived).await?.value);
            }
            Answer::ByName(values)
        }
        Some(_) => {
            read_reply(stream, &mut arrived).await?;
            Answer::Given(reply)
        }
        None => Answer::Given(reply),
    };
    if arrived.is_empty() {
        Ok(answer)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "more replies than questions"))
    }
}

/// Takes one reply out of what has `arrived`, and reads until it is whole.
async fn read_reply(stream: &mut TcpStream, arrived: &mut Vec<u8>) -> io::Result<Reply> {
    let mut buffer = vec![0; QUERY_READ_SIZE];
    loop {
        if let Some((serialized, size)) = reply::decode(arrived, REPLY_SIZE_MAX).map_err(invalid)? {
            let value = php::decode(serialized).map_err(invalid)?;
            let length_size = size - serialized.len();
            let rest = arrived.split_off(size);
            let whole = Bytes::from(std::mem::replace(arrived, rest));
            return Ok(Reply { serialized: whole.slice(length_size..), value });
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            size => arrived.extend_from_slice(&buffer[..size]),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
