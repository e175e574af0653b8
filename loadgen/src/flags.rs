//! The command line. Only declares; [`crate::Plan`] judges.

use std::str::FromStr;

use crate::target::{Sources, Targets};

/// Very many clients against a gateway, and what they saw.
///
/// A connection needs a port of this machine that is free towards its destination. There are about 28,000, and half of
/// them are found fast. For more connections to a server on this machine, let it listen on 0.0.0.0 and spread them.
#[derive(Clone, Debug, argh::FromArgs, argh::ArgsInfo)]
#[argh(
    example = "{command_name} --conns 1000 --target ws://127.0.0.1:8282 --scenario echo --depth 1",
    note = "More than 14,000 connections to one loopback address: let the server listen on 0.0.0.0 and give --spread."
)]
pub struct Flags {
    /// connections (default 1000)
    #[argh(option, default = "1000")]
    pub conns: usize,
    /// servers, SCHEME://HOST:PORT[/PATH] or several by commas; ws, websocket, text, frame or tcp (default ws://127.0.0.1:8282)
    #[argh(option, default = "Flags::default_target()")]
    pub target: Targets,
    /// destinations 127.0.0.1 to 127.0.0.N for a target there
    #[argh(option)]
    pub spread: Option<u8>,
    /// addresses of this machine to connect from, IP or IP,IP…
    #[argh(option)]
    pub source: Option<Sources>,
    /// idle, echo, broadcast, rooms or churn (default idle)
    #[argh(option, default = "Scenario::Idle")]
    pub scenario: Scenario,
    /// echo: messages in flight per connection (default 1)
    #[argh(option)]
    pub depth: Option<u32>,
    /// messages a second in all (echo: instead of --depth; default 1), churn: clients that leave and come (default 100)
    #[argh(option)]
    pub rate: Option<f64>,
    /// rooms: clients in a room, of all at the gateways (default 10)
    #[argh(option)]
    pub room_size: Option<usize>,
    /// bytes of a message (default 64)
    #[argh(option, default = "64")]
    pub size: usize,
    /// seconds that are measured (default 10)
    #[argh(option, default = "10.0")]
    pub hold: f64,
    /// echo: seconds under load before they count (default 1)
    #[argh(option, default = "1.0")]
    pub warmup: f64,
    /// connections opened a second (default 20000/s)
    #[argh(option, default = "Ramp(20_000.0)")]
    pub ramp: Ramp,
    /// seconds that connect and handshake may take (default 10)
    #[argh(option, default = "10.0")]
    pub timeout: f64,
    /// threads (default: one per CPU, more if files are few)
    #[argh(option)]
    pub count: Option<usize>,
    /// broadcast, rooms: register (default 127.0.0.1:1236)
    #[argh(option, default = "String::from(\"127.0.0.1:1236\")")]
    pub register: String,
    /// broadcast, rooms: secret of the cluster (default none)
    #[argh(option, default = "String::new()")]
    pub secret_key: String,
    /// start although this machine lacks what the run needs
    #[argh(switch)]
    pub force: bool,
    /// file for the report as JSON
    #[argh(option)]
    pub json: Option<String>,
    /// file for the report as a page with plots
    #[argh(option)]
    pub html: Option<String>,
}

impl Flags {
    fn default_target() -> Targets {
        "ws://127.0.0.1:8282".parse().expect("a loopback address needs no lookup")
    }
}

/// What the clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// Be there.
    Idle,
    /// Send, and await the same back.
    Echo,
    /// Receive what one sends to all.
    Broadcast,
    /// Receive what one sends to groups.
    Rooms,
    /// Come and go.
    Churn,
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Scenario, String> {
        match name {
            "idle" => Ok(Scenario::Idle),
            "echo" => Ok(Scenario::Echo),
            "broadcast" => Ok(Scenario::Broadcast),
            "rooms" => Ok(Scenario::Rooms),
            "churn" => Ok(Scenario::Churn),
            _ => Err(format!("`{name}` is none of idle, echo, broadcast, rooms, churn")),
        }
    }
}

/// Connections per second, written `50000/s` or `50000`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ramp(pub f64);

impl FromStr for Ramp {
    type Err = String;

    fn from_str(text: &str) -> Result<Ramp, String> {
        let number = text.strip_suffix("/s").unwrap_or(text);
        number
            .parse()
            .map(Ramp)
            .map_err(|_| format!("`{text}` is no number of connections per second, as 50000/s"))
    }
}
