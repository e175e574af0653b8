//! The program `bench`, which `scripts/bench` builds and runs.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::{ArgsInfo, FromArgs};
use benches::compare::Compared;
use benches::goals::{self, Scenario, Setup};
use benches::instructions::{self, Comparison, Figures};
use benches::{Environment, compare, million, plot, results_directory};
use program::Shutdown;
use serde::Serialize;

/// Benchmarks: interleaved comparisons with what the kernel alone costs, goals, a million connections, counts of instructions.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    example = "scripts/bench echo --rounds 10 --save",
    example = "scripts/bench load latency --rounds 3",
    example = "scripts/bench million --conns 200000",
    example = "scripts/bench compare HEAD~3 echo burst",
    example = "scripts/bench instructions shard --check"
)]
struct Flags {
    /// what to run: some of echo (default), embedded, load, latency, rate, broadcast, burst, beside, hostile, idle, scraped, bound, empty, sleep, tls, or all
    /// of these; or million, compare, instructions or plot; behind compare, scenarios (default: echo, broadcast, burst and latency); behind instructions, parts of the
    /// names of benchmarks, to count those alone; behind plot, the file to write
    #[argh(positional)]
    what: Vec<String>,
    /// comparisons (default 5; scraped 9, compare 10, hostile 3, bound 1)
    #[argh(option)]
    rounds: Option<usize>,
    /// connections, of all variants (default 1000, or as the variant's name says; load 800, latency 1, burst 900, beside 15000,
    /// hostile 50, idle 100000, bound 50000, tls-handshake and -resumed 100, million 1000000)
    #[argh(option)]
    conns: Option<usize>,
    /// echo: messages in flight per connection (default 1)
    #[argh(option)]
    depth: Option<u32>,
    /// bytes of a message (default 64)
    #[argh(option)]
    size: Option<usize>,
    /// seconds that are measured of each (default 4 for echo, embedded and tls, 10 for empty, 60 of idling for million, else 3)
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
    let done = match words.as_slice() {
        [] => goals(&["echo"], &flags),
        ["million"] => million(&flags),
        ["compare", names @ ..] => compare(&flags, names),
        ["instructions", names @ ..] => instructions(&flags, names),
        ["plot", file] => plot(file.as_ref()),
        ["plot"] => program::fail("plot: which file shall it write?"),
        names => goals(names, &flags),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => program::fail(error),
    }
}

/// What a benchmark ends with: whether its goals are kept, or why there are no figures.
type Done = Result<bool, String>;

impl Flags {
    /// `usual`, where nothing else was asked for.
    fn setup(&self, usual: Setup) -> Setup {
        let conns = self.conns.unwrap_or(usual.conns);
        Setup {
            rounds: self.rounds.unwrap_or(usual.rounds),
            conns,
            few: usual.few.min(conns),
            depth: self.depth.unwrap_or(usual.depth),
            size: self.size.unwrap_or(usual.size),
            hold_seconds: self.hold.unwrap_or(usual.hold_seconds),
            ..usual
        }
    }

    fn save(&self, bench: &str, figures: &impl Serialize) -> Result<(), String> {
        if self.save {
            let kept = Environment::now().save(bench, figures);
            let path = kept.map_err(|error| format!("cannot keep the figures: {error}"))?;
            println!("kept in {}", path.display());
        }
        Ok(())
    }
}

fn shutdown() -> Result<Shutdown, String> {
    Shutdown::listen().map_err(|error| error.to_string())
}

fn print(line: &str) {
    println!("{line}");
}

fn goals(names: &[&str], flags: &Flags) -> Done {
    let scenarios = names.iter().map(|name| match Scenario::group(name) {
        group if group.is_empty() => {
            program::fail(format_args!("there is no scenario `{name}`: see --help"));
        }
        group => group,
    });
    let scenarios = scenarios.collect::<Vec<_>>().concat();
    let shutdown = shutdown()?;
    let mut all = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        println!("{}", scenario.name);
        let figures = scenario.run(flags.setup(scenario.usual), &|| shutdown.requested(), print)?;
        println!("{figures}");
        flags.save(scenario.name, &figures)?;
        all.push(figures);
    }
    if all.len() > 1 {
        all.iter().for_each(|figures| print!("{}", figures.judgement()));
    }
    Ok(all.iter().all(goals::Figures::are_kept))
}

fn million(flags: &Flags) -> Done {
    let shutdown = shutdown()?;
    let usual = million::Setup::default();
    let conns = flags.conns.unwrap_or(usual.conns);
    let setup = million::Setup {
        conns,
        hold_seconds: flags.hold.unwrap_or(usual.hold_seconds),
        ramp_per_second: flags.ramp,
        few: usual.few.min(conns),
        ..usual
    };
    let figures = million::run(setup, &|| shutdown.requested(), &mut print)?;
    print!("{figures}");
    flags.save("million", &figures)?;
    Ok(figures.ledger.is_complete())
}

fn compare(flags: &Flags, names: &[&str]) -> Done {
    let [before, after] = flags.programs.as_slice() else {
        program::misuse("compare: it takes two folders, --programs BEFORE --programs AFTER");
    };
    let named = |name: &&str| {
        compare::SCENARIOS.into_iter().find(|compared| compared.scenario.name == *name).unwrap_or_else(|| {
            program::misuse(format_args!(
                "compare: `{name}` is none of echo, rate, latency, broadcast, burst"
            ))
        })
    };
    let compared: Vec<Compared> = match names {
        [] => compare::SCENARIOS[..4].to_vec(),
        _ => names.iter().map(named).collect(),
    };
    let setup = |usual| flags.setup(Setup { rounds: 10, hold_seconds: 3.0, ..usual });
    let scenarios: Vec<_> =
        compared.into_iter().map(|compared| (compared, setup(compared.scenario.usual))).collect();
    let builds = compare::Builds { before: before.clone(), after: after.clone() };
    let shutdown = shutdown()?;
    let figures = compare::run(&scenarios, &builds, &|| shutdown.requested(), print)?;
    flags.save("compare", &(builds, &figures))?;
    Ok(figures.iter().all(goals::Figures::are_kept))
}

fn instructions(flags: &Flags, names: &[&str]) -> Done {
    if flags.baseline && !names.is_empty() {
        return Err("a baseline is of all benchmarks: --baseline takes no names".to_owned());
    }
    let figures = instructions::run(names)?;
    flags.save("instructions", &figures)?;
    let known = Figures::read_baseline();
    if flags.baseline {
        figures.write_baseline()?;
        print!("{}", Comparison::new(&figures, &known.unwrap_or_else(|_| figures.clone()), true));
        println!("kept as the baseline in {}", instructions::baseline_path().display());
        return Ok(true);
    }
    let comparison = Comparison::new(&figures, &known?, names.is_empty());
    print!("{comparison}");
    let violations = comparison.violations();
    for line in violations.iter().chain(&comparison.advice()) {
        eprintln!("{line}");
    }
    Ok(!flags.check || violations.is_empty())
}

fn plot(file: &Path) -> Done {
    let written = plot::page(&results_directory()).and_then(|page| std::fs::write(file, page));
    written.map_err(|error| format!("cannot plot: {error}"))?;
    println!("{}", file.display());
    Ok(true)
}
