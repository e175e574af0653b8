//! A worker for the benchmark `hostile-bare`: `bare-worker ADDRESS`, at the inner port of a gateway. It says what PHP's say and
//! no more, so that nobody knows what it has done: it sends messages back, one write for each, and takes what comes in the
//! order in which it comes.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use protocol::inner::{self, Cmd, FRAME_SIZE_MAX, Frame};

fn main() -> ExitCode {
    let Some(Ok(address)) = std::env::args().nth(1).map(|address| address.parse()) else {
        eprintln!("bare-worker: expected the IP:PORT of a gateway's inner port");
        return ExitCode::from(2);
    };
    match work(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Until the gateway closes the link.
fn work(address: SocketAddr) -> io::Result<()> {
    let mut link = TcpStream::connect(address)?;
    link.set_nodelay(true)?;
    let mut out = Vec::new();
    let body = br#"{"worker_key":"bare:0","secret_key":""}"#;
    Frame { body, ..Frame::command(Cmd::WorkerConnect) }.encode(&mut out);
    link.write_all(&out)?;
    println!("bare-worker ready: {address}");
    let (mut input, mut held) = (vec![0; READ_SIZE], 0);
    loop {
        let size = link.read(&mut input[held..])?;
        if size == 0 {
            return Ok(());
        }
        held += size;
        let mut at = 0;
        while let Some((frame, size)) =
            inner::decode(&input[at..held], FRAME_SIZE_MAX).map_err(io::Error::other)?
        {
            at += size;
            if frame.cmd == Cmd::OnMessage as u8 {
                out.clear();
                let Frame { connection_id, body, .. } = frame;
                Frame { connection_id, body, ..Frame::command(Cmd::SendToOne) }.encode(&mut out);
                link.write_all(&out)?;
            }
        }
        input.copy_within(at..held, 0);
        held -= at;
        if held == input.len() {
            // A frame that is larger.
            input.resize(2 * held, 0);
        }
    }
}

/// Bytes of a read, as many as PHP's workers take.
const READ_SIZE: usize = 64 * 1024;
