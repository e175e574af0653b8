//! Time, in handlers and spawned futures: waiting holds up neither the core nor other clients.
//!
//! What is to happen again and again is for [`Gateway::every`](crate::Gateway::every).

use std::time::Duration;

use futures_lite::future::or;

use crate::runtime;

/// Waits this long.
///
/// # Panics
/// It is polled on a thread that is no core of a worker.
pub async fn sleep(duration: Duration) {
    runtime::sleep(duration).await;
}

/// Gives a future this long. `None`: it took longer, and was dropped.
///
/// ```no_run
/// # use ringway_worker::{ClientId, Gateway, time};
/// # async fn example(gateway: &Gateway, client: ClientId) {
/// match time::timeout(std::time::Duration::from_millis(200), gateway.is_online(client)).await {
///     Some(answer) => println!("{answer:?}"),
///     None => println!("too late"),
/// }
/// # }
/// ```
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    // The future is looked at first: one that is ready in the same moment is not too late.
    or(async { Some(future.await) }, async {
        sleep(limit).await;
        None
    })
    .await
}
