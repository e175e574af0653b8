//! What a process tells of itself.

use std::time::Duration;

use admin::{Process, Report};

use super::Embedded;

/// How a process is that has a gateway, a worker and perhaps a register in it.
#[derive(Clone)]
pub struct StatusSource {
    clock: program::Uptime,
    /// Serving the page alone, there is nothing to tell but the process.
    parts: Option<Parts>,
}

/// Asks the parts how things are.
#[derive(Clone)]
struct Parts {
    gateway: gateway_core::StatusSource,
    listen: String,
    worker: ringway_worker::StatusSource,
    register: Option<ringway_register::StatusSource>,
}

impl StatusSource {
    /// Of a process with these in it, started now.
    pub fn new(embedded: Option<&Embedded>) -> StatusSource {
        StatusSource { clock: program::Uptime::start(), parts: embedded.map(Parts::of) }
    }

    /// What `ringway status` shows.
    pub fn report(&self) -> Report {
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
    fn of(embedded: &Embedded) -> Parts {
        Parts {
            gateway: embedded.gateway().status_source(),
            listen: embedded.listen_urls(),
            worker: embedded.worker().status_source(),
            register: embedded.register().map(ringway_register::Running::status_source),
        }
    }

    /// What their own programs would tell.
    fn reports(&self, uptime: Duration) -> impl Iterator<Item = Report> {
        let gateway = gateway_core::report(&self.gateway, "gateway", &self.listen, uptime);
        let register = self.register.as_ref().map(|register| register.report(uptime));
        [gateway, self.worker.report(uptime)].into_iter().chain(register)
    }
}
