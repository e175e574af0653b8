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
    /// servers, SCHEME://HOST:PORT[/PATH] or several by commas; ws, text, frame or tcp, with TLS wss, ssl+text, ssl+frame or ssl+tcp (default ws://127.0.0.1:8282)
    #[argh(option, default = "Flags::default_target()")]
    pub target: Targets,
    /// certificates (PEM) of those who vouch for servers with TLS
    #[argh(option)]
    pub tls_ca: Option<String>,
    /// trust any server with TLS
    #[argh(switch)]
    pub tls_insecure: bool,
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
    /// broadcast, rooms: messages that leave at once, each time (default 1)
    #[argh(option)]
    pub burst: Option<usize>,
    /// bytes of a message (default 64)
    #[argh(option, default = "64")]
    pub size: usize,
    /// seconds that are measured (default 10)
    #[argh(option, default = "10.0")]
    pub hold: f64,
    /// echo: seconds under load before they count (default 1)
    #[argh(option, default = "1.0")]
    pub warmup: f64,
    /// seconds that the last answers may take (default 2)
    #[argh(option, default = "2.0")]
    pub drain: f64,
    /// what the same clients do next, SCENARIO[,FLAG=VALUE…], e.g. echo,clients=1000,hold=8; may be given several times
    #[argh(option)]
    pub then: Vec<StepFlags>,
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
    /// processes whose memory is shown, PID or PID,PID… (default: who listens at the target, if on this machine)
    #[argh(option)]
    pub server_pid: Option<Pids>,
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

    /// The first step: what the flags themselves say.
    pub(crate) fn first_step(&self) -> StepFlags {
        StepFlags {
            depth: self.depth,
            rate: self.rate,
            room_size: self.room_size,
            burst: self.burst,
            ..StepFlags::new(self.scenario)
        }
    }
}

/// The value of `--then`: a scenario, and the flags that are its own. None: as the command line has it.
#[derive(Clone, PartialEq, Debug)]
pub struct StepFlags {
    /// What the clients do.
    pub scenario: Scenario,
    /// Echo: how many of them.
    pub clients: Option<usize>,
    /// See `--depth`; never the command line's, as those that follow are.
    pub depth: Option<u32>,
    /// See `--rate`.
    pub rate: Option<f64>,
    /// See `--room-size`.
    pub room_size: Option<usize>,
    /// See `--burst`.
    pub burst: Option<usize>,
    /// See `--size`.
    pub size: Option<usize>,
    /// See `--hold`.
    pub hold: Option<f64>,
    /// See `--warmup`.
    pub warmup: Option<f64>,
}

impl StepFlags {
    fn new(scenario: Scenario) -> StepFlags {
        let (clients, depth, rate, room_size, burst) = (None, None, None, None, None);
        let (size, hold, warmup) = (None, None, None);
        StepFlags { scenario, clients, depth, rate, room_size, burst, size, hold, warmup }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        fn read<T: FromStr>(value: &str) -> Result<Option<T>, String> {
            value.parse().map(Some).map_err(|_| format!("`{value}` is no number"))
        }
        match name {
            "clients" => self.clients = read(value)?,
            "depth" => self.depth = read(value)?,
            "rate" => self.rate = read(value)?,
            "room-size" => self.room_size = read(value)?,
            "burst" => self.burst = read(value)?,
            "size" => self.size = read(value)?,
            "hold" => self.hold = read(value)?,
            "warmup" => self.warmup = read(value)?,
            _ => return Err(format!("`{name}` is none of {STEP_FLAGS}")),
        }
        Ok(())
    }
}

const STEP_FLAGS: &str = "clients, depth, rate, room-size, burst, size, hold, warmup";

impl FromStr for StepFlags {
    type Err = String;

    fn from_str(text: &str) -> Result<StepFlags, String> {
        let mut words = text.split(',').map(str::trim);
        let mut step = StepFlags::new(words.next().unwrap_or_default().parse()?);
        for word in words {
            let (name, value) = word.split_once('=').ok_or(format!("`{word}`: expected FLAG=VALUE"))?;
            step.set(name, value)?;
        }
        Ok(step)
    }
}

/// The value of `--server-pid`: one or more process ids, comma separated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pids(pub Vec<u32>);

impl FromStr for Pids {
    type Err = String;

    fn from_str(text: &str) -> Result<Pids, String> {
        let read = |pid: &str| pid.trim().parse().map_err(|_| format!("`{pid}` is no process id"));
        text.split(',').map(read).collect::<Result<_, _>>().map(Pids)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_a_scenario_and_its_flags() {
        let step: StepFlags = "echo,clients=10,rate=2.5,size=99,hold=3,warmup=0".parse().unwrap();
        let expected = StepFlags {
            clients: Some(10),
            rate: Some(2.5),
            size: Some(99),
            hold: Some(3.0),
            warmup: Some(0.0),
            ..StepFlags::new(Scenario::Echo)
        };
        assert_eq!(step, expected);
        assert_eq!("idle".parse(), Ok(StepFlags::new(Scenario::Idle)));
        let step: StepFlags = "rooms,room-size=3,burst=2".parse().unwrap();
        assert_eq!((step.room_size, step.burst), (Some(3), Some(2)));
    }

    #[test]
    fn what_is_no_step_is_said() {
        for (text, why) in [
            ("", "is none of idle"),
            ("sleep", "is none of idle"),
            ("echo,10", "expected FLAG=VALUE"),
            ("echo,depth=x", "is no number"),
            ("echo,conns=1", "is none of clients"),
        ] {
            let error = text.parse::<StepFlags>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!("12,x".parse::<Pids>().is_err() && "1, 2".parse() == Ok(Pids(vec![1, 2])));
    }
}
