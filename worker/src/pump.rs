//! One core's loop, on a ring of its own: the thread sleeps nowhere else.

use std::io;
use std::time::Duration;

use inner_tls::Ring;

use crate::Events;
use crate::config::{CATCH_UP_AFTER, READ_BUFFERS, READ_SIZE, SOCKETS_MAX};
use crate::driver::{Driver, Launch};

/// Runs a core until it is told to end, and is done.
pub(crate) async fn run<E: Events>(launch: Launch, make_events: impl FnOnce(usize) -> E) {
    if let Err(error) = serve(launch, make_events).await {
        program::give_up(format_args!("the ring of this core broke: {error}"));
    }
}

async fn serve<E: Events>(launch: Launch, make_events: impl FnOnce(usize) -> E) -> io::Result<()> {
    let open_files = uring::raise_nofile_limit()?;
    let ring = uring::Ring::new(uring::Config {
        sockets_max: u32::try_from(open_files).map_or(SOCKETS_MAX, |files| files.min(SOCKETS_MAX)),
        recv_buffer_size: READ_SIZE,
        recv_buffers: READ_BUFFERS,
        tick: Duration::ZERO,
        busy_poll: launch.setup.config.busy_poll,
        catch_up_after: CATCH_UP_AFTER,
        ..uring::Config::default()
    })
    .map_err(io::Error::other)?;
    let mut ring = Ring::new(ring, launch.mutual.clone());
    let mut driver = Driver::new(launch, ring.waker()?, make_events);
    while !driver.is_over() {
        // All that the ring has is the core's.
        ring.turn(driver.wait(), |event| drop(driver.deliver(event)))?;
        if let Some(work) = ring.take_work() {
            driver.runtime().on_work(work.time_us, work.completions);
        }
        driver.turn_and_wait(&mut ring)?;
        if driver.is_glommio_due() {
            driver.let_glommio_turn().await;
        }
    }
    Ok(())
}
