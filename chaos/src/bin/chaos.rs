//! `scripts/chaos`: what its command line says.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;
use ringway_chaos::clock::Clock;
use ringway_chaos::faults::{NAMES, Plan};
use ringway_chaos::programs::Programs;
use ringway_chaos::run::Run;

/// Kills, freezes and cuts off real processes under numbered load, and says what was lost and what came twice, beside what
/// docs/GUARANTEES.md allows for what went wrong at that time. The tables at the end are Markdown, for that file.
#[derive(FromArgs)]
#[argh(
    example = "Two minutes of everything, drawn from the time:\n  {command_name}",
    example = "The same faults and messages again:\n  {command_name} --seed 12",
    example = "Half an hour, with faults that last up to 30 s; in its first half each is alone:\n  {command_name} --minutes 30 --seed 1",
    example = "Only the ends of gateways:\n  {command_name} --faults kill-gateway,restart-gateway",
    example = "The PHP programs under the same load and faults:\n  {command_name} --minutes 10 --php ~/php",
    note = "The same seed draws the same faults and messages; how they meet is up to the machine.",
    error_code(0, "nothing beyond docs/GUARANTEES.md"),
    error_code(1, "something beyond it: examples, journals and logs say what"),
    error_code(2, "wrong flags, or PHP's programs are not there"),
    error_code(130, "interrupted")
)]
struct Flags {
    /// how long faults happen (default 2; at most 240, for all is kept until the end: some 6 MiB a minute)
    #[argh(option, default = "2.0")]
    minutes: f64,
    /// what the faults and messages are drawn from (default: the time)
    #[argh(option)]
    seed: Option<u64>,
    /// which faults happen, by name: kill, freeze, restart, reload (of a worker), cut, reset, swallow, trickle, delay (of a
    /// link), kill-register, kill-gateway, freeze-gateway, restart-gateway (default: all)
    #[argh(option)]
    faults: Option<String>,
    /// workers that have nothing kept for them: finds losses, or is blind
    #[argh(switch)]
    at_most_once: bool,
    /// the PHP programs in place of ours: a folder with checkouts of GatewayWorker, workerman and coroutine
    #[argh(option)]
    php: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let flags = match Flags::from_args(&["scripts/chaos"], &arguments) {
        Ok(flags) => flags,
        Err(early) => {
            print!("{}", early.output);
            return if early.status.is_ok() { ExitCode::SUCCESS } else { MISUSED.into() };
        }
    };
    let (plan, programs) = match flags.plan().and_then(|plan| Ok((plan, flags.programs()?))) {
        Ok(both) => both,
        Err(problem) => {
            eprintln!("{problem}");
            return MISUSED.into();
        }
    };
    let clock = Clock::start();
    let seed = flags.seed.unwrap_or(clock.began_us() as u64);
    let folder = std::env::temp_dir().join(format!("ringway-chaos-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("journals have a place");
    let Some(outcome) = Run::start(programs, clock, seed, &folder).go(&plan) else {
        remove(&folder);
        return INTERRUPTED.into();
    };
    // Without acknowledgements, losses are what is looked for.
    let is_kept = if flags.at_most_once { outcome.lost == 0 } else { outcome.beyond == 0 };
    if is_kept || flags.at_most_once {
        remove(&folder);
    } else {
        println!("journals and logs: {}", folder.display());
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Flags {
    fn plan(&self) -> Result<Plan, String> {
        let names = self.faults.as_deref().map_or_else(|| NAMES.join(","), str::to_owned);
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        if let Some(unknown) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
            return Err(format!("there is no fault `{unknown}`, only {}", NAMES.join(", ")));
        }
        if !(self.minutes > 0.0 && self.minutes <= MINUTES_MAX) {
            return Err(format!("--minutes is more than 0 and at most {MINUTES_MAX}"));
        }
        let span = Duration::from_secs_f64(self.minutes * 60.0);
        let is_long = span > LONG;
        let longest = if is_long { STANDSTILL_LONG } else { STANDSTILL };
        let apart = if is_long { span / 2 } else { Duration::ZERO };
        Ok(Plan { span, names, longest, apart })
    }

    fn programs(&self) -> Result<Programs, String> {
        let Some(php) = &self.php else { return Ok(Programs::Ours { at_most_once: self.at_most_once }) };
        if self.at_most_once {
            return Err("--at-most-once is a flag of our workers, and --php has none".to_owned());
        }
        let php = php.canonicalize().map_err(|error| format!("{}: {error}", php.display()))?;
        let programs = Programs::Php(php);
        programs.missing().map_or(Ok(programs), Err)
    }
}

fn remove(folder: &Path) {
    // Left over, they are in nobody's way.
    let _ = std::fs::remove_dir_all(folder);
}

/// Exit codes besides those of docs/OPERATIONS.md's 0 and 1.
const MISUSED: u8 = 2;
const INTERRUPTED: u8 = 130;

const MINUTES_MAX: f64 = 240.0;
/// From how long a run on its faults may be long ones, too, and are alone in its first half.
const LONG: Duration = Duration::from_secs(5 * 60);
/// How long a worker stands still at most, in a short run and in a long one.
const STANDSTILL: Duration = Duration::from_secs(12);
const STANDSTILL_LONG: Duration = Duration::from_secs(30);
