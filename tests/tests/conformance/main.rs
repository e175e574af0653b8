//! Websocket conformance: what a fuzzing client would try, against the echo app through a real gateway and a real
//! worker. Cases have the numbers of the Autobahn test suite's, whose sections 1 to 7, 9, 10, 12 and 13 they cover.
//!
//! A case passes if that suite would call it OK; where it also lists a looser outcome as acceptable, the helper
//! in `case` that allows it says so.
#![forbid(unsafe_code)]

mod case;
mod close_handling;
mod compression;
mod fragmentation;
mod framing;
mod handshake;
mod limits;
mod utf8;
mod utf8_sequences;

use libtest_mimic::Arguments;
use ringway_tests::{Cluster, Listen};

use case::Suite;

/// Over 16 MiB, the suite's largest message; the default limit is below it.
const LARGE: &[&str] = &["--max-package-size", "16777300"];

const COMPRESSING: &[&str] = &["--compression", "--compress-min-size", "16"];

fn main() {
    let arguments = Arguments::from_args();
    if arguments.list {
        libtest_mimic::run(&arguments, trials([(); 3].map(|()| Suite::unreachable()))).exit();
    }
    let clusters = [&[], LARGE, COMPRESSING].map(|flags| Cluster::builder().gateway_flags(flags).start());
    let suites = clusters.each_ref().map(|cluster| Suite::new(cluster.address(0, Listen::Websocket)));
    let conclusion = libtest_mimic::run(&arguments, trials(suites));
    if conclusion.has_failed() {
        clusters.iter().for_each(|cluster| eprintln!("{}", cluster.output()));
    }
    clusters.into_iter().for_each(Cluster::stop);
    conclusion.exit();
}

/// All cases; those of `large` need a gateway that takes messages of 16 MiB, and those of `compressing` one that compresses.
fn trials([mut suite, mut large, mut compressing]: [Suite; 3]) -> Vec<libtest_mimic::Trial> {
    handshake::cases(&mut suite);
    framing::cases(&mut suite);
    fragmentation::cases(&mut suite);
    utf8::cases(&mut suite);
    close_handling::cases(&mut suite);
    limits::cases(&mut suite);
    limits::large_cases(&mut large);
    compression::cases(&mut compressing);
    [suite, large, compressing].into_iter().flat_map(Suite::into_trials).collect()
}
