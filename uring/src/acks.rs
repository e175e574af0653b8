//! What a peer's kernel has acknowledged: whether its machine is there, whatever its program does.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::narrow::narrow;
use crate::ring::Ring;
use crate::slots::SocketId;

/// How it stands with acknowledgements on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acks {
    /// Something was sent and is not acknowledged, be it only the kernel's question whether there is room again.
    pub awaited: bool,
    /// Since the last one came. A peer without room is asked less and less often, every two minutes in the end, so this may
    /// be long while none is awaited.
    pub last: Duration,
}

impl Ring {
    /// Asks the kernel about a preferred socket (`listen_preferred`): one system call. `None` if it is closed, or not
    /// preferred, or the kernel does not tell.
    pub fn acknowledged(&mut self, socket: SocketId) -> Option<Acks> {
        self.slots.live(socket)?;
        let descriptor = self.descriptors.get(&socket.slot())?;
        tcp_info(descriptor).ok().map(|info| Acks {
            awaited: info.tcpi_unacked > 0 || info.tcpi_probes > 0,
            last: Duration::from_millis(info.tcpi_last_ack_recv.into()),
        })
    }
}

pub(crate) fn tcp_info(socket: &impl AsRawFd) -> io::Result<libc::tcp_info> {
    // SAFETY: all zeros is a valid tcp_info: numbers only.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = narrow(size_of::<libc::tcp_info>());
    let (option, level) = (libc::TCP_INFO, libc::IPPROTO_TCP);
    // SAFETY: the kernel writes at most `size` bytes to `info`, which has as many, and the size to `size`; both are ours. An
    // older kernel writes less, and zeros stay.
    let told =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut info).cast(), &raw mut size) };
    if told == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
