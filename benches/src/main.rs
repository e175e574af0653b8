//! The program `bench`, which `scripts/bench` builds and runs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};
use benches::Stand;
use benches::echo::{self, Setup};

/// End-to-end benchmarks: interleaved comparisons with what the kernel alone costs.
#[derive(FromArgs, ArgsInfo)]
#[argh(example = "scripts/bench echo --rounds 10 --save")]
struct Flags {
    /// what to run: echo (default)
    #[argh(positional, default = "String::from(\"echo\")")]
    bench: String,
    /// comparisons (default 5)
    #[argh(option, default = "Setup::default().rounds")]
    rounds: usize,
    /// connections (default 1000)
    #[argh(option, default = "Setup::default().conns")]
    conns: usize,
    /// messages in flight per connection (default 1)
    #[argh(option, default = "Setup::default().depth")]
    depth: u32,
    /// bytes of a message (default 64)
    #[argh(option, default = "Setup::default().size")]
    size: usize,
    /// seconds that are measured of each (default 4)
    #[argh(option, default = "Setup::default().hold_seconds")]
    hold: f64,
    /// keep the figures in benches/results
    #[argh(switch)]
    save: bool,
}

fn main() -> ExitCode {
    let flags: Flags = program::parse("bench");
    if flags.bench != "echo" {
        program::fail(format_args!("there is no benchmark `{}`: echo is one", flags.bench));
    }
    if flags.rounds == 0 {
        program::fail("--rounds 0: at least one is needed");
    }
    let setup = Setup {
        rounds: flags.rounds,
        conns: flags.conns,
        depth: flags.depth,
        size: flags.size,
        hold_seconds: flags.hold,
        ..Setup::default()
    };
    println!("{}", echo::heading());
    let figures = echo::run(setup, |index, round| println!("{}", echo::line(index, round)));
    print!("{figures}");
    if flags.save {
        match Stand::now().save("echo", &figures) {
            Ok(path) => println!("kept in {}", path.display()),
            Err(error) => program::fail(format_args!("cannot keep the figures: {error}")),
        }
    }
    if figures.is_within_bar() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
