//! What a process tells of itself that has a gateway, a worker and perhaps a register in it.

use admin::Instance;

use super::Embedded;

/// The process with these in it, which has begun now. Serving the page alone, there is nothing to tell but the process.
pub fn instance(embedded: Option<&Embedded>) -> Instance {
    let parts = embedded.into_iter().flat_map(|embedded| {
        let register = embedded.register().map(|register| register.status_source().part());
        embedded
            .gateway()
            .parts()
            .into_iter()
            .chain(embedded.worker().status_source().parts())
            .chain(register)
    });
    let instance = Instance::new("ringway", env!("CARGO_PKG_VERSION"), parts.collect());
    match embedded.map(|embedded| embedded.gateway().standing()) {
        Some(standing) => instance.with_standing(standing),
        None => instance,
    }
}
