//! The bridge to tokio: futures that need a tokio runtime run in one beside the cores, and handlers await them.
//!
//! Owns that runtime, one for all cores of a worker, started when it is first asked for. Nothing of a core ever runs
//! on its threads: they get a future and give back a value.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::Gateway;
use crate::config::{TOKIO_BLOCKING_THREADS_MAX, TOKIO_STOP_TIMEOUT, TOKIO_THREADS};

/// A core's way to the runtime.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    shared: Arc<Shared>,
    /// Known from this core's first call on: later ones take no lock.
    handle: OnceLock<Handle>,
}

/// What the cores share: the runtime, from the first call to the worker's stop.
#[derive(Debug)]
struct Shared {
    /// Where its threads may run.
    cpus: Vec<usize>,
    runtime: Mutex<Option<Runtime>>,
}

impl Bridge {
    /// Starts nothing yet. `cpus` are those that the process may use; its cores are pinned, these threads are not.
    pub(crate) fn new(cpus: &[usize]) -> Bridge {
        let shared = Shared { cpus: cpus.to_vec(), runtime: Mutex::default() };
        Bridge { shared: Arc::new(shared), handle: OnceLock::new() }
    }

    /// Drops the futures that still run, where they wait. One that computes or blocks is waited for until
    /// [`TOKIO_STOP_TIMEOUT`], and left to the end of the process.
    pub(crate) fn stop(&self) {
        let runtime = lock(&self.shared.runtime).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(TOKIO_STOP_TIMEOUT);
        }
    }

    fn handle(&self) -> &Handle {
        self.handle.get_or_init(|| {
            let mut runtime = lock(&self.shared.runtime);
            runtime.get_or_insert_with(|| self.shared.start()).handle().clone()
        })
    }
}

impl Shared {
    fn start(&self) -> Runtime {
        let cpus = self.cpus.clone();
        let mut builder = Builder::new_multi_thread();
        // tokio's own variable, which its builder reads.
        if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
            builder.worker_threads(TOKIO_THREADS);
        }
        builder
            .max_blocking_threads(TOKIO_BLOCKING_THREADS_MAX)
            .thread_name("tokio")
            // The first is started by a core, and would share its CPU with nobody but that core.
            .on_thread_start(move || program::run_on(&cpus))
            .enable_all()
            .build()
            .unwrap_or_else(|error| panic!("tokio cannot start: {error}"))
    }
}

/// Threads are left behind rather than waited for: this may be dropped on a core.
impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}

impl Gateway {
    /// Runs `future` on tokio, and gives its value to whoever awaits what this returns. The core goes on meanwhile.
    ///
    /// For libraries that need tokio: sqlx, reqwest, redis, async-nats, … Called in a handler without this, they panic
    /// ("there is no reactor running"), which costs the event; the log then says so. One small runtime serves all cores of the
    /// worker: 2 threads, or as many as the environment's `TOKIO_WORKER_THREADS` says, on no particular CPU, and up to
    /// 64 more while there is blocking work. It starts with the first call, and ends with the worker, which waits at
    /// most a second for it. There and back takes some 25 µs (`cargo run --release -p ringway-worker --features tokio
    /// --example tokio_latency`).
    ///
    /// The future begins at once. If what this returns is dropped, the future is dropped too, at its next `await`. A panic
    /// in it goes on in the handler that awaits it, where it is caught, logged and counted as any other.
    ///
    /// ```no_run
    /// use ringway_worker::{Client, Events, Gateway, Message};
    /// use tokio::{io::AsyncReadExt, net::TcpStream};
    ///
    /// struct Fetch;
    ///
    /// impl Events for Fetch {
    ///     async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
    ///         let address = message.text().into_owned();
    ///         let fetched = gateway.tokio(async move {
    ///             let mut text = String::new();
    ///             TcpStream::connect(address).await?.take(1000).read_to_string(&mut text).await?;
    ///             Ok::<_, std::io::Error>(text)
    ///         });
    ///         match fetched.await {
    ///             Ok(text) => gateway.send_to_client(client.id(), text),
    ///             Err(error) => gateway.send_to_client(client.id(), error.to_string()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    /// The system refuses threads or descriptors for the runtime. In a handler this costs one event, and the next call
    /// tries again.
    pub fn tokio<F>(&self, future: F) -> Bridged<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Bridged { task: self.shared().bridge.handle().spawn(future) }
    }
}

/// The value of a future that runs on tokio: see [`Gateway::tokio`].
#[must_use = "the future is dropped with it"]
#[derive(Debug)]
pub struct Bridged<T> {
    task: JoinHandle<T>,
}

impl<T> Future for Bridged<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(value)) => Poll::Ready(value),
            // Nobody but the drop of this cancels it, so it has panicked.
            Poll::Ready(Err(error)) => resume_unwind(error.into_panic()),
        }
    }
}

impl<T> Drop for Bridged<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked while it held the lock, what is behind it is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
