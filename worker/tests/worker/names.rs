//! What a worker says of its run, and what it does when a gateway does not take it.

use protocol::inner::ext::WorkerConnect;
use protocol::inner::{Cmd, Hello, Refused, Run};

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, Link, echo};

fn run(link: &mut Link) -> Run {
    let frame = link.frame();
    assert_eq!(frame.cmd, Cmd::WorkerConnect as u8);
    let connect = WorkerConnect::decode(&frame.body).unwrap();
    assert_eq!((connect.worker_key.as_str(), connect.ringway), ("BW:0", true));
    connect.run.expect("a worker of ours says its run")
}

fn refuse(mut link: Link, refused: Refused) {
    link.event(Cmd::RingwayHello, 0, &Hello { refused: Some(refused), ..Hello::default() }.encode());
}

#[test]
fn a_run_is_the_same_at_all_gateways_and_another_for_another_worker() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let _worker = FakeWorker::start(&register, echo);
    let runs = gateways.each_ref().map(|gateway| run(&mut gateway.accept()));
    assert_eq!(runs[0], runs[1]);
    // It stays the same when a link is lost.
    assert_eq!(run(&mut gateways[0].accept()), runs[0]);
    let alone = FakeGateway::start();
    let _other = FakeWorker::start(&FakeRegister::start(&[&alone]), echo);
    assert_ne!(run(&mut alone.accept()), runs[0]);
}

/// Whatever the gateway has against it, the worker comes back until it is taken, and is served then as if nothing had been.
#[test]
fn a_refused_worker_tries_again_until_it_is_taken() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    for refused in [Refused::Name, Refused::NameLeaving, Refused::Key] {
        refuse(gateway.accept_worker(), refused);
    }
    let mut link = gateway.accept_worker();
    link.greet();
    link.message("taken");
    assert_eq!(link.frame().body, b"taken");
}
