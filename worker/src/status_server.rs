//! The `--admin` of a worker program.

use std::io;

use admin::{Admin, AdminError};
use program::Refusal;
use tracing::warn;

use crate::config::ADMIN_RETRY_DELAY;
use crate::{Running, Settings};

/// Tells of the worker where the flags say. Patient, it waits until a process that still holds the address has ended.
pub(crate) fn serve(settings: &Settings, running: &Running, is_patient: bool) -> Option<Admin> {
    let address = settings.admin?;
    let (source, token) = (running.status_source(), settings.admin_token.clone());
    let serve = move || Admin::serve(address, token.as_deref(), source.instance());
    if !is_patient {
        return Some(serve().unwrap_or_else(|error| Refusal::from(error).end()));
    }
    let retry = move || {
        loop {
            match serve() {
                Ok(_admin) => loop {
                    std::thread::park();
                },
                Err(AdminError::Io(error)) if error.kind() == io::ErrorKind::AddrInUse => {
                    std::thread::sleep(ADMIN_RETRY_DELAY);
                }
                Err(error) => return warn!("{error}"),
            }
        }
    };
    if let Err(error) = program::spawn_vital("admin", retry) {
        warn!("--admin is not served: {error}");
    }
    None
}
