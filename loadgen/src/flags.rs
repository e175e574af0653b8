//! The command line, read flag by flag; [`crate::Plan`] checks what needs more than one flag.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::target::Target;

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
    #[argh(option, default = "Flags::default_target()", from_str_fn(targets))]
    pub target: List<Target>,
    /// certificates (PEM) of those who vouch for servers with TLS
    #[argh(option)]
    pub tls_ca: Option<String>,
    /// trust any server with TLS
    #[argh(switch)]
    pub tls_insecure: bool,
    /// clients with TLS show a ticket that the server gave to one before them, as those do that come back
    #[argh(switch)]
    pub tls_resume: bool,
    /// destinations 127.0.0.1 to 127.0.0.N for a target there
    #[argh(option)]
    pub spread: Option<u8>,
    /// addresses of this machine to connect from, IP or IP,IP…
    #[argh(option, default = "List::new()", from_str_fn(sources))]
    pub source: List<IpAddr>,
    /// idle, echo, broadcast, rooms or churn (default idle)
    #[argh(option, default = "Scenario::Idle")]
    pub scenario: Scenario,
    /// echo: messages in flight per connection (default 1)
    #[argh(option)]
    pub depth: Option<u32>,
    /// messages a second in all (echo: instead of --depth; default 1), churn: clients that leave and come (default 100)
    #[argh(option, from_str_fn(positive))]
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
    #[argh(option, default = "Duration::from_secs(10)", from_str_fn(program::seconds))]
    pub hold: Duration,
    /// echo: seconds under load before they count (default 1)
    #[argh(option, default = "Duration::from_secs(1)", from_str_fn(program::seconds))]
    pub warmup: Duration,
    /// seconds that the last answers may take (default 2)
    #[argh(option, default = "Duration::from_secs(2)", from_str_fn(program::seconds))]
    pub drain: Duration,
    /// what the same clients do next, SCENARIO[,FLAG=VALUE…], e.g. echo,clients=1000,hold=8; may be given several times
    #[argh(option)]
    pub then: Vec<StepFlags>,
    /// connections opened a second (default 20000/s)
    #[argh(option, default = "20_000.0", from_str_fn(ramp))]
    pub ramp: f64,
    /// seconds that connect and handshake may take (default 10)
    #[argh(option, default = "Duration::from_secs(10)", from_str_fn(program::seconds))]
    pub timeout: Duration,
    /// threads (default: one per CPU, more if files are few)
    #[argh(option)]
    pub count: Option<usize>,
    /// broadcast, rooms: register (default 127.0.0.1:1236)
    #[argh(option, default = "String::from(\"127.0.0.1:1236\")", from_str_fn(register))]
    pub register: String,
    /// broadcast, rooms: secret of the cluster (default none)
    #[argh(option, default = "String::new()")]
    pub secret_key: String,
    /// processes whose memory is shown, PID or PID,PID… (default: who listens at the target, if on this machine)
    #[argh(option, default = "List::new()", from_str_fn(pids))]
    pub server_pid: List<u32>,
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

/// Values of one flag, separated by commas. An alias, because argh takes a plain `Vec` for a flag that is repeated.
pub(crate) type List<T> = Vec<T>;

impl Flags {
    fn default_target() -> List<Target> {
        targets("ws://127.0.0.1:8282").expect("a loopback address needs no lookup")
    }

    /// The first step: what the flags themselves say.
    pub(crate) fn first_step(&self) -> StepFlags {
        StepFlags {
            scenario: self.scenario,
            depth: self.depth,
            rate: self.rate,
            room_size: self.room_size,
            burst: self.burst,
            ..StepFlags::default()
        }
    }
}

/// The value of `--then`: a scenario and its flags. What is none is as the command line says, but for the flags of one
/// scenario (depth, rate, room size, burst), which have their defaults then.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StepFlags {
    /// What the clients do.
    pub scenario: Scenario,
    /// Echo: how many clients send.
    pub clients: Option<usize>,
    /// See `--depth`.
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
    pub hold: Option<Duration>,
    /// See `--warmup`.
    pub warmup: Option<Duration>,
}

impl FromStr for StepFlags {
    type Err = String;

    fn from_str(text: &str) -> Result<StepFlags, String> {
        let mut words = text.split(',').map(str::trim);
        let scenario = words.next().unwrap_or_default().parse()?;
        let mut step = StepFlags { scenario, ..StepFlags::default() };
        for word in words {
            let (name, value) = word.split_once('=').ok_or(format!("`{word}`: expected FLAG=VALUE"))?;
            step.set(name, value)?;
        }
        Ok(step)
    }
}

