//! Asks another process at its admin address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fetch::split;
use crate::proof::{Asked, minute};

/// What another process answers: the status and the body.
pub(crate) type Answer = (u16, Vec<u8>);

/// Asks within this time. The token is not said but proven, so nothing that can be used elsewhere gets to whoever listens there.
///
/// # Errors
/// Why there is no answer, and what to do, in one line.
pub(crate) async fn ask(asked: Asked<'_>, token: Option<&str>, limit: Duration) -> Result<Answer, String> {
    match timeout(limit, exchange(asked, token)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("has not answered for {} s", limit.as_secs())),
    }
}

async fn exchange(asked: Asked<'_>, token: Option<&str>) -> Result<Answer, String> {
    let Asked { at, method, path } = asked;
    let authorization =
        token.map(|token| format!("Authorization: {}\r\n", asked.prove(token, minute()))).unwrap_or_default();
    let length = if *method == Method::POST { "Content-Length: 0\r\n" } else { "" };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{length}{authorization}\r\n");
    let mut answer = Vec::new();
    let answered = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.take(ANSWER_SIZE_MAX + 1).read_to_end(&mut answer).await
    };
    answered.await.map_err(|error| describe(at, &error))?;
    if answer.len() as u64 > ANSWER_SIZE_MAX {
        return Err(format!("answers more than {} KiB", ANSWER_SIZE_MAX / 1024));
    }
    match split(&answer) {
        Some((401, _)) if token.is_none() => {
            Err("wants its --admin-token: start this one with the same".to_owned())
        }
        Some((401, _)) => Err("has another --admin-token, or a clock that is wrong by minutes".to_owned()),
        Some((status, body)) => Ok((status, body.to_vec())),
        None => Err("what answers there is no --admin of Ringway".to_owned()),
    }
}

fn describe(at: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "does not listen there: give it --admin {at}, or --admin 0.0.0.0:{} with --admin-token",
                at.port()
            )
        }
        _ => format!("cannot be asked: {error}"),
    }
}

/// The longest answer of a member, in bytes: some 300 shards. Beyond it is none.
const ANSWER_SIZE_MAX: u64 = 1024 * 1024;
