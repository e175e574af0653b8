//! The life of a core: start, serve, end with nothing queued left behind.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use glommio::Task;
use glommio::timer::{sleep, timeout};
use tracing::warn;

use super::discovery::Discovery;
use super::dispatch::Dispatch;
use super::drain::hand_over;
use super::link::Link;
use super::{Core, Launch, Told, Wishes};
use crate::config::{ALIVE_PERIOD, READ_SIZE, STOP_CLOSE_TIMEOUT, STOP_STEP_TIMEOUT};
use crate::{Events, Gateway};

/// Runs a core until its end is among `wishes`, and answers the others. `on_ready` is called when a register has
/// answered and every gateway in its list was tried.
pub(crate) async fn run<E: Events>(
    launch: Launch,
    make_events: impl FnOnce() -> E,
    wishes: Wishes,
    on_ready: impl FnOnce() + 'static,
) {
    let core = Core::new(launch);
    let gateway = Gateway::new(Rc::clone(&core));
    let dispatch = Dispatch::new(make_events(), gateway, on_ready);
    if let Err(why) = dispatch.events().try_start(dispatch.gateway()).await {
        program::give_up(format_args!("the start of core {} failed: {why}", core.index));
    }
    let alive = glommio::spawn_local(tell_alive(Rc::clone(&core)));
    let starter = glommio::spawn_local(Rc::clone(&dispatch).start_waiting());
    let tasks = Discovery::start(&dispatch);
    wishes.serve(|| dispatch.status()).await;
    end(&dispatch, tasks).await;
    starter.cancel().await;
    alive.cancel().await;
}

/// Tells again and again that this core turns, for as long as there is a master who listens.
async fn tell_alive(core: Rc<Core>) {
    while core.report.send(Told::Alive).is_ok() {
        sleep(ALIVE_PERIOD).await;
    }
}

/// Hands the clients over, lets running handlers and `on_stop` finish, and sends what is queued. Each step is limited
/// in time.
async fn end<E: Events>(dispatch: &Rc<Dispatch<E>>, registers: Vec<Task<()>>) {
    let core = dispatch.core();
    // No gateway is new to a core that ends.
    cancel(registers).await;
    step("handlers still run", core.config.drain_timeout, hand_over(dispatch)).await;
    core.stopping.set(true);
    dispatch.give_up_waiting();
    step("on_stop still runs", STOP_STEP_TIMEOUT, dispatch.stop_events()).await;
    core.background.cancel().await;
    let links = core.links.all();
    cancel(links.iter().filter_map(|link| link.task.borrow_mut().take()).collect()).await;
    cancel(core.query_links.take_tasks()).await;
    step("a gateway takes no more", STOP_STEP_TIMEOUT, side_by_side(&links, finish)).await;
    step("a gateway does not close its end", STOP_CLOSE_TIMEOUT, side_by_side(&links, drain)).await;
    for link in &links {
        link.detach();
    }
}

/// An executor that ends forgets its tasks without dropping them; cancelled, they close their connections.
async fn cancel(tasks: Vec<Task<()>>) {
    for task in tasks {
        task.cancel().await;
    }
}

/// Does the same with all links at once: one that does not get on must not cost the others their time.
async fn side_by_side<F: Future<Output = ()> + 'static>(links: &[Rc<Link>], work: impl Fn(Rc<Link>) -> F) {
    let tasks: Vec<Task<()>> = links.iter().map(|link| glommio::spawn_local(work(Rc::clone(link)))).collect();
    for task in tasks {
        task.await;
    }
}

async fn step(late: &str, limit: Duration, work: impl Future<Output = ()>) {
    let limited = timeout(limit, async {
        work.await;
        Ok(())
    });
    if limited.await.is_err() {
        warn!("stopping without waiting longer: {late}");
    }
}

/// Sends what is queued, and that nothing more will come.
async fn finish(link: Rc<Link>) {
    // A connection that fails now has nothing to wait for.
    let _ = poll_fn(|cx| match ready!(link.poll_flush(cx)) {
        Ok(()) => link.poll_finish(cx),
        error => Poll::Ready(error),
    })
    .await;
}

/// Waits until the gateway has read to the end and closed.
///
/// What the gateway still sends is read and left alone: a socket closed with unread data is reset, and the reset may
/// overtake what was sent.
async fn drain(link: Rc<Link>) {
    let mut rest = vec![0; READ_SIZE];
    while poll_fn(|cx| link.poll_read(cx, &mut rest)).await.is_ok_and(|size| size > 0) {}
}
