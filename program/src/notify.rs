//! Owns what the service manager is told, if there is one that asks for it, as systemd does for `Type=notify`: by datagrams to
//! the socket that `NOTIFY_SOCKET` names.
//!
//! It listens to the process that it has started. So a worker's master speaks for its worker processes, and these are started
//! without the variable.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// The environment variable that names the service manager's socket.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// What a service manager may know of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It serves.
    Ready,
    /// It serves, and takes over what has changed. [`Phase::Ready`] follows.
    Reloading,
    /// It ends.
    Stopping,
}

/// Tells the service manager, if there is one.
pub fn notify(phase: Phase) {
    match phase {
        Phase::Ready => tell("READY=1"),
        // With the time, for which systemd's `Type=notify-reload` asks.
        Phase::Reloading => tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us())),
        Phase::Stopping => tell("STOPPING=1"),
    }
}

/// Tells that the program serves, and `what`, in one line for those who ask the service manager.
pub(crate) fn notify_ready(what: &str) {
    IS_READY.store(true, Ordering::Relaxed);
    tell(&format!("READY=1\nSTATUS={what}"));
}

/// Runs `reload`, and tells so around it; not before the program is ready, which the end of a reload would say.
pub(crate) fn notify_around(reload: impl FnOnce()) {
    let is_ready = IS_READY.load(Ordering::Relaxed);
    if is_ready {
        notify(Phase::Reloading);
    }
    reload();
    if is_ready {
        notify(Phase::Ready);
    }
}

pub(crate) fn tell(what: &str) {
    let Some(socket) = env::var_os(NOTIFY_SOCKET) else { return };
    if let Err(error) = send(&socket, what) {
        warn!("cannot tell the service manager {}: {error}", what.lines().next().unwrap_or_default());
    }
}

fn send(socket: &OsStr, what: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(socket),
    }?;
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(SEND_TIMEOUT))?;
    sender.send_to_addr(what.as_bytes(), &address).map(drop)
}

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Whether [`notify_ready`] was called.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// How long a service manager that does not read may hold a program up. Then it is not told.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_with_and_without_a_path_are_reached() {
        let path = env::temp_dir().join(format!("ringway-notify-{}", std::process::id()));
        let name = format!("@ringway-notify-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        for (manager, socket) in [
            (UnixDatagram::bind(&path), path.as_os_str()),
            (UnixDatagram::bind_addr(&abstract_address), OsStr::new(&name)),
        ] {
            send(socket, "READY=1").unwrap();
            let mut told = [0; 100];
            let size = manager.unwrap().recv(&mut told).unwrap();
            assert_eq!(&told[..size], b"READY=1");
        }
        std::fs::remove_file(&path).unwrap();
        for nobody in [path.as_os_str(), OsStr::new(&name), OsStr::new(""), OsStr::new("@")] {
            assert!(send(nobody, "READY=1").is_err(), "{nobody:?}");
        }
    }
}