impl StepFlags {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "clients" => self.clients = Some(number(value)?),
            "depth" => self.depth = Some(number(value)?),
            "rate" => self.rate = Some(positive(value)?),
            "room-size" => self.room_size = Some(number(value)?),
            "burst" => self.burst = Some(number(value)?),
            "size" => self.size = Some(number(value)?),
            "hold" => self.hold = Some(seconds(name, value)?),
            "warmup" => self.warmup = Some(seconds(name, value)?),
            _ => {
                let names = "clients, depth, rate, room-size, burst, size, hold, warmup";
                return Err(format!("`{name}` is none of {names}"));
            }
        }
        Ok(())
    }
}

program::choice! {
    /// What the clients do.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Scenario {
        /// Stay connected and answer pings.
        #[default]
        Idle = "idle",
        /// Send messages that the server sends back.
        Echo = "echo",
        /// Receive messages that the sender of this program has the gateways send to all clients.
        Broadcast = "broadcast",
        /// Receive messages that it has them send to groups, the rooms in turn.
        Rooms = "rooms",
        /// Connect and leave: each new client replaces one that leaves.
        Churn = "churn",
    }
}

impl Scenario {
    /// Whether messages come from the sender of this program, by way of the gateways.
    pub(crate) fn is_fanout(self) -> bool {
        matches!(self, Scenario::Broadcast | Scenario::Rooms)
    }
}

fn targets(text: &str) -> Result<List<Target>, String> {
    text.split(',').map(|url| url.trim().parse()).collect()
}

fn sources(text: &str) -> Result<List<IpAddr>, String> {
    list(text, |source| format!("source {source}: expected an IP address of this machine"))
}

fn pids(text: &str) -> Result<List<u32>, String> {
    list(text, |pid| format!("`{pid}` is no process id"))
}

fn list<T: FromStr>(text: &str, wrong: impl Fn(&str) -> String) -> Result<List<T>, String> {
    text.split(',').map(str::trim).map(|value| value.parse().map_err(|_| wrong(value))).collect()
}

/// Connections per second, written `50000/s` or `50000`.
fn ramp(text: &str) -> Result<f64, String> {
    positive(text.strip_suffix("/s").unwrap_or(text))
}

fn positive(text: &str) -> Result<f64, String> {
    let above_zero = |number: &f64| number.is_finite() && *number > 0.0;
    number(text).ok().filter(above_zero).ok_or_else(|| format!("`{text}` is no number above 0"))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    program::seconds(value).map_err(|why| format!("{name}={value}: {why}"))
}

/// The register's address as it is connected to.
fn register(text: &str) -> Result<String, String> {
    protocol::address::register(text).map(|address| address.to_string())
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
            hold: Some(Duration::from_secs(3)),
            warmup: Some(Duration::ZERO),
            scenario: Scenario::Echo,
            ..StepFlags::default()
        };
        assert_eq!(step, expected);
        assert_eq!("idle".parse(), Ok(StepFlags::default()));
        let step: StepFlags = "rooms,room-size=3,burst=2".parse().unwrap();
        assert_eq!((step.room_size, step.burst), (Some(3), Some(2)));
    }

    #[test]
    fn what_is_no_step_is_said() {
        for (text, why) in [
            ("", "is not one of idle"),
            ("sleep", "is not one of idle"),
            ("echo,10", "expected FLAG=VALUE"),
            ("echo,depth=x", "is no number"),
            ("echo,rate=0", "`0` is no number above 0"),
            ("echo,hold=-1", "hold=-1: not a number of seconds"),
            ("echo,conns=1", "is none of clients"),
        ] {
            let error = text.parse::<StepFlags>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        assert_eq!((pids("1, 2"), pids("12,x")), (Ok(vec![1, 2]), Err("`x` is no process id".into())));
        let localhost = IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(sources("192.0.2.1, ::1"), Ok(vec![IpAddr::from([192, 0, 2, 1]), localhost]));
        assert!(sources("here").unwrap_err().contains("source here: expected an IP address"));
        assert_eq!(targets("ws://127.0.0.1:1, text://[::1]:9").unwrap().len(), 2);
        assert_eq!((ramp("500/s"), ramp("500"), ramp("0/s").is_err()), (Ok(500.0), Ok(500.0), true));
    }
}
