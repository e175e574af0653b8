//! The client protocols: against bytes captured from PHP, against their specifications, and against hostile input.

mod deflate;
mod golden;
mod handshake;
mod harness;
mod hostile;
mod loopback;
mod proxy_protocol;
mod streams;
mod utf8;
mod websocket;
