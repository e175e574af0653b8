//! The program `loadgen`.
#![forbid(unsafe_code)]

use std::time::Duration;

use loadgen::{Flags, Notice, Plan, Report, Second, Severity, System};

#[global_allocator]
static ALLOCATOR: program::Allocator = program::Allocator;

fn main() {
    let flags: Flags = program::parse("loadgen");
    if let Err(why) = program::check_machine() {
        program::fail(why);
    }
    let shutdown = program::Shutdown::listen().unwrap_or_else(|error| program::fail(error));
    let system = System::read();
    let plan = Plan::new(&flags, &system).unwrap_or_else(|refusal| refusal.end());
    check(&plan, &system);
    let report =
        loadgen::run(plan, || shutdown.requested(), show).unwrap_or_else(|error| program::fail(error));
    write_files(&flags, &report);
    if report.connections.opened == 0 && !report.interrupted {
        let why = report.connections.failures.summary();
        program::fail(format_args!(
            "no connection could be made to {}: {why}",
            report.setup.targets.join(", ")
        ));
    }
    program::say(&report);
    // A report may be read page by page. A signal ends the wait.
    while !program::is_said(SAID_PERIOD) && !shutdown.requested() {}
    program::finish();
}

/// Says what this machine lacks, and ends where that cannot go well.
fn check(plan: &Plan, system: &System) {
    let findings = loadgen::check(plan, system);
    for finding in &findings {
        program::mention(format_args!("loadgen: {finding}"));
    }
    if !plan.flags.force && findings.iter().any(|finding| finding.severity == Severity::Error) {
        program::fail("this machine is not ready for so much; --force starts all the same");
    }
}

/// Progress goes to people on stderr, begin and end of the measured phase to scripts on stdout.
fn show(notice: Notice) {
    match notice {
        Notice::Progress(second) => show_progress(&second),
        Notice::ServerUnseen => {
            program::mention(
                "loadgen: the server is a process of another user; --server-pid says whose memory to show",
            );
        }
        Notice::Measuring { scenario, conns, hold_seconds } => {
            program::say(format_args!(
                "loadgen measuring: {conns} connections, {scenario} for {hold_seconds:.1} s\n"
            ));
        }
        Notice::MeasuringEnded => program::say(format_args!("loadgen measured\n")),
        Notice::Done => program::say(format_args!("loadgen done\n")),
    }
}

fn show_progress(second: &Second) {
    let Second { at_seconds, connected, failed, lost, rate, p50_us, p99_us, server_bytes } = second;
    let latency = p50_us.zip(*p99_us);
    let latency = latency.map_or(String::new(), |(p50, p99)| format!("  p50 {p50:.0} µs  p99 {p99:.0} µs"));
    let memory = server_bytes
        .map_or(String::new(), |bytes| format!("  server {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
    program::mention(format_args!(
        "{:>4} s  connected {connected}  failed {failed}  lost {lost}  {rate:.0}/s{latency}{memory}",
        *at_seconds as u64
    ));
}

fn write_files(flags: &Flags, report: &Report) {
    let write = |path: &str, text: std::io::Result<String>| {
        text.and_then(|text| std::fs::write(path, text))
            .unwrap_or_else(|error| program::fail(format_args!("cannot write {path}: {error}")));
    };
    if let Some(path) = &flags.json {
        write(path, report.to_json().map_err(Into::into));
    }
    if let Some(path) = &flags.html {
        write(path, report.to_html().map_err(Into::into));
    }
}

/// How often to look whether a report is still waited with.
const SAID_PERIOD: Duration = Duration::from_millis(50);
