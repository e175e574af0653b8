//! Messages with a report: for how many clients one was queued (WIRE.md §14).

use protocol::calls::command::{self, Command};

use super::Gateway;
use crate::core::Asked;
use crate::{Answer, Body, ClientId, MessageReport, Name};

/// Sends messages as [`Gateway`] does, and says what became of each: see [`Gateway::reported`].
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before one of its calls is awaited"]
pub struct Reported {
    gateway: Gateway,
}

macro_rules! methods {
    (
        messages { $($(#[$doc:meta])* fn $message:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        commands { $($command:tt)* }
        queries { $($query:tt)* }
    ) => {
        /// Messages.
        impl Reported {
            $($(#[$doc])* pub async fn $message $(<$life>)? (&self, $($arg: $type),*) -> Answer<MessageReport> {
                self.send(&command::$message($($arg),*)).await
            })*
        }
    };
}

protocol::with_calls!(methods);

impl Gateway {
    /// The way to send messages and to know what became of them: how often each was queued for a client (twice for one that is in
    /// two groups of the call), how often not because the client does not take what it was sent before, and which gateways did not
    /// say.
    ///
    /// The message is sent when the call is awaited; the report comes when every gateway has brought it to all its clients, or
    /// after [`query_timeout`](crate::Config::query_timeout). Queued is not delivered: what a client has read, only an answer
    /// of its own can say. Of a gateway that is missing nothing is known: it may bring the message yet, if it was away for a
    /// moment, or has brought it and cannot say so (PHP's). So do not send again because of that.
    ///
    /// ```
    /// # use ringway_worker::{Client, Events, Gateway, Message};
    /// # struct Chat;
    /// # impl Events for Chat {
    /// async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
    ///     let report = gateway.reported().send_to_uid("ann", message).await;
    ///     if report.is_complete() && report.queued == 0 {
    ///         gateway.send_to_client(client.id(), "Ann is not here");
    ///     }
    /// }
    /// # }
    /// ```
    pub fn reported(&self) -> Reported {
        Reported { gateway: self.clone() }
    }
}

impl Reported {
    async fn send(&self, command: &Command<'_>) -> Answer<MessageReport> {
        let Reported { gateway } = self;
        gateway.count_refused(command);
        let known = gateway.shared.core.borrow().gateways();
        let frames = command.frames(&known);
        let concerned: Vec<_> = frames.iter().map(|(address, _)| *address).collect();
        gateway.commanded(&concerned).await;
        let frames = frames.into_iter();
        let questions = frames
            .map(|(address, frame)| (address, gateway.shared.send_reported(address, &frame, command.kind())))
            .collect();
        let (mut value, mut missing) = (MessageReport::default(), Vec::new());
        for (address, asked) in gateway.answers(questions).await {
            let report = match asked {
                Asked::Reported(report) => Some(report),
                Asked::Answered(reply) => MessageReport::from_value(&reply.value),
                Asked::ByName(_) | Asked::Missing => None,
            };
            match report {
                Some(report) => value += report,
                None => missing.push(address),
            }
        }
        gateway.shared.core.borrow_mut().counters.queries_missing += missing.len() as u64;
        Answer { value, missing }
    }
}
