//! What a case is made of: a client that has shaken hands, and the ways a connection may end.

use std::net::{Ipv4Addr, SocketAddr};

use libtest_mimic::Trial;
use ringway_tests::client::websocket::{Event, Frame, WebsocketClient};

/// The server's verdict on broken framing.
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
/// The server's verdict on text that is not UTF-8.
pub(crate) const INVALID_PAYLOAD: u16 = 1007;
/// The server's verdict on a message over its limit.
pub(crate) const TOO_BIG: u16 = 1009;

/// Cases against one gateway.
pub(crate) struct Suite {
    address: SocketAddr,
    trials: Vec<Trial>,
}

impl Suite {
    pub(crate) fn new(address: SocketAddr) -> Suite {
        Suite { address, trials: Vec::new() }
    }

    /// Cases that are only listed, never run.
    pub(crate) fn unreachable() -> Suite {
        Suite::new((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Adds a case by its number, as in `5.12`. It gets a client whose handshake is done.
    pub(crate) fn case(&mut self, number: &str, run: impl FnOnce(&mut WebsocketClient) + Send + 'static) {
        self.unconnected(number, |address| run(&mut WebsocketClient::connect(address)));
    }

    /// Adds a case that connects by itself.
    pub(crate) fn unconnected(&mut self, number: &str, run: impl FnOnce(SocketAddr) + Send + 'static) {
        let address = self.address;
        let name = format!("case_{}", number.replace('.', "_"));
        self.trials.push(Trial::test(name, move || {
            run(address);
            Ok(())
        }));
    }

    pub(crate) fn into_trials(self) -> impl Iterator<Item = Trial> {
        self.trials.into_iter()
    }
}

/// How a case puts its bytes on the wire.
#[derive(Clone, Copy)]
pub(crate) enum Chop {
    /// All frames in one write.
    Whole,
    /// A write per frame.
    Frames,
    /// A write per so many bytes, whatever frames they belong to.
    Bytes(usize),
}

/// Sends frames chopped up in this way.
pub(crate) fn send(client: &mut WebsocketClient, frames: &[Frame], chop: Chop) {
    let encoded: Vec<Vec<u8>> = frames.iter().map(Frame::encode).collect();
    match chop {
        Chop::Whole => client.send_bytes(&encoded.concat()),
        Chop::Frames => encoded.iter().for_each(|frame| client.send_bytes(frame)),
        Chop::Bytes(size) => client.send_chopped(&encoded.concat(), size),
    }
}

/// The server fails the connection: a close frame with this code, then, once that is answered, the end, and nothing else.
#[track_caller]
pub(crate) fn expect_failure(client: &mut WebsocketClient, code: u16) {
    client.expect(&Event::Close(Some(code)));
    expect_end(client, code);
}

/// Answers a close frame; the server then closes.
#[track_caller]
fn expect_end(client: &mut WebsocketClient, code: u16) {
    client.send(&Frame::close(code));
    client.expect(&Event::End);
}

/// The same, but the echo of what was right before may or may not come first: it goes through a worker, while the
/// connection is to fail at once. The public suite calls both acceptable.
#[track_caller]
pub(crate) fn expect_failure_after(client: &mut WebsocketClient, echo: &Event, code: u16) {
    let first = client.receive();
    if first == *echo {
        return expect_failure(client, code);
    }
    assert_eq!(first, Event::Close(Some(code)));
    expect_end(client, code);
}

/// The server answers our close frame with one of these codes, or with none, and closes.
#[track_caller]
pub(crate) fn expect_goodbye(client: &mut WebsocketClient, codes: &[u16]) {
    match client.receive() {
        Event::Close(None) => (),
        Event::Close(Some(code)) => assert!(codes.contains(&code), "code {code}, expected one of {codes:?}"),
        other => panic!("expected a close frame, received {other:?}"),
    }
    client.expect(&Event::End);
}
