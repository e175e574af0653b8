use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use axum::routing::get;
use serde_json::Value;

use super::*;
use crate::{Address, Admin, Instance};

const TOKEN: &str = "of the cluster";

fn serve(token: Option<&str>, instance: Instance) -> Admin {
    Admin::serve("127.0.0.1:0".parse().unwrap(), token, instance).unwrap()
}

/// The admin address of a gateway, and the orders that it gets.
fn gateway() -> (Admin, Receiver<Order>) {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let instance = Instance::new("gateway", "1.2.3", Vec::new()).with_orders(move |order| {
        tell.lock().unwrap().send(order).unwrap();
        Ok(format!("told to {}", order.word()))
    });
    (serve(Some(TOKEN), instance), told)
}

/// The admin address of a register that knows of these.
fn register(token: Option<&str>, members: &[SocketAddr]) -> Admin {
    let members: Members = members.iter().map(|at| (*at, "gateway")).collect();
    let routes = Router::new().route("/uid/{uid}", get(|| async { "here" }));
    let cluster = Cluster::new(move || Ok(members.clone()), routes);
    let instance = Instance::new("register", "1.2.3", Vec::new());
    Admin::serve_cluster(Address(([127, 0, 0, 1], 0).into()), token, instance, cluster).unwrap()
}

/// The status and the body.
fn ask(at: SocketAddr, what: &str, head: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "{what} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: 0\r\n{head}\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let (status, body) = crate::fetch::split(&answer).unwrap();
    (status, serde_json::from_slice(body).unwrap_or(Value::Null))
}

const BEARER: &str = "Authorization: Bearer of the cluster\r\n";

/// Somebody who answers this, and what he is asked.
fn impostor(answer: &'static [u8]) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (tell, told) = channel();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let size = stream.read(&mut asked).unwrap();
            // Who has given up does not read all.
            let _ = stream.write_all(answer);
            let asked = String::from_utf8_lossy(&asked[..size]).into_owned();
            if tell.send(asked).is_err() {
                return;
            }
        }
    });
    (at, told)
}

#[test]
fn a_register_shows_its_members_and_what_is_wrong_with_the_others() {
    let ((gateway, _), other) = (gateway(), serve(Some("another"), Instance::new("worker", "1", Vec::new())));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (nonsense, _told) = impostor(b"HTTP/1.1 200 OK\r\n\r\n{\"id\":1}");
    let register = register(Some(TOKEN), &[gateway.address(), other.address(), gone, nonsense]);
    let (status, shown) = ask(register.address(), "GET /cluster", BEARER);
    assert_eq!((status, &shown["program"], &shown["may_act"]), (200, &"register".into(), &true.into()));
    let members = shown["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["here"]), (5, &true.into()));
    let of = |at: SocketAddr| members.iter().find(|member| member["id"] == at.to_string()).unwrap();
    assert_eq!(of(gateway.address())["report"]["process"]["version"], "1.2.3");
    assert_eq!(
        (&of(gateway.address())["here"], &of(gateway.address())["ready"]),
        (&false.into(), &true.into())
    );
    for (at, problem) in [
        (other.address(), "has another --admin-token"),
        (gone, "does not listen there: give it --admin 127.0.0.1:"),
        (nonsense, "answers something else"),
    ] {
        let told = of(at)["problem"].as_str().unwrap();
        assert!(told.contains(problem) && of(at)["report"].is_null(), "{told}");
    }
}

#[test]
fn who_names_a_port_of_his_own_learns_nothing_that_is_of_use() {
    let (gateway, _) = gateway();
    let (impostor, told) = impostor(b"HTTP/1.1 401 Unauthorized\r\n\r\n");
    let register = register(Some(TOKEN), &[gateway.address(), impostor]);
    ask(register.address(), "GET /cluster", BEARER);
    let asked = told.recv().unwrap();
    assert!(!asked.contains(TOKEN), "{asked}");
    let proof = asked.lines().find(|line| line.starts_with("Authorization: ")).unwrap();
    assert_eq!(
        ask(gateway.address(), "GET /member", &format!("{proof}\r\n")).0,
        401,
        "it is for another address"
    );
    assert_eq!(ask(register.address(), "GET /cluster", &format!("{proof}\r\n")).0, 401);
}

#[test]
fn an_answer_without_end_is_not_kept() {
    static LONG: [u8; 3 << 20] = {
        let mut long = [b'x'; 3 << 20];
        let head = b"HTTP/1.1 200 OK\r\n\r\n";
        let mut at = 0;
        while at < head.len() {
            long[at] = head[at];
            at += 1;
        }
        long
    };
    let (impostor, _told) = impostor(&LONG);
    let register = register(Some(TOKEN), &[impostor]);
    let (_, shown) = ask(register.address(), "GET /cluster", BEARER);
    assert_eq!(shown["members"][1]["problem"], "answers more than 1024 KiB");
}

#[test]
fn however_many_look_members_are_asked_once_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let register = register(Some(TOKEN), &[listener.local_addr().unwrap()]);
    let ((tell, told), (release, released)) = (channel(), channel::<()>());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            tell.send(()).unwrap();
            let _ = released.recv();
            stream.write_all(b"HTTP/1.1 503 No\r\n\r\n").unwrap();
        }
    });
    let (at, begun) = (register.address(), Instant::now());
    let look = || thread::spawn(move || ask(at, "GET /cluster", BEARER));
    let first = look();
    told.recv().unwrap();
    // They come while it is asked, and have its answer, too.
    let others: Vec<_> = (0..15).map(|_| look()).collect();
    drop(release);
    for viewer in others.into_iter().chain([first]) {
        assert_eq!(viewer.join().unwrap().1["members"][1]["problem"], "answers with the status 503");
    }
    assert!(told.try_iter().count() as u64 <= begun.elapsed().as_secs());
}

