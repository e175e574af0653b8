//! The calls of both clients: they differ in how they wait, and in nothing else.

use protocol::calls::{command, query};

use crate::php::Array;
use crate::{Answer, Body, Client, ClientId, CloseReason, Delivery, Name, blocking};

macro_rules! async_methods {
    (
        commands { $($(#[$doc:meta])* fn $command:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        queries { $($(#[$about:meta])* fn $query:ident ($($name:ident: $kind:ty),*) -> $value:ty;)* }
    ) => {
        /// Commands.
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
        commands { $($(#[$doc:meta])* fn $command:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        queries { $($(#[$about:meta])* fn $query:ident ($($name:ident: $kind:ty),*) -> $value:ty;)* }
    ) => {
        /// Commands.
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
