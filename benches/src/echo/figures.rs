//! The figures of an echo run: what follows from CPU times and counts. No process, no clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RATIO_MAX, Setup};
use crate::median::median;

/// One server under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Echoes in the measured phase.
    pub echoes: u64,
    /// How long it was.
    pub seconds: f64,
    /// CPU time in it, of each process of the server.
    pub cpu_seconds: Vec<f64>,
    /// Median latency.
    pub p50_us: f64,
    /// Latency that 99 % did not exceed.
    pub p99_us: f64,
}

impl Sample {
    /// Microseconds of CPU per echo, of each process.
    pub fn cpu_us(&self) -> Vec<f64> {
        self.cpu_seconds.iter().map(|seconds| seconds * 1e6 / self.echoes as f64).collect()
    }

    /// Microseconds of CPU per echo, of all processes together.
    pub fn total_cpu_us(&self) -> f64 {
        self.cpu_us().iter().sum()
    }

    /// How busy the server's CPU was, from 0 to 1.
    pub fn busy(&self) -> f64 {
        self.cpu_seconds.iter().sum::<f64>() / self.seconds
    }

    /// Echoes per second.
    pub fn rate(&self) -> f64 {
        self.echoes as f64 / self.seconds
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The bare echo: one process.
    pub bare: Sample,
    /// Gateway and worker, in this order.
    pub path: Sample,
}

impl Round {
    /// What gateway and worker cost together, as a multiple of the bare echo.
    pub fn ratio(&self) -> f64 {
        self.path.total_cpu_us() / self.bare.total_cpu_us()
    }
}

/// All rounds, and their medians.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What was run.
    pub setup: Setup,
    /// Every round.
    pub rounds: Vec<Round>,
    /// CPU of the bare echo per echo.
    pub bare_us: f64,
    /// CPU of the gateway per echo.
    pub gateway_us: f64,
    /// CPU of the worker per echo.
    pub worker_us: f64,
    /// CPU of both per echo.
    pub path_us: f64,
    /// Of the rounds' ratios.
    pub ratio: f64,
    /// The lowest and the highest of them.
    pub ratio_spread: (f64, f64),
}

impl Figures {
    /// Medians over `rounds`, at least one.
    pub fn new(setup: Setup, rounds: Vec<Round>) -> Figures {
        let median_of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let ratios: Vec<f64> = rounds.iter().map(Round::ratio).collect();
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        Figures {
            bare_us: median_of(&|round| round.bare.total_cpu_us()),
            gateway_us: median_of(&|round| round.path.cpu_us()[0]),
            worker_us: median_of(&|round| round.path.cpu_us()[1]),
            path_us: median_of(&|round| round.path.total_cpu_us()),
            ratio: median(ratios),
            ratio_spread: (lowest, highest),
            setup,
            rounds,
        }
    }

    /// Whether the bar is kept.
    pub fn is_within_bar(&self) -> bool {
        self.ratio <= RATIO_MAX
    }
}

/// The lines above the rounds.
pub fn heading() -> String {
    format!(
        "{:>5}  {:>8} {:>5} {:>9}  {:>8} {:>8} {:>8} {:>5} {:>9}  {:>6}",
        "round", "bare µs", "busy", "echoes/s", "gateway", "worker", "sum µs", "busy", "echoes/s", "ratio"
    )
}

/// One round as a line under [`heading`].
pub fn line(index: usize, round: &Round) -> String {
    let (bare, path) = (&round.bare, &round.path);
    let cpu_us = path.cpu_us();
    format!(
        "{:>5}  {:>8.2} {:>4.0}% {:>9.0}  {:>8.2} {:>8.2} {:>8.2} {:>4.0}% {:>9.0}  {:>6.2}",
        index + 1,
        bare.total_cpu_us(),
        bare.busy() * 100.0,
        bare.rate(),
        cpu_us[0],
        cpu_us[1],
        path.total_cpu_us(),
        path.busy() * 100.0,
        path.rate(),
        round.ratio(),
    )
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures {
            bare_us, gateway_us, worker_us, path_us, ratio, ratio_spread: (lowest, highest), ..
        } = self;
        writeln!(
            f,
            "median CPU per echo: bare {bare_us:.2} µs, gateway {gateway_us:.2} + worker {worker_us:.2} = {path_us:.2} µs"
        )?;
        let verdict = if self.is_within_bar() { "kept" } else { "MISSED" };
        writeln!(f, "ratio {ratio:.2} ({lowest:.2} to {highest:.2}); the bar of {RATIO_MAX} is {verdict}")?;
        for (name, samples) in [
            ("bare echo", self.rounds.iter().map(|round| &round.bare).collect::<Vec<_>>()),
            ("gateway and worker", self.rounds.iter().map(|round| &round.path).collect()),
        ] {
            let busy = median(samples.iter().map(|sample| sample.busy()).collect());
            if busy < SATURATED {
                let percent = busy * 100.0;
                writeln!(
                    f,
                    "{name}: its CPU was busy for {percent:.0} % only, so the load generator set the pace"
                )?;
            }
        }
        Ok(())
    }
}

/// From here on a CPU counts as saturated; clock ticks and other processes take the rest.
const SATURATED: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(echoes: u64, cpu_seconds: &[f64]) -> Sample {
        Sample { echoes, seconds: 4.0, cpu_seconds: cpu_seconds.to_vec(), p50_us: 1.0, p99_us: 2.0 }
    }

    fn round(gateway: f64) -> Round {
        Round { bare: sample(600_000, &[3.6]), path: sample(250_000, &[gateway, 1.5]) }
    }

    #[test]
    fn cpu_per_echo_and_its_ratio() {
        let round = round(2.4);
        assert!((round.bare.total_cpu_us() - 6.0).abs() < 1e-9);
        assert!((round.path.total_cpu_us() - 15.6).abs() < 1e-9);
        assert!((round.ratio() - 2.6).abs() < 1e-9);
        assert!((round.path.busy() - 0.975).abs() < 1e-9 && round.bare.rate() == 150_000.0);
    }

    #[test]
    fn medians_do_not_mind_an_outlier() {
        let figures = Figures::new(Setup::default(), [2.4, 9.0, 2.0].map(round).to_vec());
        assert!((figures.gateway_us - 9.6).abs() < 1e-9 && (figures.worker_us - 6.0).abs() < 1e-9);
        assert!((figures.ratio - 2.6).abs() < 1e-9 && !figures.is_within_bar());
        assert!(figures.ratio_spread.0 < 2.4 && figures.ratio_spread.1 > 6.9);
        let text = figures.to_string();
        assert!(
            text.contains("MISSED") && text.contains("bare echo: its CPU was busy for 90 % only"),
            "{text}"
        );
        assert!(!text.contains("gateway and worker: its CPU"), "{text}");
    }

    #[test]
    fn the_bar_is_a_ratio() {
        let figures = Figures::new(Setup::default(), vec![round(1.0)]);
        assert!(figures.is_within_bar() && figures.to_string().contains("is kept"));
        assert_eq!(line(0, &figures.rounds[0]).chars().count(), heading().chars().count());
    }
}
