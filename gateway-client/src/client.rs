//! The async client: it encodes, hands packets to links and puts together what comes back.

use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use protocol::InnerAuth;
use protocol::calls::command::{Command, To};
use protocol::calls::query::{self, Query};
use protocol::inner::ext::ClientConnect;
use protocol::inner::{Cmd, FRAME_SIZE_MAX, Frame};
use protocol::php::{self, Value};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::directory::Directory;
use crate::discovery::{ConnectError, follow};
use crate::packet::{Asks, Done, Outcome, Packet};
use crate::stream::Dialler;
use crate::{Answer, ClientDetails, ClientId, Config, Confirm, Delivery};

/// What programs on tokio do to clients, on whichever gateway they are. Cheap to clone; clones share connections.
///
/// It belongs to the runtime it was made on. The last clone that is dropped closes all connections.
///
/// Dropping a call's future before it is ready may leave it undone at gateways that had not got it yet.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    directory: Arc<Directory>,
    /// What goes in front of every packet while a key is set (WIRE.md §3), and said.
    authorization: Vec<u8>,
    /// What follows the registers.
    follower: AbortHandle,
}

impl Client {
    /// Asks the registers where the gateways are, and follows them from then on. Gateways are connected to when there
    /// is something to send.
    ///
    /// Ready when every register has answered or failed. An error: an address is none, a file is not as it should be, or no register has answered within
    /// the limits for connecting and replying. Later a register may go away; its last list stays good.
    pub async fn connect(config: Config) -> Result<Client, ConnectError> {
        let config = checked(config)?.bounded();
        let authorization = authorization(&config);
        let probe = probe(&authorization);
        let dialler = Dialler::new(&config).map_err(|why| ConnectError { reasons: vec![why] })?;
        let directory = Arc::new(Directory::new(Arc::new(config), dialler, probe));
        let follower = tokio::spawn(follow(Arc::clone(&directory))).abort_handle();
        let shared = Arc::new(Shared { directory, authorization, follower });
        shared.directory.settled().await.map_err(|reasons| ConnectError { reasons })?;
        Ok(Client { shared })
    }

    /// The gateway shards there are, in the order in which they were first listed.
    pub fn gateways(&self) -> Vec<SocketAddrV4> {
        self.shared.directory.gateways()
    }

    /// All that its gateway has of a client; `None` when there is no such client.
    pub async fn details(&self, client: ClientId) -> Answer<Option<ClientDetails>> {
        self.ask(query::details(client)).await
    }

    pub(crate) async fn send(&self, command: Command<'_>) -> Delivery {
        let outcomes = self.start(command);
        let deadline = self.deadline();
        let mut delivery = Delivery::default();
        for (gateway, outcome) in outcomes {
            match within(deadline, outcome).await {
                Got::Done(_) => delivery.reached += 1,
                Got::Nothing | Got::Loss => delivery.missing.push(gateway),
            }
        }
        delivery
    }

