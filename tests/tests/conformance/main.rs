//! Websocket conformance: what a fuzzing client would try, against the echo app through a real gateway and a real
//! worker. Cases have the numbers of the Autobahn test suite's, whose sections 1 to 7, 9 and 10 they cover.
//!
//! A case passes if that suite would call it OK; where it also lists a looser outcome as acceptable, the helper
//! in `case` that allows it says so.
#![forbid(unsafe_code)]

mod case;
mod close_handling;
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

fn main() {
    let arguments = Arguments::from_args();
    if arguments.list {
        libtest_mimic::run(&arguments, trials(Suite::unreachable(), Suite::unreachable())).exit();
    }
    let cluster = Cluster::builder().start();
    let large = Cluster::builder().gateway_flags(LARGE).start();
    let suite = Suite::new(cluster.address(0, Listen::Websocket));
    let large_suite = Suite::new(large.address(0, Listen::Websocket));
    let conclusion = libtest_mimic::run(&arguments, trials(suite, large_suite));
    if conclusion.has_failed() {
        eprintln!("{}{}", cluster.output(), large.output());
    }
    cluster.stop();
    large.stop();
    conclusion.exit();
}

/// All cases; those of `large` need a gateway that takes messages of 16 MiB.
fn trials(mut suite: Suite, mut large: Suite) -> Vec<libtest_mimic::Trial> {
    handshake::cases(&mut suite);
    framing::cases(&mut suite);
    fragmentation::cases(&mut suite);
    utf8::cases(&mut suite);
    close_handling::cases(&mut suite);
    limits::cases(&mut suite);
    limits::large_cases(&mut large);
    suite.into_trials().chain(large.into_trials()).collect()
}
