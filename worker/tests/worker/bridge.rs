//! Futures that run on tokio.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use futures_lite::future;
use ringway_worker::{Client, Gateway, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, Link, sent};
use protocol::inner::Cmd;

/// A worker with one client's link.
struct Stage {
    worker: FakeWorker,
    link: Link,
    _fakes: (FakeGateway, FakeRegister),
}

impl Stage {
    fn set<F>(on_message: F) -> Stage
    where
        F: AsyncFn(&Gateway, &Client, Message, &Sender<String>) + Clone + Send + 'static,
    {
        let gateway = FakeGateway::start();
        let register = FakeRegister::start(&[&gateway]);
        let worker = FakeWorker::start(&register, on_message);
        let link = gateway.accept_worker();
        Stage { worker, link, _fakes: (gateway, register) }
    }
}

/// Tells when it is dropped.
struct Guard(Sender<String>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".to_owned());
    }
}

#[test]
fn a_future_on_tokio_holds_up_its_client_alone() {
    let open = Arc::new(Notify::new());
    let mut stage = Stage::set(async move |gateway: &Gateway, client: &Client, message: Message, _: &_| {
        let opened = Arc::clone(&open);
        match message.text().as_ref() {
            "open" => open.notify_one(),
            "wait" => gateway.tokio(async move { opened.notified().await }).await,
            _ => {}
        }
        gateway.send_to_client(client.id(), message);
    });
    for (client, text) in [(1, "wait"), (1, "behind"), (2, "echo"), (2, "open")] {
        stage.link.event(Cmd::OnMessage, client, text.as_bytes());
    }
    for (client, text) in [(2, "echo"), (2, "open"), (1, "wait"), (1, "behind")] {
        assert_eq!(sent(&stage.link.frame()), (5, client, 1, "", text));
    }
}

/// Sockets, timers and blocking work: what libraries find in a runtime.
#[test]
fn what_needs_tokio_finds_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(&question.map(|byte| byte + 1)).unwrap();
    });
    let mut stage = Stage::set(async move |gateway: &Gateway, client: &Client, message: Message, _: &_| {
        let asking = gateway.tokio(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(message.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            tokio::task::spawn_blocking(move || Ok(answer)).await?
        });
        let answer: std::io::Result<String> = asking.await;
        gateway.send_to_client(client.id(), answer.unwrap());
    });
    stage.link.message("HAL.");
    assert_eq!(stage.link.frame().body, b"IBM/");
    server.join().unwrap();
}

#[test]
fn its_threads_are_not_pinned_as_the_core_is() {
    let mut stage = Stage::set(async |gateway: &Gateway, client: &Client, _: Message, _: &_| {
        let place = || (std::thread::current().name().map(str::to_owned), program::allowed_cpus());
        let (core, (thread, cpus)) = (place().1, gateway.tokio(async move { place() }).await);
        let blocking =
            gateway.tokio(async move { tokio::task::spawn_blocking(place).await.unwrap().1 }).await;
        assert_eq!((core.len(), &blocking), (1, &cpus));
        gateway.send_to_client(client.id(), format!("{} {cpus:?}", thread.unwrap()));
    });
    stage.link.message("where?");
    assert_eq!(sent(&stage.link.frame()).4, format!("tokio {:?}", program::allowed_cpus()));
}

#[test]
fn a_panic_on_tokio_is_the_awaiting_handlers() {
    let mut stage =
        Stage::set(async |gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>| {
            if message.text() == "panic" {
                gateway.tokio(async { panic!("on tokio") }).await
            }
            tell.send(gateway.counters().panics.to_string()).unwrap();
            gateway.send_to_client(client.id(), message);
        });
    for (client, text) in [(1, "panic"), (1, "behind"), (2, "other")] {
        stage.link.event(Cmd::OnMessage, client, text.as_bytes());
    }
    // The panic takes its time: it is told of "other" only that it is served.
    let mut served: Vec<_> = (0..2).map(|_| stage.link.frame().connection_id).collect();
    served.sort_unstable();
    assert_eq!(served, [1, 2]);
    stage.worker.told();
    stage.worker.told();
    stage.link.message("count");
    assert_eq!(stage.worker.told(), "1");
}

