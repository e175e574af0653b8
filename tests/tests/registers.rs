//! What is said of a register address that is wrong, and of a secret key that the register does not know: one line that says
//! what to look at, and "registered" only when it is true.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster};

/// What is at the wrong port.
#[derive(Clone, Copy, Debug)]
enum Stranger {
    /// Answers a request that it does not understand, and closes.
    Http,
    /// Speaks first.
    Ssh,
    /// Takes whatever comes and says nothing.
    Mute,
    /// Closes what it does not understand: a register with another key, or an inner port.
    Shut,
}

impl Stranger {
    fn start(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || self.serve(stream));
            }
        });
        address
    }

    fn serve(self, mut stream: TcpStream) {
        let mut buffer = [0; 1024];
        if let Stranger::Ssh = self {
            // Whoever has gone need not hear it.
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
        }
        while let Ok(size) = stream.read(&mut buffer)
            && size > 0
        {
            match self {
                Stranger::Http => {
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
                    return;
                }
                Stranger::Shut => return,
                Stranger::Ssh | Stranger::Mute => {}
            }
        }
    }

    fn log_line(self) -> &'static str {
        match self {
            Stranger::Http => "this is no register, it says \"HTTP/1.1 400 Bad Request\"",
            Stranger::Ssh => "this is no register, it says \"SSH-2.0-OpenSSH_9.2p1 Debian-2\"",
            Stranger::Mute => "this is no register, it does not answer",
            Stranger::Shut => {
                "it closes the connection without an answer, as a register does when the secret key is not its own"
            }
        }
    }
}

fn gateway(register: SocketAddr, key: &str) -> Process {
    let ip = ringway_tests::own_address();
    let (ip, listen, register) = (ip.to_string(), format!("websocket://{ip}:8282"), register.to_string());
    let flags = ["--listen", &listen, "--lan-ip", &ip, "--count", "2", "--register-address", &register];
    let flags = [&flags[..], &["--secret-key", key]].concat();
    let flags: Vec<String> = flags.into_iter().map(str::to_owned).collect();
    Process::start("gateway", "gateway", &flags)
}

fn worker(register: SocketAddr, key: &str) -> Process {
    let register = register.to_string();
    let flags = ["--app", "echo", "--count", "2", "--register-address", &register, "--secret-key", key];
    Process::start("worker", "worker", &flags.map(str::to_owned))
}

fn count(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

/// Each core and shard finds the same, and tries again; the log has one line of it, and no success.
fn assert_logged_once(mut process: Process, what: &str, kind: &str) {
    wait_until(&format!("'{what}' in the log of {kind}"), || process.stderr().contains(what).then_some(()));
    process.stop();
    let said = process.stderr();
    assert_eq!(count(&said, what), 1, "{said}");
    assert_eq!(count(&said, "registered register") + count(&said, "connected to register"), 0, "{said}");
    assert_eq!(count(&said, "lost"), 0, "{said}");
}

#[test]
fn a_register_that_is_none_is_named_by_what_it_says() {
    let strangers = [Stranger::Http, Stranger::Ssh, Stranger::Mute, Stranger::Shut];
    let processes = strangers.map(|stranger| {
        let address = stranger.start();
        (stranger, gateway(address, "k"), worker(address, "k"))
    });
    for (stranger, gateway, worker) in processes {
        assert_logged_once(gateway, stranger.log_line(), &format!("gateway at {stranger:?}"));
        assert_logged_once(worker, stranger.log_line(), &format!("worker at {stranger:?}"));
    }
}

/// Ports of a gateway, mistaken for the register's.
#[test]
fn a_gateways_own_ports_are_no_register() {
    let cluster = Cluster::builder().workers(0).start();
    let inner = cluster.inner_address(0, 0).into();
    assert_logged_once(worker(inner, ""), Stranger::Shut.log_line(), "worker at an inner port");
    let client = cluster.address(0, ringway_tests::Listen::Websocket);
    assert_logged_once(worker(client, ""), "this is no register", "worker at a client port");
    cluster.stop();
}

#[test]
fn a_wrong_secret_key_is_named_once_and_the_right_one_is_taken() {
    let mut cluster = Cluster::builder().workers(0).secret_key("right").start();
    let register = cluster.register_address().into();
    let what = Stranger::Shut.log_line();
    let (bad_gateway, bad_worker) = (gateway(register, "wrong"), worker(register, "wrong"));
    assert_logged_once(bad_gateway, what, "a gateway with a wrong key");
    assert_logged_once(bad_worker, what, "a worker with a wrong key");
    let said = cluster.gateway(0).stderr();
    assert_eq!(count(&said, "registered"), 1, "{said}");
    let mut good = worker(register, "right");
    good.await_ready("worker");
    cluster.websocket(0).echo("served");
    good.stop();
    let said = good.stderr();
    assert_eq!(count(&said, "connected to register"), 1, "{said}");
    wait_until("the gateway to say that its worker has gone", || {
        cluster.gateway(0).stderr().contains("worker gone, it has handed its clients over").then_some(())
    });
    let said = cluster.gateway(0).stderr();
    assert_eq!([count(&said, "worker connected"), count(&said, "worker gone")], [1, 1], "{said}");
    cluster.stop();
}

/// Without the key nobody can see to it that a gateway serves alone, but an operator has to know it.
#[test]
fn a_gateway_without_workers_says_so_and_who_was_refused() {
    let mut cluster = Cluster::builder().shards(2).workers(0).secret_key("right").start();
    let alone = "no worker is connected: clients wait";
    wait_until("the gateway to say that it is alone", || {
        cluster.gateway(0).stderr().contains(alone).then_some(())
    });
    cluster.start_worker(0);
    wait_until("the gateway to say that it is not", || {
        cluster.gateway(0).stderr().contains("workers are connected to all shards").then_some(())
    });
    let said = cluster.gateway(0).stderr();
    assert_eq!([count(&said, alone), count(&said, "worker connected")], [1, 1], "{said}");
    let mut twin = {
        let register = cluster.register_address().to_string();
        let flags = ["--app", "echo", "--count", "1", "--name", "worker0", "--register-address", &register];
        let flags = [&flags[..], &["--secret-key", "right"]].concat();
        Process::start("twin", "worker", &flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
    };
    wait_until("the gateway to say who was refused", || {
        cluster.gateway(0).stderr().contains("a worker was refused, another of its name").then_some(())
    });
    twin.kill();
    let mut intruder = TcpStream::connect(cluster.inner_address(0, 0)).expect("the inner port is open");
    let mut frame = Vec::new();
    let body = protocol::inner::ext::ClientConnect { secret_key: Some("wrong".to_owned()) }.encode();
    let cmd = protocol::inner::Cmd::GatewayClientConnect;
    protocol::inner::Frame { body: &body, ..protocol::inner::Frame::command(cmd) }.encode(&mut frame);
    intruder.write_all(&frame).expect("it is read");
    wait_until("the gateway to say that the key was wrong", || {
        cluster.gateway(0).stderr().contains("not this gateway's secret key").then_some(())
    });
    cluster.stop();
}
