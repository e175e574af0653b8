//! Broadcasts through a register and a gateway that the test plays.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use protocol::client::Protocol;
use protocol::client::text::Text;
use protocol::inner::ext::ClientConnect;
use protocol::inner::{self, Cmd};
use protocol::register::{Broadcast, Request};

use crate::server::listen;
use crate::{plan, run};

fn register(secret_key: &'static str, gateways: Vec<String>) -> SocketAddr {
    listen(move |mut stream| {
        let mut line = vec![0; 4096];
        let size = stream.read(&mut line).unwrap();
        let request = Request::decode(&line[..size]).unwrap();
        if request == (Request::WorkerConnect { secret_key: secret_key.to_owned() }) {
            let mut answer = Vec::new();
            Broadcast { addresses: gateways.clone() }.encode(&mut answer);
            stream.write_all(&answer).unwrap();
            let _ = stream.read(&mut line);
        }
    })
}

/// A gateway with text clients, and its inner port. It wants the key before anything else.
fn gateway(secret_key: &'static str) -> (SocketAddr, SocketAddr) {
    let clients: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let all = Arc::clone(&clients);
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
                    Some(Cmd::SendToAll) if authorized => {
                        let mut message = Vec::new();
                        Text.encode(frame.body, Default::default(), &mut message);
                        all.lock().unwrap().iter_mut().for_each(|client| client.write_all(&message).unwrap());
                    }
                    other => panic!("{other:?}"),
                }
                input.drain(..size);
            }
        }
    });
    let outer = listen(move |stream| clients.lock().unwrap().push(stream));
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
    let fanout = report.fanout.unwrap();
    assert_eq!((fanout.broadcasts, fanout.complete, fanout.deliveries), (10, 10, 200));
    assert_eq!((fanout.error, report.measured.strays), (None, 0));
    let last = fanout.last_receiver_us.unwrap();
    assert!(last.count == 10 && last.min > 0.0 && fanout.deliveries_per_second > 0.0);
    assert_eq!(report.latency_us.unwrap().count, 200);
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
