//! Links that come and go.

use protocol::inner::Cmd;

use crate::fake::{FakeGateway, FakeRegister, FakeWorker, config, echo};

#[test]
fn a_lost_gateway_is_connected_again() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    drop(gateway.accept_worker());
    let mut link = gateway.accept_worker();
    link.message("again");
    assert_eq!(link.frame().body, b"again");
}

#[test]
fn bytes_that_are_no_frame_cost_only_their_link() {
    let bad = FakeGateway::start();
    let good = FakeGateway::start();
    let register = FakeRegister::start(&[&bad, &good]);
    let _worker = FakeWorker::start(&register, echo);
    let mut bad_link = bad.accept_worker();
    let mut good_link = good.accept_worker();
    bad_link.message("before");
    assert_eq!(bad_link.frame().body, b"before");
    bad_link.write(&[0xff; 64]);
    assert_eq!(bad_link.next(), None);
    good_link.message("fine");
    assert_eq!(good_link.frame().body, b"fine");
    bad.accept_worker();
}

#[test]
fn a_gateway_that_left_the_list_keeps_its_link() {
    let first = FakeGateway::start();
    let second = FakeGateway::start();
    let register = FakeRegister::start(&[&first]);
    let _worker = FakeWorker::start(&register, echo);
    let mut first_link = first.accept_worker();
    register.list(&[&second]);
    let mut second_link = second.accept_worker();
    for link in [&mut first_link, &mut second_link] {
        link.message("still here");
        assert_eq!(link.frame().body, b"still here");
    }
    // Once it is lost, it is given up until it is listed again.
    drop(first_link);
    register.list(&[&first, &second]);
    first.accept_worker();
}

#[test]
fn a_restarted_register_costs_no_link() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    register.line();
    let mut link = gateway.accept_worker();
    register.list(&[]);
    register.drop_workers();
    register.line();
    link.message("kept");
    assert_eq!(link.frame().body, b"kept");
}

#[test]
fn gateways_of_all_registers_are_served() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let registers = [FakeRegister::start(&[&gateways[0]]), FakeRegister::start(&[&gateways[1]])];
    let _worker = FakeWorker::start_with(config(&[&registers[0], &registers[1]]), echo);
    for gateway in &gateways {
        gateway.accept_worker();
    }
    // The other register's list does not matter for the link of the first one's gateway.
    registers[1].list(&[]);
    gateways[0].accept_worker();
}

#[test]
fn no_gateway_is_ready_too() {
    let register = FakeRegister::start(&[]);
    let worker = FakeWorker::start(&register, echo);
    worker.running.stop().unwrap();
}

#[test]
fn a_full_queue_drops_commands_and_goes_on() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let mut settings = config(&[&register]);
    settings.send_to_gateway_buffer_size = 1000;
    let worker = FakeWorker::start_with(
        settings,
        async |gateway: &ringway_worker::Gateway,
               client: &ringway_worker::Client,
               _: ringway_worker::Message,
               tell: &std::sync::mpsc::Sender<String>| {
            for _ in 0..10 {
                gateway.send_to_client(client.id(), vec![b'x'; 500]);
            }
            tell.send(format!("{}", gateway.counters().commands_dropped)).unwrap();
        },
    );
    let mut link = gateway.accept_worker();
    link.message("go");
    // Two fit below the limit and take the queue beyond it.
    assert_eq!(worker.told(), "8");
    for _ in 0..2 {
        assert_eq!(link.frame().cmd, Cmd::SendToOne as u8);
    }
    link.message("go");
    assert_eq!(worker.told(), "16");
    assert_eq!(link.frame().cmd, Cmd::SendToOne as u8);
}

#[test]
fn a_gateway_that_does_not_read_is_not_read_either() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let mut settings = config(&[&register]);
    settings.send_to_gateway_buffer_size = 1_000_000;
    let worker = FakeWorker::start_with(settings, echo);
    let mut link = gateway.accept_worker();
    let mut writer = link.duplicate();
    let (done, written) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for number in 0..MESSAGES {
            writer.message(&format!("{number:010000}"));
        }
        done.send(()).unwrap();
    });
    // Until all is written, or nothing moves any more because the worker has stopped reading.
    let _ = written.recv_timeout(std::time::Duration::from_secs(1));
    for number in 0..MESSAGES {
        assert!(link.frame().body == format!("{number:010000}").into_bytes(), "message {number} is missing");
    }
    worker.running.stop().unwrap();
}

/// 30 MB in all: more than the kernel keeps for two sockets.
const MESSAGES: usize = 3_000;
