//! The program `micro`: one micro benchmark per run, for callgrind to count (`scripts/bench instructions`).
//!
//! * [`codecs`]: what clients speak; [`inner`]: what gateways and workers speak; [`php`]: sessions and replies;
//!   [`register`]: the register's lines;
//! * [`shard`]: whole paths through a shard, between the calls of its glue;
//! * [`meter`]: what of a run is counted.
//!
//! `micro` lists the benchmarks, one a line: name, a tab, operations that are counted. `micro NAME` runs one. Nothing
//! here reads a clock or a random number, so every run executes the same instructions.
#![forbid(unsafe_code)]

mod codecs;
mod inner;
mod meter;
mod php;
mod register;
mod shard;

use std::process::ExitCode;

use meter::Bench;

fn main() -> ExitCode {
    let benches = benches();
    let Some(name) = std::env::args().nth(1) else {
        for bench in benches {
            println!("{}\t{}", bench.name, bench.operations());
        }
        return ExitCode::SUCCESS;
    };
    match benches.iter().find(|bench| bench.name == name) {
        Some(bench) => {
            bench.run();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("micro: there is no benchmark `{name}`");
            ExitCode::FAILURE
        }
    }
}

/// All of them, by topic.
fn benches() -> Vec<Bench> {
    [codecs::benches(), inner::benches(), php::benches(), register::benches(), shard::benches()].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_benchmark_runs_and_counts_what_it_says() {
        for bench in benches() {
            assert_eq!(bench.run() * bench.parts, bench.operations(), "{}", bench.name);
        }
    }

    #[test]
    fn names_differ_and_say_their_topic() {
        let benches = benches();
        let names: HashSet<&str> = benches.iter().map(|bench| bench.name.as_str()).collect();
        assert_eq!(names.len(), benches.len());
        assert!(names.iter().all(|name| name.contains('/') && !name.contains(['\t', '\n', '"'])));
    }
}
