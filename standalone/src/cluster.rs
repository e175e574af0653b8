//! A register, a gateway and a worker in this process, joined by loopback ports that nobody has to choose.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::str::FromStr;

use gateway_core::{Gateway, Listen, Settings};
use ringway_register::Register;
use ringway_worker::apps::chat::Chat;
use ringway_worker::apps::echo::Echo;
use ringway_worker::{Config, Worker};

/// A built-in application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum App {
    Chat,
    Echo,
}

impl FromStr for App {
    type Err = String;

    fn from_str(name: &str) -> Result<App, String> {
        match name {
            "chat" => Ok(App::Chat),
            "echo" => Ok(App::Echo),
            _ => Err(format!("`{name}` is neither chat nor echo")),
        }
    }
}

/// The three parts, running. They speak to each other as programs of their own would.
pub struct Cluster {
    pub register: ringway_register::Running,
    pub gateway: Gateway,
    pub worker: ringway_worker::Running,
    schemes: Vec<&'static str>,
}

impl Cluster {
    /// Starts all three, the gateway with `settings` but for where the others are, and returns when the worker has found it.
    pub fn start(settings: Settings, app: App) -> Result<Cluster, Box<dyn std::error::Error>> {
        let (schemes, count) = (settings.listen.iter().map(Listen::scheme).collect(), settings.count);
        let secret_key = random_key()?;
        let register = Register::start(ringway_register::Config {
            listen: "127.0.0.1:0".to_owned(),
            secret_key: secret_key.clone(),
            ..ringway_register::Config::default()
        })?;
        let register_addresses = vec![register.addr().to_string()];
        let gateway = Gateway::start(Settings {
            start_port: 0,
            register_address: register_addresses.clone(),
            secret_key: secret_key.clone(),
            ..settings
        })?;
        let config = Config { count, register_addresses, secret_key, ..Config::default() };
        let worker = match app {
            App::Chat => Worker::start(config, |_core| Chat::default()),
            App::Echo => Worker::start(config, |_core| Echo),
        }?;
        worker.ready()?;
        Ok(Cluster { register, gateway, worker, schemes })
    }

    /// Where clients connect, in the order asked, with the real ports.
    pub fn listen(&self) -> &[SocketAddr] {
        self.gateway.listen()
    }

    /// The same with their protocols, in one line.
    pub fn listen_urls(&self) -> String {
        let urls = self.schemes.iter().zip(self.listen());
        urls.map(|(scheme, address)| format!("{scheme}://{address}")).collect::<Vec<_>>().join(" ")
    }

    pub fn shard_count(&self) -> usize {
        self.gateway.shard_count()
    }

    /// Ends all three, the gateway first, so that clients are told.
    pub fn stop(self) -> io::Result<()> {
        self.gateway.stop();
        self.worker.stop()?;
        self.register.stop()
    }
}

/// A key that nobody else on this machine knows: loopback ports are open to all its users.
fn random_key() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
