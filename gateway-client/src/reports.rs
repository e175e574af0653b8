//! Messages with a report: for how many clients one was queued (docs/WIRE.md §14).

use protocol::calls::command::{Command, To};
use protocol::inner::{FLAG_REPORT_WANTED, Frame};
use protocol::php;

use crate::client::{Got, within};
use crate::packet::{Asks, Done};
use crate::{Answer, Client, MessageReport};

/// Sends messages as [`Client`] does, and says what became of each: see [`Client::reported`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before one of its calls is awaited"]
pub struct Reported {
    pub(crate) client: Client,
}

impl Client {
    /// The way to send messages and to know what became of them: how often each was queued for a client (twice for one that is in
    /// two groups of the call), how often not because the client does not take what it was sent before, and which gateways did not
    /// say.
    ///
    /// The report comes when every gateway has brought the message to all its clients, some 250,000 a second; all else that this
    /// program says to that gateway waits for it, and beyond [`reply_timeout`](crate::Config::reply_timeout) the gateway counts as
    /// one that does not answer. So ask for reports of what goes to some, not to a million. Queued is not delivered: what a
    /// client has read, only an answer of its own can say. Of a gateway that is missing nothing is known: it may have brought the
    /// message and cannot say so (PHP's).
    ///
    /// ```no_run
    /// # async fn order(client: gateway_client::Client) {
    /// let report = client.reported().send_to_uid("alice", "your order has shipped").await;
    /// if report.is_complete() && report.queued == 0 {
    ///     println!("alice is not here: a mail, then");
    /// }
    /// # }
    /// ```
    pub fn reported(&self) -> Reported {
        Reported { client: self.clone() }
    }

    pub(crate) async fn send_reported(&self, command: Command<'_>) -> Answer<MessageReport> {
        let gateways = self.gateways();
        let packet = |frame: Frame<'_>| {
            self.packet(&Frame { flag: frame.flag | FLAG_REPORT_WANTED, ..frame }, Asks::Guarded)
        };
        let outcomes: Vec<_> = if command.to() == To::All {
            let packet = packet(command.frame());
            gateways.into_iter().map(|gateway| (gateway, self.hand_over(gateway, packet.as_ref()))).collect()
        } else {
            let frames = command.frames(&gateways).into_iter();
            frames
                .map(|(gateway, frame)| (gateway, self.hand_over(gateway, packet(frame).as_ref())))
                .collect()
        };
        let deadline = self.deadline();
        let mut answer = Answer::<MessageReport>::default();
        for (gateway, outcome) in outcomes {
            let report = match within(deadline, outcome).await {
                Got::Done(Done::Reply(reply)) => {
                    php::decode(&reply).ok().and_then(|value| MessageReport::from_value(&value))
                }
                _ => None,
            };
            match report {
                Some(report) => answer.value += report,
                None => answer.missing.push(gateway),
            }
        }
        answer
    }
}
