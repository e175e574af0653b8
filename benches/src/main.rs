//! The program `bench`, which `scripts/bench` builds and runs.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};
use benches::compare;
use benches::echo::{self, Setup};
use benches::instructions::{self, Comparison, Figures};
use benches::{Environment, goals, million, plot, results_directory};
use serde::Serialize;

/// Benchmarks: interleaved comparisons with what the kernel alone costs, goals, a million connections, counts of instructions.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "scripts/bench echo --rounds 10 --save",
    example = "scripts/bench million --conns 200000",
    example = "scripts/bench compare HEAD~3 echo burst",
    example = "scripts/bench instructions shard --check"
)]
struct Flags {
    /// what to run: echo (default), latency, rate, broadcast, burst, idle, bound, million, compare, instructions, or plot;
    /// behind compare, scenarios (default: echo, broadcast, burst and latency); behind instructions, parts of the names of
    /// benchmarks, to count those alone; behind plot, the file to write
    #[argh(positional)]
    what: Vec<String>,
    /// comparisons (default 5; compare 10, bound 1)
    #[argh(option)]
    rounds: Option<usize>,
    /// connections (default 1000; latency 1, burst 900, idle 100000, bound 50000, million 1000000)
    #[argh(option)]
    conns: Option<usize>,
    /// messages in flight per connection (default 1)
    #[argh(option, default = "Setup::default().depth")]
    depth: u32,
    /// bytes of a message (default 64)
    #[argh(option, default = "Setup::default().size")]
    size: usize,
    /// seconds that are measured of each (default 4 for echo, 60 of idling for million, else 3)
    #[argh(option)]
    hold: Option<f64>,
    /// million: connections opened a second at most (default 50000)
    #[argh(option, default = "million::Setup::default().ramp_per_second")]
    ramp: f64,
    /// compare: folders with the programs of two builds, the one to judge by first, then the one that is judged
    #[argh(option)]
    programs: Vec<PathBuf>,
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
    if flags.rounds == Some(0) {
        program::fail("--rounds 0: at least one is needed");
    }
    let words: Vec<&str> = flags.what.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["echo"] => echo(&flags),
        ["million"] => million(&flags),
        ["compare", names @ ..] => compare(&flags, names),
        ["instructions", names @ ..] => instructions(&flags, names),
        ["plot", file] => plot(file.as_ref()),
        ["plot"] => program::fail("plot: which file shall it write?"),
        [name, others @ ..] => match name.parse() {
            Ok(kind) if others.is_empty() => goal(kind, &flags),
            _ => program::fail(format_args!(
                "there is no benchmark `{name}`, or it takes no names: see --help"
            )),
        },
    }
}

fn goal(kind: goals::Kind, flags: &Flags) -> ExitCode {
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let usual = kind.setup();
    let conns = flags.conns.unwrap_or(usual.conns);
    let setup = goals::Setup {
        rounds: flags.rounds.unwrap_or(usual.rounds),
        conns,
        few: usual.few.min(conns),
        size: flags.size,
        hold_seconds: flags.hold.unwrap_or(usual.hold_seconds),
        ..usual
    };
    let figures = goals::run(kind, setup, &|| shutdown.requested(), |line| println!("{line}"))
        .unwrap_or_else(|error| program::fail(error));
    print!("{figures}");
    save(flags, kind.name(), &figures);
    if figures.are_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn echo(flags: &Flags) -> ExitCode {
    let default = Setup::default();
    let setup = Setup {
        rounds: flags.rounds.unwrap_or(default.rounds),
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
    if figures.ledger.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(flags: &Flags, names: &[&str]) -> ExitCode {
    let scenarios: Result<Vec<compare::Scenario>, _> =
        names.iter().map(|name| name.parse().map_err(|()| name)).collect();
    let mut scenarios = scenarios.unwrap_or_else(|name| {
        program::misuse(format_args!("compare: `{name}` is none of echo, rate, latency, broadcast, burst"))
    });
    if scenarios.is_empty() {
        scenarios = compare::USUAL.to_vec();
    }
    let [before, after] = flags.programs.as_slice() else {
        program::misuse("compare: it takes two folders, --programs BEFORE --programs AFTER");
    };
    let builds = compare::Builds { before: before.clone(), after: after.clone() };
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let usual = compare::Setup::default();
    let setup = compare::Setup {
        rounds: flags.rounds.unwrap_or(usual.rounds),
        conns: flags.conns,
        size: flags.size,
        hold_seconds: flags.hold.unwrap_or(usual.hold_seconds),
        ..usual
    };
    let stop = || shutdown.requested();
    let figures = compare::run(&scenarios, setup, &builds, &stop, |line| println!("{line}"))
        .unwrap_or_else(|error| program::fail(error));
    print!("{figures}");
    save(flags, "compare", &figures);
    if figures.are_within_bar() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

fn plot(file: &Path) -> ExitCode {
    let written = plot::page(&results_directory()).and_then(|page| std::fs::write(file, page));
    match written {
        Ok(()) => println!("{}", file.display()),
        Err(error) => program::fail(format_args!("cannot plot: {error}")),
    }
    ExitCode::SUCCESS
}

fn save(flags: &Flags, bench: &str, figures: &impl Serialize) {
    if flags.save {
        match Environment::now().save(bench, figures) {
            Ok(path) => println!("kept in {}", path.display()),
            Err(error) => program::fail(format_args!("cannot keep the figures: {error}")),
        }
    }
}
