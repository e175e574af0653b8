//! Futures that run beside the handlers.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use ringway_worker::{Client, Gateway, Message, Spawned, time};

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, sent};

/// Tells when it is dropped.
struct Guard(Sender<String>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send("dropped".to_owned()).unwrap();
    }
}

async fn spawner(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    let (spawned, client) = (gateway.clone(), client.id());
    match message.text().as_ref() {
        "later" => {
            gateway.spawn(async move {
                time::sleep(Duration::from_millis(1)).await;
                spawned.send_to_client(client, "later");
            });
        }
        "panic" => {
            gateway.spawn(async move {
                let _sent_while_unwinding = Farewell(spawned);
                panic!("told to");
            });
        }
        "cancel" => {
            let guard = Guard(tell.clone());
            let endless = gateway.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            assert!(!endless.is_over());
            endless.cancel();
            assert!(endless.is_over());
        }
        "timeout" => {
            let late = time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
            let ready = time::timeout(Duration::ZERO, std::future::ready(7)).await;
            tell.send(format!("{late:?} {ready:?}")).unwrap();
        }
        "every" => every(gateway, tell),
        "endless" => {
            let guard = Guard(tell.clone());
            gateway.spawn(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
        }
        "count" => tell.send(gateway.counters().panics.to_string()).unwrap(),
        _ => {}
    }
}

/// Tells how often it was done, panics the second time, and ends itself the fourth.
fn every(gateway: &Gateway, tell: &Sender<String>) {
    let (times, own) = (Cell::new(0), Rc::<OnceCell<Spawned>>::default());
    let (tell, itself, guard) = (tell.clone(), Rc::clone(&own), Guard(tell.clone()));
    let spawned = gateway.every(Duration::from_millis(1), async move || {
        let _guard = &guard;
        times.set(times.get() + 1);
        tell.send(times.get().to_string()).unwrap();
        match times.get() {
            2 => panic!("told to"),
            4 => itself.get().unwrap().cancel(),
            _ => {}
        }
    });
    own.set(spawned).unwrap();
}

/// Says when it is dropped, by a message.
struct Farewell(Gateway);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.send_to_all("farewell");
    }
}

#[test]
fn it_goes_on_after_the_handler() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("later");
    assert_eq!(sent(&link.frame()), (5, 1, 1, "", "later"));
}

#[test]
fn its_panic_is_counted_and_ends_nothing_else() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("panic");
    assert_eq!(link.frame().body, b"farewell");
    link.message("count");
    assert_eq!(worker.told(), "1");
}

#[test]
fn it_ends_with_the_core_and_after_on_stop() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("endless");
    link.message("count");
    assert_eq!(worker.told(), "0");
    let (running, told) = worker.into_parts();
    let stopping = std::thread::spawn(move || running.stop());
    assert_eq!(told.recv().unwrap(), "stop");
    assert_eq!(told.recv().unwrap(), "dropped");
    assert_eq!(link.frame().body, b"bye");
    assert_eq!(link.receive(), None);
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn it_ends_when_it_is_cancelled() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("cancel");
    assert_eq!(worker.told(), "dropped");
}

#[test]
fn what_happens_again_and_again_survives_its_panic_and_ends_when_cancelled() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("every");
    for told in ["1", "2", "3", "4", "dropped"] {
        assert_eq!(worker.told(), told);
    }
    link.message("count");
    assert_eq!(worker.told(), "1");
}

#[test]
fn a_future_gets_no_longer_than_it_is_given() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, spawner);
    let mut link = gateway.accept_worker();
    link.message("timeout");
    assert_eq!(worker.told(), "None Some(7)");
}