    pub(crate) async fn ask<T>(&self, query: Query<T>) -> Answer<T> {
        let by_name = self.by_name_packet(&query);
        let asks = if by_name.is_some() { Asks::Guarded } else { Asks::One };
        let packet = self.packet(&query.frame(), asks);
        let gateways = query.gateways(|| self.gateways());
        let asked: Vec<_> =
            gateways.into_iter().map(|gateway| (gateway, self.hand_over(gateway, packet.as_ref()))).collect();
        let deadline = self.deadline();
        let (mut replies, mut unknown, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (gateway, outcome) in asked {
            let mut got = within(deadline, outcome).await;
            if matches!(got, Got::Loss) {
                // The gateway may have closed a connection that was kept; asking twice does no harm.
                got = within(deadline, self.hand_over(gateway, packet.as_ref())).await;
            }
            match got {
                Got::Done(Done::Reply(reply)) => match php::decode(&reply) {
                    Ok(value) => replies.push((gateway, value)),
                    Err(_) => missing.push(gateway),
                },
                Got::Done(Done::Unknown) => {
                    unknown.push((gateway, self.hand_over(gateway, by_name.as_ref())))
                }
                Got::Done(_) | Got::Nothing | Got::Loss => missing.push(gateway),
            }
        }
        for (gateway, outcome) in unknown {
            let got = within(deadline, outcome).await;
            match joined(&query, got) {
                Some(value) => replies.push((gateway, value)),
                None => missing.push(gateway),
            }
        }
        query.read(replies, missing)
    }

    /// Queues a command for all whom it concerns. What is sent to several is encoded once.
    fn start(&self, command: Command<'_>) -> Vec<(SocketAddrV4, Option<Outcome>)> {
        let gateways = self.gateways();
        if command.to() == To::All {
            let packet = self.command_packet(&command.frame());
            let hand_over = |gateway| (gateway, self.hand_over(gateway, packet.as_ref()));
            return gateways.into_iter().map(hand_over).collect();
        }
        let frames = command.frames(&gateways).into_iter();
        frames
            .map(|(gateway, frame)| (gateway, self.hand_over(gateway, self.command_packet(&frame).as_ref())))
            .collect()
    }

    pub(crate) fn hand_over(&self, gateway: SocketAddrV4, packet: Option<&Packet>) -> Option<Outcome> {
        Some(self.shared.directory.link(gateway)?.send(packet?.clone()))
    }

    fn command_packet(&self, frame: &Frame<'_>) -> Option<Packet> {
        let mut packet = self.packet(frame, Asks::Nothing)?;
        if self.config().confirm == Confirm::Handled {
            // Gateways serve a connection in order, so the answer to this says that the command was carried out.
            let question = self.packet(&query::guard(), Asks::One)?;
            packet = Packet { bytes: [packet.bytes, question.bytes].concat().into(), asks: Asks::One };
        }
        Some(packet)
    }

    /// `None`: no gateway takes a frame of this size.
    pub(crate) fn packet(&self, frame: &Frame<'_>, asks: Asks) -> Option<Packet> {
        if frame.size() > FRAME_SIZE_MAX {
            return None;
        }
        let authorization = &self.shared.authorization;
        let mut bytes = Vec::with_capacity(authorization.len() + frame.size());
        bytes.extend_from_slice(authorization);
        frame.encode(&mut bytes);
        if asks == Asks::Guarded {
            query::guard().encode(&mut bytes);
        }
        Some(Packet { bytes: Bytes::from(bytes), asks })
    }

    /// What to ask a gateway that does not know the query's command; `None`: every gateway knows it.
    fn by_name_packet<T>(&self, query: &Query<T>) -> Option<Packet> {
        let mut bytes = self.shared.authorization.clone();
        let mut count = 0;
        for frame in query.by_name() {
            frame.encode(&mut bytes);
            count += 1;
        }
        (count > 0).then(|| Packet { bytes: Bytes::from(bytes), asks: Asks::Many(count) })
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.config().connect_timeout + self.config().reply_timeout
    }

    fn config(&self) -> &Config {
        self.shared.directory.config()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// What came of a packet for one gateway.
pub(crate) enum Got {
    Done(Done),
    /// It will not come.
    Nothing,
    /// The connection was lost.
    Loss,
}

pub(crate) async fn within(deadline: Instant, outcome: Option<Outcome>) -> Got {
    let Some(outcome) = outcome else { return Got::Nothing };
    match timeout_at(deadline, outcome).await {
        Ok(Ok(Some(done))) => Got::Done(done),
        Ok(Ok(None)) | Err(_) => Got::Nothing,
        Ok(Err(_)) => Got::Loss,
    }
}

/// Asks whether a gateway is there.
fn probe(authorization: &[u8]) -> Bytes {
    let mut bytes = authorization.to_vec();
    query::guard().encode(&mut bytes);
    bytes.into()
}

/// What a gateway would have replied to a query, of what it said name by name.
fn joined<T>(query: &Query<T>, got: Got) -> Option<Value> {
    let Got::Done(Done::Replies(replies)) = got else { return None };
    let values: Result<Vec<_>, _> = replies.iter().map(|reply| php::decode(reply)).collect();
    Some(query.join(values.ok()?))
}

/// With the register's addresses as they are connected to.
fn checked(mut config: Config) -> Result<Config, ConnectError> {
    let mut reasons = Vec::new();
    for address in &mut config.register_addresses {
        match protocol::address::register(address) {
            Ok(read) => *address = read.to_string(),
            Err(why) => reasons.push(format!("{address}: {why}")),
        }
    }
    reasons.extend(config.inner_auth.check(&config.secret_key).err());
    if reasons.is_empty() { Ok(config) } else { Err(ConnectError { reasons }) }
}

fn authorization(config: &Config) -> Vec<u8> {
    let mut out = Vec::new();
    if !config.secret_key.is_empty() && config.inner_auth == InnerAuth::Plain {
        let body = ClientConnect { secret_key: Some(config.secret_key.clone()) }.encode();
        Frame { body: &body, ..Frame::command(Cmd::GatewayClientConnect) }.encode(&mut out);
    }
    out
}
