//! The calls of both clients: they differ in how they wait, and in nothing else.

use protocol::calls::{command, query};

use crate::php::Array;
use crate::{Answer, Body, Client, ClientId, CloseReason, Delivery, MessageReport, Name, Reported, blocking};

macro_rules! async_methods {
    (
        messages { $($(#[$of:meta])* fn $message:ident $(<$while:lifetime>)? ($($part:ident: $is:ty),*);)* }
        commands { $($(#[$doc:meta])* fn $command:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        queries { $($(#[$about:meta])* fn $query:ident ($($name:ident: $kind:ty),*) -> $value:ty;)* }
    ) => {
        /// Messages.
        impl Client {
            $($(#[$of])* pub async fn $message $(<$while>)? (&self, $($part: $is),*) -> Delivery {
                self.send(command::$message($($part),*)).await
            })*
        }

        /// Messages.
        impl Reported {
            $($(#[$of])* pub async fn $message $(<$while>)? (&self, $($part: $is),*) -> Answer<MessageReport> {
                self.client.send_reported(command::$message($($part),*)).await
            })*
        }

        /// Other commands.
        impl Client {
            $($(#[$doc])* pub async fn $command $(<$life>)? (&self, $($arg: $type),*) -> Delivery {
                self.send(command::$command($($arg),*)).await
            })*
        }

        /// Queries.
        impl Client {
            $($(#[$about])* pub async fn $query(&self, $($name: $kind),*) -> Answer<$value> {
                self.ask(query::$query($($name),*)).await
            })*
        }
    };
}

macro_rules! blocking_methods {
    (
        messages { $($(#[$of:meta])* fn $message:ident $(<$while:lifetime>)? ($($part:ident: $is:ty),*);)* }
        commands { $($(#[$doc:meta])* fn $command:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        queries { $($(#[$about:meta])* fn $query:ident ($($name:ident: $kind:ty),*) -> $value:ty;)* }
    ) => {
        /// Messages.
        impl blocking::Client {
            $($(#[$of])* pub fn $message $(<$while>)? (&self, $($part: $is),*) -> Delivery {
                self.send(command::$message($($part),*))
            })*
        }

        /// Messages.
        impl blocking::Reported {
            $($(#[$of])* pub fn $message $(<$while>)? (&self, $($part: $is),*) -> Answer<MessageReport> {
                self.client.send_reported(command::$message($($part),*))
            })*
        }

        /// Other commands.
        impl blocking::Client {
            $($(#[$doc])* pub fn $command $(<$life>)? (&self, $($arg: $type),*) -> Delivery {
                self.send(command::$command($($arg),*))
            })*
        }

        /// Queries.
        impl blocking::Client {
            $($(#[$about])* pub fn $query(&self, $($name: $kind),*) -> Answer<$value> {
                self.ask(query::$query($($name),*))
            })*
        }
    };
}

protocol::with_calls!(async_methods);
protocol::with_calls!(blocking_methods);
