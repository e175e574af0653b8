//! Clients: they say numbered lines, hear answers, leave, and others come.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::network::{Arrival, End, Process};
use crate::speech::{Heard, Speech};
use crate::world::{GATEWAYS, ROOM, World};

/// A client of a gateway.
pub(crate) struct Client {
    pub(crate) gateway: usize,
    /// Which process that was.
    pub(crate) life: u32,
    /// The worker in the gateway's process, by its number: no other is to hear of the client.
    pub(crate) own_worker: Option<usize>,
    /// To its gateway.
    pipe: usize,
    /// Its gateway's machine is gone.
    pub(crate) is_gone: bool,
    /// It has said that it says no more.
    pub(crate) has_left: bool,
    /// Its gateway has been asked to end, and will close it.
    pub(crate) is_dismissed: bool,
    /// It has heard the end.
    pub(crate) is_over: bool,
    pub(crate) said: Vec<String>,
    pub(crate) heard: Vec<String>,
    /// What workers said to it of which it had asked nothing.
    pub(crate) pushed: Vec<String>,
    unread: Vec<u8>,
    speech: Speech,
}

impl Client {
    /// Whether it was let in. A websocket that leaves before may leave unheard.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.speech, Speech::Asking | Speech::Refused)
    }
}

impl World {
    /// Connects to a gateway that is there.
    pub(crate) fn connect_client(&mut self) {
        let gateways: Vec<_> = (0..GATEWAYS).filter(|gateway| self.takes_clients(*gateway)).collect();
        let Some(gateway) = self.random.choice(gateways) else { return };
        let pipe = self.pipes.len();
        let client = self.clients.len();
        let socket = self.gateways[gateway].sockets.open(pipe + 1);
        self.add_pipes(End::Client(client), End::Gateway(gateway, socket));
        let (speech, greeting) = Speech::begin(self.are_websockets);
        self.clients.push(Client {
            gateway,
            life: self.gateways[gateway].life,
            own_worker: self.gateways[gateway].own.as_ref().map(|own| own.worker),
            pipe,
            is_gone: false,
            has_left: false,
            is_dismissed: false,
            is_over: false,
            pushed: vec![],
            said: vec![],
            heard: vec![],
            unread: vec![],
            speech,
        });
        let (now, listener) = (self.millis(), self.are_websockets.into());
        self.gateways[gateway].shard.on_client_accepted(now, listener, socket, address_of(client));
        self.turn_gateway(gateway);
        let sent = self.pipes[pipe].send(&greeting);
        assert_eq!(sent, greeting.len(), "a request fits");
    }

    fn takes_clients(&self, gateway: usize) -> bool {
        !self.is_frozen(Some(Process::Gateway(gateway))) && self.is_serving(gateway)
    }

    /// One says something.
    pub(crate) fn speak(&mut self) {
        let there: Vec<_> =
            self.present_clients().filter(|client| self.clients[*client].speech.is_open()).collect();
        let Some(index) = self.random.choice(there) else { return };
        // Now and then more than is its share.
        let (count, size) = match self.random.u32(..16) {
            0 => (self.random.usize(1..30), 0),
            _ => (1, self.random.usize(..60)),
        };
        (0..count).for_each(|_| self.say_line(index, size));
    }

    fn say_line(&mut self, index: usize, size: usize) {
        let client = &mut self.clients[index];
        let text = format!("{index}:{}:{}", client.said.len(), "x".repeat(size));
        let message = client.speech.encode(&text);
        let pipe = &mut self.pipes[client.pipe];
        if pipe.len() + message.len() <= ROOM {
            pipe.send(&message);
            client.said.push(text);
        }
    }

    /// One leaves, and another comes.
    pub(crate) fn change_clients(&mut self) {
        let there: Vec<_> = self.present_clients().collect();
        if let Some(client) = self.random.choice(there) {
            self.leave(client);
            self.connect_client();
        }
    }

    /// All leave.
    pub(crate) fn leave_all(&mut self) {
        let there: Vec<_> = self.present_clients().collect();
        there.into_iter().for_each(|client| self.leave(client));
    }

