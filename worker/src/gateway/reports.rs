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
    /// The way to send messages and to know what became of them: for how many clients each was queued, how many did not get it
    /// because they do not take what they were sent before, and which gateways did not say.
    ///
    /// The message is sent when the call is awaited; the report comes when every gateway has brought it to all its clients, or
    /// after [`query_timeout`](crate::Config::query_timeout). Queued is not delivered: what a client has read, only an answer
    /// of its own can say. A gateway that cannot report (PHP's) gets the message and is among the missing.
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
        gateway.commanded().await;
        let known = gateway.shared.core.borrow().gateways();
        let frames = command.frames(&known).into_iter();
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
        Answer { value, missing }
    }
}
