//! Clients with TLS at the gateway, against nginx and against haproxy that end TLS in front of its plain port: CPU of all
//! processes of the server, per echo and per handshake. Certificate (ECDSA, P-256), version (1.3), cipher suite and curve are
//! the same for all, and each has one thread.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster::proxy::{Between, Kind, Proxy, Tells};
use cluster::{Cluster, Listen, own_address};

use super::harness::{Harness, Side, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::cpus;
use crate::watch::Stopped;

pub(crate) const TLS: Scenario = Scenario {
    name: "tls",
    usual: Setup { hold_seconds: 4.0, ..Setup::USUAL },
    columns: &columns("fewest echoes/s"),
    goals: &[AT_MOST_THEIRS],
    start: |harness| start(harness, echo),
};

pub(crate) const TLS_100: Scenario =
    Scenario { name: "tls-100", usual: Setup { conns: 100, ..TLS.usual }, ..TLS };

/// Clients come and go: TCP, TLS, websocket, end.
pub(crate) const TLS_HANDSHAKE: Scenario = Scenario {
    name: "tls-handshake",
    usual: Setup { conns: 100, ..Setup::USUAL },
    columns: &columns("resumed %"),
    start: |harness| start(harness, |harness, side| handshakes(harness, side, "")),
    ..TLS
};

/// They come back, with a ticket.
pub(crate) const TLS_RESUMED: Scenario = Scenario {
    name: "tls-resumed",
    goals: &[
        AT_MOST_THEIRS,
        Goal::at_least("% of the handshakes that were resumed, at whom it was least", 7, 95.0),
    ],
    start: |harness| start(harness, |harness, side| handshakes(harness, side, "--tls-resume")),
    ..TLS_HANDSHAKE
};

const fn columns(last: &'static str) -> [&'static str; 8] {
    let ratio = "ratio";
    ["gateway µs", "worker µs", "nginx µs", "behind nginx µs", "haproxy µs", "behind haproxy µs", ratio, last]
}

const AT_MOST_THEIRS: Goal = Goal::at_most(
    "CPU as a multiple of that behind nginx or haproxy, theirs included, whichever is less",
    6,
    1.0,
);

/// CPU of each process, in microseconds per echo or handshake, and what stands in the last column.
type Cost = (Vec<f64>, f64);

/// Gateway and worker are the same for all sides.
fn start<'a>(
    harness: &'a Harness<'_>,
    measure: fn(&Harness<'_>, &Side) -> Result<Cost, Stopped>,
) -> Result<Round<'a>, Stopped> {
    let file = write_certificate()?;
    let secured = format!("wss://{}:8443", own_address());
    let flags = ["--listen", &secured, "--tls-cert", &file.to_string_lossy()];
    let mut cluster = harness.start(Cluster::builder().gateway_flags(&flags));
    let gateway = cluster.address(0, Listen::Websocket);
    let [nginx, haproxy] =
        [Kind::Nginx, Kind::Haproxy].map(|kind| start_proxy(harness, kind, &file, gateway));
    let (nginx, haproxy) = (nginx?, haproxy?);
    // All have read it. What stays behind in the directory for temporary files does no harm.
    let _ = fs::remove_file(file);
    Ok(Box::new(move |index| {
        let Side { pids, .. } = path(&mut cluster);
        let side = |proxy: &Proxy| Side {
            target: format!("wss://{}", proxy.address()),
            pids: [&[proxy.id()], &pids[..]].concat(),
            admin: Vec::new(),
        };
        let ours = Side { target: secured.clone(), pids: pids.clone(), admin: Vec::new() };
        let sides = [ours, side(&nginx), side(&haproxy)];
        let [ours, nginx, haproxy] = in_turns(index, sides, |side| measure(harness, &side))?;
        let us = [&ours, &nginx, &haproxy].map(|(each, _)| each.iter().sum::<f64>());
        let ratio = us[0] / us[1].min(us[2]);
        let last = ours.1.min(nginx.1).min(haproxy.1);
        let each = [&nginx, &haproxy].map(|(each, _)| [each[0], each[1] + each[2]]);
        Ok([&ours.0[..], &each[0], &each[1], &[ratio, last]].concat())
    }))
}

fn start_proxy(
    harness: &Harness<'_>,
    kind: Kind,
    file: &Path,
    gateway: SocketAddr,
) -> Result<Proxy, Stopped> {
    let between = Between { certificate: Some(file), gateway, gateway_tls: false, tells: Tells::Nothing };
    let proxy = cpus::on(harness.cpus.server, || Proxy::start(kind, between));
    proxy.ok_or_else(|| format!("{kind:?} is not here; scripts/bench installs it"))
}

/// Certificate and key in one file, as all three read them.
fn write_certificate() -> Result<PathBuf, Stopped> {
    let file = std::env::temp_dir().join(format!("ringway-bench-{}.pem", std::process::id()));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("localhost is a name");
    let text = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(file)
}

fn echo(harness: &Harness<'_>, side: &Side) -> Result<Cost, Stopped> {
    let pace = format!("--tls-insecure --depth {}", harness.setup.depth);
    let measured = harness.echo(side, harness.setup.conns, &pace)?;
    Ok((measured.cpu_us_each(measured.echoes()), measured.per_second()))
}

/// Clients come by the clock, each in place of one that leaves. A handshake is all that is done for one of them.
fn handshakes(harness: &Harness<'_>, side: &Side, flag: &str) -> Result<Cost, Stopped> {
    let conns = harness.setup.conns;
    let flags =
        format!("--scenario churn --rate {HANDSHAKES_PER_SECOND} --conns {conns} --tls-insecure {flag}");
    let measured = harness.measure(side, &flags)?;
    let churn = &measured.outcome.churn.as_ref().ok_or("no clients came and went")?.counters;
    if churn.made == 0 || churn.failures.total() > 0 {
        return Err(format!("clients did not come: {churn:?}"));
    }
    let made = churn.made as f64;
    Ok((measured.cpu_us_each(made), churn.resumed as f64 * 100.0 / made))
}

/// The servers' CPU is less than half full with them.
const HANDSHAKES_PER_SECOND: u32 = 1000;
