//! The binary `register`: flags, start, wait for a signal, stop.
#![forbid(unsafe_code)]

use admin::{Address, Admin};
use program::Both;
use ringway_register::{Register, Running};

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

/// The register of a Ringway or GatewayWorker cluster: tells workers which gateways there are.
#[derive(argh::FromArgs, argh::ArgsInfo)]
struct Flags {
    /// where `ringway status` may ask how things are (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    admin: Option<Address>,
}

fn main() {
    let Both(Flags { admin }, config) = program::parse("register");
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let mut shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let register = Register::start(config).unwrap_or_else(|error| program::fail(error));
    let _admin = admin.map(|address| serve_status(address, &register));
    program::ready(register.addr());
    shutdown.wait();
    if let Err(error) = register.stop() {
        program::fail(error);
    }
    program::finish();
}

/// Lets `ringway status` ask.
fn serve_status(address: Address, register: &Running) -> Admin {
    let (source, clock) = (register.status_source(), program::Uptime::start());
    Admin::serve(address, move || source.report(clock.elapsed())).unwrap_or_else(|error| program::fail(error))
}
