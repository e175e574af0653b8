//! Clients that talk without a break while programs come and go, and notice what they lose.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::client::websocket::{Event, Frame, WebsocketClient};

/// Between two messages of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// The last message of a client.
const END: &str = "end";

/// Websocket clients of an echo, each saying numbers.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<(JoinHandle<u64>, JoinHandle<u64>)>,
}

/// What the clients sent, and how much of it never came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Messages {
    /// Messages sent.
    pub sent: u64,
    /// Messages without an answer.
    pub lost: u64,
}

impl Load {
    /// Lets these clients talk from here on. One that is closed by its gateway, or hears anything twice or out of order,
    /// panics in [`Load::stop`].
    pub fn start(clients: impl IntoIterator<Item = WebsocketClient>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let talk = |client: WebsocketClient| {
            let (writer, stop) = (client.writer(), Arc::clone(&stop));
            (thread::spawn(move || send(writer, &stop)), thread::spawn(move || receive(client)))
        };
        let clients = clients.into_iter().map(talk).collect();
        Load { stop, clients }
    }

    /// Lets every client hear its last answer, which it can only while there is a worker for it.
    pub fn stop(self) -> Messages {
        self.stop.store(true, Ordering::Relaxed);
        let mut messages = Messages::default();
        for (sent, received) in self.clients {
            let sent = sent.join().expect("a client of the load could say everything");
            let received = received.join().expect("a client of the load was served well");
            messages.sent += sent;
            messages.lost += sent - received;
        }
        messages
    }
}

/// Returns how many numbers were sent.
fn send(mut writer: impl Write, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    let mut send = |text: &str| writer.write_all(&Frame::text(text).encode()).expect("the gateway stays");
    while !stop.load(Ordering::Relaxed) {
        sent += 1;
        send(&sent.to_string());
        thread::park_timeout(PAUSE);
    }
    send(END);
    sent
}

/// Returns how many numbers came back.
fn receive(mut client: WebsocketClient) -> u64 {
    let (mut received, mut last) = (0, 0);
    loop {
        let Event::Text(text) = client.receive() else {
            panic!("closed by the gateway after message {last}")
        };
        let text = String::from_utf8(text).expect("text is UTF-8");
        if text == END {
            return received;
        }
        let number: u64 = text.parse().expect("a number was sent");
        assert!(number > last, "{number} came after {last}");
        (received, last) = (received + 1, number);
    }
}
