//! A connection to a gateway on which both ends prove that they know the secret key, before anything else is said.

use std::io;
use std::net::SocketAddrV4;

use protocol::inner::{
    self, Cmd, Dialler, FRAME_SIZE_MAX, Frame, HEADER_SIZE, NONCE_SIZE, Nonce, PROOF_SIZE, Scope, Step,
};
use protocol::{InnerAuth, Nonces};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::Config;
use crate::config::PROOF_TIMEOUT;
use crate::stream::{Dialler as Connector, Stream};

/// Opens a connection on which questions may be asked.
pub(crate) async fn open(
    address: SocketAddrV4,
    connector: &Connector,
    config: &Config,
) -> io::Result<Stream> {
    let connect = connector.connect(address.into());
    let mut stream = timeout(config.connect_timeout, connect).await.map_err(io::Error::from)??;
    if config.inner_auth == InnerAuth::Challenge {
        let nonce = Nonces::default().draw();
        let proven = async {
            match &mut stream {
                Stream::Plain(stream) => prove(stream, address, &config.secret_key, nonce).await,
                #[cfg(feature = "tls")]
                Stream::Tls(stream) => prove(stream, address, &config.secret_key, nonce).await,
            }
        };
        timeout(PROOF_TIMEOUT.min(config.reply_timeout), proven).await.map_err(|_| unasked())??;
    }
    Ok(stream)
}

/// Proves the key, and has the gateway prove it. `nonce` was never said before.
///
/// # Errors
/// The gateway does not ask, or is another one, or the connection ended; the message says what helps.
async fn prove(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    gateway: SocketAddrV4,
    secret_key: &str,
    nonce: Nonce,
) -> io::Result<()> {
    let mut dialler = Dialler::new(nonce);
    let scope = Scope::Gateway(gateway);
    let challenge =
        read(stream).await.map_err(|error| if is_end(&error) { refused(UNASKED) } else { error })?;
    let answer = match dialler.take(secret_key, scope, &challenge.ok_or_else(|| refused(UNASKED))?) {
        Ok(Step::Answer(answer)) => answer,
        Ok(Step::Proven) | Err(_) => return Err(refused(UNASKED)),
    };
    let mut bytes = Vec::new();
    Frame { body: &answer, ..Frame::command(Cmd::Challenge) }.encode(&mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    let proof =
        read(stream).await.map_err(|error| if is_end(&error) { refused(WRONG_KEY) } else { error })?;
    match dialler.take(secret_key, scope, &proof.ok_or_else(|| refused(WRONG_KEY))?) {
        Ok(Step::Proven) => Ok(()),
        Ok(Step::Answer(_)) | Err(_) => Err(refused(NOT_PROVEN)),
    }
}

/// Whether what came of a reply that was said to have `size` bytes is the rest of a challenge, whose length counts itself: values are text.
pub(crate) fn is_challenge(size: usize, reply: &[u8]) -> bool {
    size == CHALLENGE_SIZE && reply.first() == Some(&(Cmd::Challenge as u8))
}

/// Whether it is one that nothing was asked of.
fn begins_challenge(bytes: &[u8]) -> bool {
    bytes.starts_with(&CHALLENGE_BEGINS)
}

/// Of a gateway that says nothing.
fn unasked() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, UNASKED)
}

/// Of a gateway that would have the key proven.
pub(crate) fn asks() -> io::Error {
    refused(ASKS)
}

/// What comes when nothing was asked: the end, or what is of no use.
pub(crate) async fn read_unasked(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Error {
    match reader.fill_buf().await {
        Ok([]) => io::ErrorKind::UnexpectedEof.into(),
        Ok(bytes) if begins_challenge(bytes) => asks(),
        Ok(_) => io::Error::new(io::ErrorKind::InvalidData, "bytes that nobody asked for"),
        Err(error) => error,
    }
}

/// Whether an operator has to do something about it.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The body of a challenge or a proof; `None` if something else comes.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<[u8; NONCE_SIZE]>> {
    let mut bytes = [0; CHALLENGE_SIZE];
    let (header, body) = bytes.split_at_mut(HEADER_SIZE);
    // The length alone tells a reply, which may be shorter, from a frame.
    stream.read_exact(&mut header[..size_of::<u32>() + 1]).await?;
    if header[..5] != CHALLENGE_BEGINS {
        return Ok(None);
    }
    stream.read_exact(&mut header[5..]).await?;
    stream.read_exact(body).await?;
    let frame = inner::decode(&bytes, FRAME_SIZE_MAX).ok().flatten();
    Ok(frame.and_then(|(frame, _)| frame.body.try_into().ok()))
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Bytes of a frame with a nonce or a proof.
const CHALLENGE_SIZE: usize = HEADER_SIZE + NONCE_SIZE;

/// Its length and its command.
const CHALLENGE_BEGINS: [u8; 5] = {
    let [.., a, b, c, d] = CHALLENGE_SIZE.to_be_bytes();
    [a, b, c, d, Cmd::Challenge as u8]
};

const _: () = assert!(NONCE_SIZE == PROOF_SIZE);

const UNASKED: &str =
    "it does not ask for a proof of the secret key: does it have --inner-auth challenge, and is it well?";
const WRONG_KEY: &str = "it does not take the proof of the secret key: compare the secret keys";
const NOT_PROVEN: &str = "it does not prove that it knows the secret key itself: is it one of this cluster?";
const ASKS: &str = "it wants the secret key to be proven, not said: set `inner_auth` of the client's Config to InnerAuth::Challenge";
