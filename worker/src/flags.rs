//! A worker as a program of its own: flags in, exit code out.

use std::process::ExitCode;
use std::time::Duration;

use admin::{Address, Admin};

use crate::{Config, Events, Running, Worker};

/// The flags of a worker program made with [`run`].
#[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
#[argh(description = "A worker: runs the business logic behind Ringway or GatewayWorker gateways.")]
struct Flags {
    /// name, one per worker program and machine (default: the program's)
    #[argh(option)]
    name: Option<String>,
    /// cores to use (default: one per CPU)
    #[argh(option, default = "program::cpus()")]
    count: usize,
    /// registers, HOST:PORT[,HOST:PORT…] (default 127.0.0.1:1236)
    #[argh(option, default = "Settings::default().register_address")]
    register_address: String,
    /// the key that registers and gateways know (default none)
    #[argh(option, default = "String::new()")]
    secret_key: String,
    /// seconds that a query waits for gateways (default 5)
    #[argh(option, default = "Settings::default().query_timeout")]
    query_timeout: u64,
    /// bytes queued towards one gateway at most (default 10240000)
    #[argh(option, default = "Settings::default().send_to_gateway_buffer_size")]
    send_to_gateway_buffer_size: usize,
    /// events per core waiting or running at once at most (default 10000)
    #[argh(option, default = "Settings::default().max_concurrent_events")]
    max_concurrent_events: usize,
    /// port or address where `ringway status` may ask how things are (default: none)
    #[argh(option)]
    admin: Option<Address>,
}

/// What flags say, in the form in which they say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `--name`
    pub name: String,
    /// `--count`
    pub count: usize,
    /// `--register-address`: several are separated by commas.
    pub register_address: String,
    /// `--secret-key`
    pub secret_key: String,
    /// `--query-timeout` in seconds.
    pub query_timeout: u64,
    /// `--send-to-gateway-buffer-size` in bytes.
    pub send_to_gateway_buffer_size: usize,
    /// `--max-concurrent-events`
    pub max_concurrent_events: usize,
    /// `--admin`
    pub admin: Option<Address>,
}

impl Default for Settings {
    fn default() -> Settings {
        let config = Config::default();
        Settings {
            name: config.name,
            count: config.count,
            register_address: config.register_addresses.join(","),
            secret_key: config.secret_key,
            query_timeout: config.query_timeout.as_secs(),
            send_to_gateway_buffer_size: config.send_to_gateway_buffer_size,
            max_concurrent_events: config.max_concurrent_events,
            admin: None,
        }
    }
}

impl Settings {
    /// The config, or what is wrong with the flags, in one line.
    fn config(self) -> Result<Config, String> {
        let register_addresses: Vec<_> =
            self.register_address.split(',').map(|address| address.trim().to_owned()).collect();
        if let Some(wrong) = register_addresses.iter().find(|address| !is_host_and_port(address)) {
            return Err(format!("--register-address: '{wrong}' is not HOST:PORT"));
        }
        if self.count == 0 {
            return Err("--count: a worker needs at least 1 core".to_owned());
        }
        if self.max_concurrent_events == 0 {
            return Err("--max-concurrent-events: a worker needs at least 1".to_owned());
        }
        Ok(Config {
            name: self.name,
            count: self.count,
            register_addresses,
            secret_key: self.secret_key,
            query_timeout: Duration::from_secs(self.query_timeout),
            send_to_gateway_buffer_size: self.send_to_gateway_buffer_size,
            max_concurrent_events: self.max_concurrent_events,
        })
    }

    /// Runs a worker until SIGINT or SIGTERM. Ends the process with one line on stderr when it cannot run.
    pub fn run<E: Events>(self, make_events: impl Fn(usize) -> E + Clone + Send + 'static) -> ExitCode {
        let admin = self.admin;
        let config = self.config().unwrap_or_else(|why| program::fail(why));
        if let Err(why) = program::check_machine() {
            program::fail(why);
        }
        let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
        let ready = format!("{} on {}", config.name, cores(config.count));
        let running = Worker::start(config, make_events).unwrap_or_else(|error| program::fail(error));
        let _admin = admin.map(|address| serve_status(address, &running));
        match serve(running, shutdown, ready) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => program::fail(error),
        }
    }
}

/// A main in one line: takes the flags, runs until SIGINT or SIGTERM. `name` is the program's, and the worker's unless
/// `--name` says otherwise. `make_events` is called on each core, with its index from 0.
pub fn run<E: Events>(
    name: &'static str,
    make_events: impl Fn(usize) -> E + Clone + Send + 'static,
) -> ExitCode {
    let flags: Flags = program::parse(name);
    let settings = Settings {
        name: flags.name.unwrap_or_else(|| name.to_owned()),
        count: flags.count,
        register_address: flags.register_address,
        secret_key: flags.secret_key,
        query_timeout: flags.query_timeout,
        send_to_gateway_buffer_size: flags.send_to_gateway_buffer_size,
        max_concurrent_events: flags.max_concurrent_events,
        admin: flags.admin,
    };
    settings.run(make_events)
}

/// Lets `ringway status` ask.
fn serve_status(address: Address, running: &Running) -> Admin {
    let (source, clock) = (running.status_source(), program::Uptime::start());
    Admin::serve(address, move || source.report(clock.elapsed())).unwrap_or_else(|error| {
        program::fail(program::describe_bind_error(address.0, &error).replace("--listen", "--admin"))
    })
}

/// Says that it is ready once it is, and stops on a signal, which may come before that.
fn serve(running: Running, mut shutdown: program::Shutdown, ready: String) -> std::io::Result<()> {
    let waiter = running.readiness();
    // Not joined: a register that is away for ever must not keep the program from ending.
    std::thread::Builder::new().name("ready".to_owned()).spawn(move || {
        if waiter.wait() {
            program::ready(ready);
        }
    })?;
    shutdown.wait();
    running.stop()
}

fn cores(count: usize) -> String {
    if count == 1 { "1 core".to_owned() } else { format!("{count} cores") }
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_registers_are_separated_by_commas() {
        let settings = Settings { register_address: "a:1, [::1]:2".to_owned(), ..Settings::default() };
        assert_eq!(settings.config().unwrap().register_addresses, ["a:1", "[::1]:2"]);
    }

    #[test]
    fn wrong_flags_are_told_in_one_line() {
        for register_address in ["", "a", "a:", ":1", "a:70000", "a:1,"] {
            let settings = Settings { register_address: register_address.to_owned(), ..Settings::default() };
            let why = settings.config().unwrap_err();
            assert!(why.contains("is not HOST:PORT"), "{register_address:?}: {why}");
        }
        assert!(Settings { count: 0, ..Settings::default() }.config().is_err());
    }

    #[test]
    fn the_default_settings_are_the_default_config() {
        assert_eq!(Settings::default().config(), Ok(Config::default()));
    }
}
