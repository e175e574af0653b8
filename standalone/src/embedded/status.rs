//! What a process tells of itself that has a gateway, a worker and perhaps a register in it.

use admin::{Address, Admin, AdminError, Instance};

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
    match embedded.map(Embedded::gateway) {
        Some(gateway) => instance.with_standing(gateway.standing()).with_orders(gateway.orders()),
        None => instance,
    }
}

/// Serves `--admin`: of the whole cluster if the process has a register, else of itself.
///
/// # Errors
/// As [`Admin::serve`].
pub fn serve_admin(
    address: Address,
    token: Option<&str>,
    embedded: Option<&Embedded>,
) -> Result<Admin, AdminError> {
    let instance = instance(embedded);
    match embedded.and_then(Embedded::register) {
        Some(register) => Admin::serve_cluster(address, token, instance, register.cluster()),
        None => Admin::serve(address, token, instance),
    }
}