#[test]
fn orders_go_on_to_the_gateway_that_is_named() {
    let (gateway, orders) = gateway();
    let worker = serve(Some(TOKEN), Instance::new("worker", "1", Vec::new()));
    let stranger = serve(Some(TOKEN), Instance::new("gateway", "1", Vec::new()));
    let register = register(Some(TOKEN), &[gateway.address(), worker.address()]);
    let order = |at: &str, word: &str, head: &str| {
        let (status, said) = ask(register.address(), &format!("POST /member/{at}/{word}"), head);
        (status, said["done"].as_str().or(said["error"].as_str()).unwrap_or_default().to_owned())
    };
    let at = gateway.address().to_string();
    assert_eq!(order(&at, "drain", BEARER), (200, "told to drain".to_owned()));
    assert_eq!(orders.recv().unwrap(), Order::Drain);
    assert_eq!(order(&worker.address().to_string(), "drain", BEARER).0, 404);
    let own = register.address().to_string();
    assert_eq!(order(&own, "drain", BEARER), (404, "this program is no gateway".to_owned()));
    for (status, why, at, word, head) in [
        (404, "cordon, uncordon and drain", at.as_str(), "explode", BEARER.to_owned()),
        (400, "a member is named by its admin address", "gateway", "drain", BEARER.to_owned()),
        (502, "no such member", &stranger.address().to_string(), "drain", BEARER.to_owned()),
        (403, "a page from elsewhere", &at, "drain", format!("{BEARER}Origin: http://evil.example\r\n")),
        (401, "say the --admin-token", &at, "drain", String::new()),
    ] {
        let (told, said) = order(at, word, &head);
        assert!(told == status && said.contains(why), "{told} {said}");
    }
    assert!(orders.try_recv().is_err(), "nobody else was heard");
}

#[test]
fn without_a_token_a_register_shows_and_does_nothing() {
    let member = serve(None, Instance::new("gateway", "1", Vec::new()));
    let register = register(None, &[member.address()]);
    let (_, shown) = ask(register.address(), "GET /cluster", "");
    assert_eq!(shown["members"][1]["ready"], true);
    assert_eq!(
        (&shown["may_act"], &shown["why_not"]),
        (&false.into(), &"start this program with --admin-token".into())
    );
    for what in ["GET /uid/alice", "POST /drain", &format!("POST /member/{}/drain", member.address())] {
        assert_eq!(ask(register.address(), what, "").0, 403, "{what}");
    }
    assert_eq!(ask(member.address(), "POST /drain", "").0, 403);
    // What is of a register is nowhere else.
    let (_, shown) = ask(member.address(), "GET /cluster", "");
    assert_eq!((&shown["may_act"], &shown["why_not"]), (&false.into(), &"open the register's page".into()));
}
