//! How things are: what this process tells of itself, and what `ringway status` shows of others.

use std::time::Duration;

use admin::{Address, Admin, Process, Report, Row};

use crate::cluster::Cluster;

/// Lets `ringway status` ask. Serving the page alone, there is nothing to tell but the process.
pub fn serve(address: Address, cluster: Option<&Cluster>) -> Result<Admin, String> {
    let source = cluster.map(StatusSource::of);
    let clock = program::Uptime::start();
    let report = move || {
        let uptime = clock.elapsed();
        Report {
            process: Process::this("ringway", env!("CARGO_PKG_VERSION"), uptime),
            rows: source.as_ref().map_or_else(Vec::new, |source| source.rows(uptime)),
        }
    };
    Admin::serve(address, report)
        .map_err(|error| program::describe_bind_error(address.0, &error).replace("--listen", "--admin"))
}

/// Asks the parts of a cluster how things are.
struct StatusSource {
    gateway: gateway_core::StatusSource,
    listen: String,
    worker: ringway_worker::StatusSource,
    register: Option<ringway_register::StatusSource>,
}

impl StatusSource {
    fn of(cluster: &Cluster) -> StatusSource {
        StatusSource {
            gateway: cluster.gateway.status_source(),
            listen: cluster.listen_urls(),
            worker: cluster.worker.status_source(),
            register: cluster.register.as_ref().map(ringway_register::Running::status_source),
        }
    }

    /// The rows of all parts, as their own programs would tell them.
    fn rows(&self, uptime: Duration) -> Vec<Row> {
        let gateway = gateway_core::report(&self.gateway, "gateway", &self.listen, uptime);
        let register = self.register.as_ref().map(|register| register.report(uptime));
        let parts = [gateway, self.worker.report(uptime)].into_iter().chain(register);
        parts.flat_map(|part| part.rows).collect()
    }
}

/// Prints the table of `ringway status`; fails if nobody answers.
pub fn show(addresses: &[Address]) {
    if addresses.is_empty() {
        program::fail(
            "whose status? give what the programs have as --admin: ringway status 9501 10.0.0.2:9501",
        );
    }
    let ask = |address: &Address| (address.0, admin::fetch(address.0).map_err(|error| error.to_string()));
    let answers: Vec<_> = addresses.iter().map(ask).collect();
    print!("{}", admin::table(&answers));
    if answers.iter().all(|(_, answer)| answer.is_err()) {
        program::fail("no program answers");
    }
}
