//! The program `bench`, which `scripts/bench` builds and runs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};
use benches::Stand;
use benches::echo::{self, Setup};
use benches::instructions::{self, Comparison, Figures};
use benches::million;
use serde::Serialize;

/// Benchmarks: interleaved comparisons with what the kernel alone costs, a million connections, counts of instructions.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "scripts/bench echo --rounds 10 --save",
    example = "scripts/bench million --conns 200000",
    example = "scripts/bench instructions shard --check"
)]
struct Flags {
    /// what to run: echo (default), million, or instructions; behind the last, parts of the names of benchmarks, to count
    /// those alone
    #[argh(positional)]
    what: Vec<String>,
    /// comparisons (default 5)
    #[argh(option, default = "Setup::default().rounds")]
    rounds: usize,
    /// connections (default 1000; million: 1000000)
    #[argh(option)]
    conns: Option<usize>,
    /// messages in flight per connection (default 1)
    #[argh(option, default = "Setup::default().depth")]
    depth: u32,
    /// bytes of a message (default 64)
    #[argh(option, default = "Setup::default().size")]
    size: usize,
    /// seconds that are measured of each (default 4; million: 60 of idling)
    #[argh(option)]
    hold: Option<f64>,
    /// million: connections opened a second at most (default 50000)
    #[argh(option, default = "million::Setup::default().ramp_per_second")]
    ramp: f64,
    /// keep the figures in benches/results
    #[argh(switch)]
    save: bool,
    /// instructions: fail if there are more than the baseline has
    #[argh(switch)]
    check: bool,
    /// instructions: make what is counted the baseline
    #[argh(switch)]
    baseline: bool,
}

fn main() -> ExitCode {
    let flags: Flags = program::parse("bench");
    let words: Vec<&str> = flags.what.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["echo"] => echo(&flags),
        ["million"] => million(&flags),
        ["instructions", names @ ..] => instructions(&flags, names),
        [other, ..] => program::fail(format_args!(
            "there is no benchmark `{other}`, or it takes no names: echo, million and instructions are"
        )),
    }
}

fn echo(flags: &Flags) -> ExitCode {
    if flags.rounds == 0 {
        program::fail("--rounds 0: at least one is needed");
    }
    let default = Setup::default();
    let setup = Setup {
        rounds: flags.rounds,
        conns: flags.conns.unwrap_or(default.conns),
        depth: flags.depth,
        size: flags.size,
        hold_seconds: flags.hold.unwrap_or(default.hold_seconds),
        ..default
    };
    println!("{}", echo::heading());
    let figures = echo::run(setup, |index, round| println!("{}", echo::line(index, round)));
    print!("{figures}");
    save(flags, "echo", &figures);
    if figures.is_within_bar() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn million(flags: &Flags) -> ExitCode {
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let default = million::Setup::default();
    let conns = flags.conns.unwrap_or(default.conns);
    let setup = million::Setup {
        conns,
        hold_seconds: flags.hold.unwrap_or(default.hold_seconds),
        ramp_per_second: flags.ramp,
        few: default.few.min(conns),
        ..default
    };
    let figures = million::run(setup, &|| shutdown.requested(), &mut |what| println!("{what}"))
        .unwrap_or_else(|error| program::fail(error));
    print!("{figures}");
    save(flags, "million", &figures);
    if figures.missing() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn instructions(flags: &Flags, names: &[&str]) -> ExitCode {
    if flags.baseline && !names.is_empty() {
        program::fail("a baseline is of all benchmarks: --baseline takes no names");
    }
    let figures = instructions::run(names).unwrap_or_else(|error| program::fail(error));
    save(flags, "instructions", &figures);
    let path = instructions::baseline_path();
    let known = Figures::read_baseline();
    if flags.baseline {
        let written = figures.write_baseline();
        written.unwrap_or_else(|error| program::fail(format_args!("{}: {error}", path.display())));
        println!("{}", Comparison::new(&figures, &known.unwrap_or_else(|_| figures.clone()), true));
        println!("kept as the baseline in {}", path.display());
        return ExitCode::SUCCESS;
    }
    let known = known.unwrap_or_else(|error| program::fail(format_args!("{}: {error}", path.display())));
    let comparison = Comparison::new(&figures, &known, names.is_empty());
    print!("{comparison}");
    let complaints = comparison.complaints();
    for line in complaints.iter().chain(&comparison.advice()) {
        eprintln!("{line}");
    }
    if flags.check && !complaints.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn save(flags: &Flags, bench: &str, figures: &impl Serialize) {
    if flags.save {
        match Stand::now().save(bench, figures) {
            Ok(path) => println!("kept in {}", path.display()),
            Err(error) => program::fail(format_args!("cannot keep the figures: {error}")),
        }
    }
}
