//! How things are: what this process tells of itself, and what `ringway status` shows of others.

use std::time::Duration;

use admin::{Address, Process, Report};

use crate::cluster::Cluster;

/// How this process is.
#[derive(Clone)]
pub(crate) struct StatusSource {
    clock: program::Uptime,
    /// Serving the page alone, there is nothing to tell but the process.
    parts: Option<Parts>,
}

/// Asks the parts of a cluster how things are.
#[derive(Clone)]
struct Parts {
    gateway: gateway_core::StatusSource,
    listen: String,
    worker: ringway_worker::StatusSource,
    register: Option<ringway_register::StatusSource>,
}

impl StatusSource {
    /// Of a process with this cluster in it, started now.
    pub(crate) fn new(cluster: Option<&Cluster>) -> StatusSource {
        StatusSource { clock: program::Uptime::start(), parts: cluster.map(Parts::of) }
    }

    /// What `ringway status` shows.
    pub(crate) fn report(&self) -> Report {
        let uptime = self.clock.elapsed();
        let mut report = Report::new(Process::this("ringway", env!("CARGO_PKG_VERSION"), uptime), []);
        for part in self.parts.iter().flat_map(|parts| parts.reports(uptime)) {
            report.rows.extend(part.rows);
            report.faults.extend(part.faults);
        }
        report
    }
}

impl Parts {
    fn of(cluster: &Cluster) -> Parts {
        Parts {
            gateway: cluster.gateway.status_source(),
            listen: cluster.listen_urls(),
            worker: cluster.worker.status_source(),
            register: cluster.register.as_ref().map(ringway_register::Running::status_source),
        }
    }

    /// What their own programs would tell.
    fn reports(&self, uptime: Duration) -> impl Iterator<Item = Report> {
        let gateway = gateway_core::report(&self.gateway, "gateway", &self.listen, uptime);
        let register = self.register.as_ref().map(|register| register.report(uptime));
        [gateway, self.worker.report(uptime)].into_iter().chain(register)
    }
}

/// Prints the table of `ringway status`; fails if nobody answers.
pub(crate) fn show(addresses: &[Address]) {
    if addresses.is_empty() {
        program::fail(
            "whose status? give what the programs have as --admin: ringway status 9501 10.0.0.2:9501",
        );
    }
    let ask = |address: &Address| (address.0, admin::fetch(address.0).map_err(|error| error.to_string()));
    let answers: Vec<_> = addresses.iter().map(ask).collect();
    program::print(&admin::table(&answers));
    if answers.iter().all(|(_, answer)| answer.is_err()) {
        program::fail("no program answers");
    }
}
