//! The binary `register`: flags, start, wait for a signal, stop.
#![forbid(unsafe_code)]

use admin::{Address, Admin};
use program::{Both, Refusal};
use ringway_register::{Config, Register};

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// The register of a Ringway or GatewayWorker cluster: tells workers which gateways there are.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// where it tells of itself: a dashboard, /status, /metrics, /healthz (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    admin: Option<Address>,
    /// what who asks there says; without it an address open to other machines answers probes alone (default: none)
    #[argh(option, hidden_help, arg_name = "TOKEN")]
    admin_token: Option<String>,
}

fn main() {
    let Both(Flags { admin, admin_token }, config) = program::parse::<Both<Flags, Config>>("register");
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let config = config.read_secret_key().unwrap_or_else(|refusal| refusal.end());
    config.inner_tls().unwrap_or_else(|refusal| refusal.end());
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let register = Register::start(config).unwrap_or_else(|error| program::fail(error));
    let _admin = admin.map(|address| {
        let instance = register.status_source().instance();
        Admin::serve_cluster(address, admin_token.as_deref(), instance, register.cluster())
            .unwrap_or_else(|error| Refusal::from(error).end())
    });
    admin::feed_watchdog(register.status_source().instance()).unwrap_or_else(|error| program::fail(error));
    program::ready(register.addr());
    shutdown.wait();
    if let Err(error) = register.stop() {
        program::fail(error);
    }
    program::finish();
}