#[test]
fn a_future_that_nobody_awaits_any_more_is_dropped() {
    let stage = Stage::set(async |gateway: &Gateway, _: &Client, message: Message, tell: &Sender<String>| {
        let (guard, begun) = (Guard(tell.clone()), Arc::new(Notify::new()));
        let begins = Arc::clone(&begun);
        let endless = gateway.tokio(async move {
            let _guard = guard;
            begins.notify_one();
            std::future::pending::<()>().await;
        });
        // Gives up when the future runs: awaited by another call, or dropped unawaited.
        let give_up = gateway.tokio(async move { begun.notified().await });
        match message.text().as_ref() {
            "race" => future::or(endless, give_up).await,
            _ => give_up.await,
        }
        tell.send("gave up".to_owned()).unwrap();
    });
    let Stage { worker, mut link, _fakes } = stage;
    for text in ["race", "drop"] {
        link.message(text);
        let mut told = [worker.told(), worker.told()];
        told.sort_unstable();
        assert_eq!(told, ["dropped", "gave up"]);
    }
}

/// With more calls under way than tokio has threads, from handlers of many clients and from spawned futures.
#[test]
fn many_calls_at_once_all_come_back() {
    const CLIENTS: u32 = 500;
    let mut stage = Stage::set(async |gateway: &Gateway, client: &Client, message: Message, _: &_| {
        let (id, spawned) = (client.id(), gateway.clone());
        gateway.spawn(async move {
            let text = spawned.tokio(async move { format!("spawned {}", message.text()) }).await;
            spawned.send_to_client(id, text);
        });
        let mut sum = 0;
        for part in [1, 2, 3] {
            sum += gateway
                .tokio(async move {
                    tokio::task::yield_now().await;
                    part
                })
                .await;
        }
        gateway.send_to_client(id, sum.to_string());
    });
    for client in 1..=CLIENTS {
        stage.link.event(Cmd::OnMessage, client, b"go");
    }
    let mut frames: Vec<_> = (0..2 * CLIENTS)
        .map(|_| stage.link.frame())
        .map(|frame| (frame.connection_id, String::from_utf8(frame.body).unwrap()))
        .collect();
    frames.sort_unstable();
    let expected =
        (1..=CLIENTS).flat_map(|client| [(client, "6".to_owned()), (client, "spawned go".to_owned())]);
    assert_eq!(frames, expected.collect::<Vec<_>>());
}

/// A future that waits is dropped; a thread that blocks is not waited for without end.
#[test]
fn tokio_ends_with_the_worker() {
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let released = Arc::new(std::sync::Mutex::new(Some(released)));
    let stage = Stage::set(async move |gateway: &Gateway, _: &Client, _: Message, tell: &Sender<String>| {
        let (spawned, tell) = (gateway.clone(), tell.clone());
        let released = released.lock().unwrap().take().unwrap();
        gateway.spawn(async move {
            let blocked = tokio::task::spawn_blocking;
            let begun = tell.clone();
            let guard = Guard(tell);
            spawned
                .tokio(async move {
                    let _guard = guard;
                    let blocked = blocked(move || {
                        begun.send("blocked".to_owned()).unwrap();
                        // Ends only after the worker has stopped.
                        released.recv().unwrap();
                    });
                    blocked.await.unwrap();
                })
                .await;
        });
    });
    let Stage { worker, mut link, _fakes } = stage;
    link.message("go");
    assert_eq!(worker.told(), "blocked");
    let (running, told) = worker.into_parts();
    let stopping = std::thread::spawn(move || running.stop());
    assert_eq!(told.recv().unwrap(), "stop");
    assert_eq!(told.recv().unwrap(), "dropped");
    assert_eq!(link.frame().body, b"bye");
    assert_eq!(link.receive(), None);
    drop(link);
    stopping.join().unwrap().unwrap();
    release.send(()).unwrap();
}
