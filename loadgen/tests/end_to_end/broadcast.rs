//! Broadcasts and rooms through a register and gateways that the test plays.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use protocol::client::Protocol;
use protocol::client::text::Text;
use protocol::inner::ext::{ClientConnect, GroupTargets};
use protocol::inner::{self, Cmd, Frame, reply};
use protocol::php::{self, Array, Value};
use protocol::register::{Broadcast, Request};

use crate::server::listen;
use crate::{plan, run};

fn register(secret_key: &'static str, gateways: Vec<String>) -> SocketAddr {
    listen(move |mut stream| {
        let mut line = vec![0; 4096];
        let size = stream.read(&mut line).unwrap();
        let request = Request::decode(&line[..size]).unwrap();
        if request == (Request::WorkerConnect { secret_key: secret_key.to_owned(), admin: None }) {
            let mut answer = Vec::new();
            Broadcast { addresses: gateways.clone() }.encode(&mut answer);
            stream.write_all(&answer).unwrap();
            let _ = stream.read(&mut line);
        }
    })
}

/// What a gateway knows. Client number `i` has connection id `i + 1`.
#[derive(Default)]
struct Gateway {
    clients: Vec<TcpStream>,
    groups: HashMap<Vec<u8>, Vec<usize>>,
}

impl Gateway {
    fn command(&mut self, cmd: Option<Cmd>, frame: &Frame<'_>, link: &mut TcpStream) {
        let mut message = Vec::new();
        Text.encode(frame.body, Default::default(), &mut message);
        match cmd {
            Some(Cmd::SendToAll) => {
                self.clients.iter_mut().for_each(|client| client.write_all(&message).unwrap());
            }
            Some(Cmd::SendToGroup) => {
                for group in GroupTargets::decode(frame.ext).unwrap().groups {
                    for &member in self.groups.get(&group).into_iter().flatten() {
                        self.clients[member].write_all(&message).unwrap();
                    }
                }
            }
            Some(Cmd::JoinGroup) => {
                self.groups.entry(frame.ext.to_vec()).or_default().push(frame.connection_id as usize - 1);
            }
            Some(Cmd::Select) => {
                let mut found = Array::new();
                for id in 1..=self.clients.len() {
                    found.insert(id as i64, Array::new());
                }
                answer(&Value::from(found), link);
            }
            Some(Cmd::IsOnline) => answer(&Value::from(0), link),
            other => panic!("{other:?}"),
        }
    }
}

fn answer(value: &Value, link: &mut TcpStream) {
    let mut bytes = Vec::new();
    reply::encode(&php::to_bytes(value), &mut bytes);
    link.write_all(&bytes).unwrap();
}

/// A gateway with text clients, and its inner port. It wants the key before anything else.
fn gateway(secret_key: &'static str) -> (SocketAddr, SocketAddr) {
    let gateway: Arc<Mutex<Gateway>> = Arc::default();
    let inner_side = Arc::clone(&gateway);
    let inner = listen(move |mut link| {
        let (mut input, mut buffer, mut authorized) = (Vec::new(), [0; 4096], false);
        while let Ok(size @ 1..) = link.read(&mut buffer) {
            input.extend_from_slice(&buffer[..size]);
            while let Some((frame, size)) = inner::decode(&input, inner::FRAME_SIZE_MAX).unwrap() {
                match Cmd::from_u8(frame.cmd) {
                    Some(Cmd::GatewayClientConnect) => {
                        let key = ClientConnect::decode(frame.body).unwrap().secret_key;
                        authorized = key.as_deref() == Some(secret_key);
                    }
                    cmd => {
                        assert!(authorized, "{cmd:?}");
                        inner_side.lock().unwrap().command(cmd, &frame, &mut link);
                    }
                }
                input.drain(..size);
            }
        }
    });
    let outer = listen(move |stream| gateway.lock().unwrap().clients.push(stream));
    (outer, inner)
}

#[test]
fn everybody_receives_every_broadcast() {
    let (clients, inner) = gateway("k3y");
    let register = register("k3y", vec![inner.to_string()]);
    let report = run(&format!(
        "--target text://{clients} --conns 20 --count 2 --scenario broadcast --rate 20 --hold 0.5 \
         --register {register} --secret-key k3y"
    ));
    let fanout = report.first().fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (10, 10, 200));
    assert_eq!((fanout.error.as_ref(), report.first().measured.strays), (None, 0));
    let last = fanout.last_receiver_us.as_ref().unwrap();
    assert!(last.count == 10 && last.min > 0.0 && fanout.deliveries_per_second > 0.0);
    assert_eq!(report.first().latency_us.as_ref().unwrap().count, 200);
}

/// Bursts leave at once, each message by a name of its own; then the same clients are broadcast to once more.
#[test]
fn bursts_and_what_follows() {
    let (clients, inner) = gateway("k3y");
    let register = register("k3y", vec![inner.to_string()]);
    let report = run(&format!(
        "--target text://{clients} --conns 5 --scenario broadcast --rate 40 --burst 4 --hold 0.5 --drain 20 \
         --then broadcast,hold=0.2,size=100 --then idle,hold=0.05 --register {register} --secret-key k3y"
    ));
    let [bursts, once, idle] = report.steps.as_slice() else { panic!("three steps: {report}") };
    let (bursts, once) = (bursts.fanout.as_ref().unwrap(), once.fanout.as_ref().unwrap());
    assert_eq!((bursts.messages, bursts.complete, bursts.deliveries), (20, 20, 100));
    assert_eq!((once.messages, once.complete, report.first().measured.strays), (1, 1, 0));
    let [each] = once.broadcasts.as_slice() else { panic!("one broadcast") };
    assert_eq!((each.delivered, each.expected, each.last_receiver_us.is_some()), (5, 5, true));
    assert!(idle.fanout.is_none() && bursts.broadcasts.len() == 20);
}

/// Two gateways, so that rooms reach over both: 4 rooms of 2 and one of 1.
#[test]
fn rooms_receive_what_is_theirs() {
    let (first, second) = (gateway("k3y"), gateway("k3y"));
    let register = register("k3y", vec![first.1.to_string(), second.1.to_string()]);
    let report = run(&format!(
        "--target text://{},text://{} --conns 9 --scenario rooms --room-size 2 --rate 100 --hold 0.5 \
         --register {register} --secret-key k3y",
        first.0, second.0
    ));
    let fanout = report.first().fanout.as_ref().unwrap();
    assert_eq!((fanout.messages, fanout.complete, fanout.deliveries), (50, 50, 90));
    assert_eq!((fanout.error.as_ref(), report.first().measured.strays), (None, 0));
    assert_eq!(
        (fanout.last_receiver_us.as_ref().unwrap().count, report.first().latency_us.as_ref().unwrap().count),
        (50, 90)
    );
}

#[test]
fn what_is_missing_is_said() {
    let error = |register: SocketAddr| {
        let plan = plan(&format!("--target text://{register} --scenario broadcast --register {register}"));
        loadgen::run(plan, || false, |_| {}).unwrap_err().to_string()
    };
    assert!(error(register("", Vec::new())).contains("knows no gateway"));
    assert!(error(register("other", Vec::new())).contains("--secret-key"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(error(register("", vec![nobody.to_string()])).contains(&format!("gateway {nobody}")));
    assert!(error(nobody).contains(&format!("register {nobody}")));
}