    fn leave(&mut self, client: usize) {
        self.clients[client].has_left = true;
        self.record.borrow_mut().left.insert(client);
        self.pipes[self.clients[client].pipe].end();
    }

    /// Its gateway's machine is gone.
    pub(crate) fn lose_client(&mut self, client: usize) {
        self.clients[client].is_gone = true;
        self.record.borrow_mut().left.insert(client);
        self.pipes[self.clients[client].pipe ^ 1].close();
    }

    fn present_clients(&self) -> impl Iterator<Item = usize> {
        (0..self.clients.len()).filter(|client| {
            let client = &self.clients[*client];
            !client.is_gone && !client.has_left && !client.is_over
        })
    }

    /// How many websockets workers have let in.
    pub fn let_in(&self) -> usize {
        let is_let_in = |client: &&Client| matches!(client.speech, Speech::Websocket(_) | Speech::Closed);
        self.clients.iter().filter(is_let_in).count()
    }

    /// Whether each has an answer to all that it said, and workers know of each that has left.
    pub(crate) fn are_all_answered(&self) -> bool {
        let record = self.record.borrow();
        self.clients.iter().enumerate().all(|(index, client)| {
            client.is_gone
                || self.has_dropped_events(client.gateway)
                || client.is_dismissed && !record.connected.contains(&index)
                || if client.has_left || client.is_dismissed {
                    record.handled.contains(&closed(index))
                } else {
                    client.said.iter().all(|said| client.heard.contains(said))
                }
        })
    }

    /// Whether workers have died of what clients of a gateway did, or so it looked: then one was thrown out.
    pub(crate) fn has_dropped_events(&self, gateway: usize) -> bool {
        self.gateways[gateway].shard.counters().events_poisonous > 0
    }

    /// It hears that its gateway says no more.
    fn end_client(&mut self, index: usize) {
        let Client { has_left, is_dismissed, pipe, gateway, .. } = self.clients[index];
        let may_be_closed = has_left || is_dismissed || self.has_dropped_events(gateway);
        assert!(may_be_closed, "client {index} was thrown out after {:?}", self.now.get());
        self.clients[index].is_dismissed |= !has_left;
        self.clients[index].is_over = true;
        if !has_left {
            self.pipes[pipe].end();
            self.connect_client();
        }
    }

    /// What a gateway has to say to a client.
    pub(crate) fn hear(&mut self, index: usize, arrival: Arrival) {
        let Arrival::Bytes(bytes) = arrival else {
            return self.end_client(index);
        };
        let client = &mut self.clients[index];
        client.unread.extend(bytes);
        while let Some(heard) = client.speech.take(&mut client.unread) {
            match heard {
                Heard::Text(text) if text.starts_with(PUSH) => client.pushed.push(text),
                Heard::Text(text) => client.heard.push(text),
                Heard::Refusal(status) => {
                    // 503: none that had time for it was there in ten seconds.
                    let is_so = status == 503 || status == 403 && !is_welcome(index);
                    assert!(is_so, "client {index} is told {status}");
                    client.is_dismissed |= !client.has_left;
                }
                Heard::Goodbye(answer) => {
                    client.is_dismissed |= !client.has_left;
                    self.pipes[client.pipe].send(&answer);
                }
            }
        }
    }
}

/// What messages begin with that answer nothing.
pub(crate) const PUSH: &str = "push";

/// What a handler notes when this client is gone.
pub(crate) fn closed(client: usize) -> String {
    format!("{client}:closed")
}

/// Whether workers that answer handshakes let it in.
pub(crate) fn is_welcome(client: usize) -> bool {
    client % 8 != 7
}

/// Every second client comes by IPv6: frames have no room for its address, not even for the port.
fn address_of(client: usize) -> SocketAddr {
    let port = FIRST_PORT + client as u16;
    match client % 2 {
        0 => (Ipv4Addr::new(10, 0, 0, 1), port).into(),
        _ => (Ipv6Addr::LOCALHOST, port).into(),
    }
}

/// Which client has this port.
pub(crate) fn client_at(port: u16) -> usize {
    usize::from(port - FIRST_PORT)
}

/// The port of the first client.
const FIRST_PORT: u16 = 5_000;
