//! What a gateway tells its worker about a client, and what it does to a client when the worker says so. The test
//! plays the worker.

use std::net::SocketAddr;

use protocol::inner::{Cmd, FLAG_RAW, FLAG_SCALAR, Frame, WebsocketRequest};
use protocol::php::Value;
use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{self, Event, WebsocketClient};
use ringway_tests::peer::{Link, Received};
use ringway_tests::{Clients, Cluster, Listen};

/// One gateway and a link to it in the place of a worker.
fn gateway_and_worker() -> (Cluster, Link) {
    let cluster = Cluster::builder().workers(0).listen(&Listen::ALL).start();
    let worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    (cluster, worker)
}

/// Asserts that a frame is about the client with this address on this listener.
#[track_caller]
fn assert_about(frame: &Received, cluster: &Cluster, client: SocketAddr, listen: Listen) {
    assert_eq!(frame.gateway, cluster.inner_address(0, 0));
    assert_eq!(SocketAddr::from(frame.client), client);
    assert_eq!(frame.gateway_port, cluster.address(0, listen).port());
}

/// The rest of a connection that the gateway ends: nothing, or a close frame.
#[track_caller]
fn expect_end(client: &mut WebsocketClient) {
    let mut last = client.receive();
    if matches!(last, Event::Close(_)) {
        last = client.receive();
    }
    assert_eq!(last, Event::End);
}

#[test]
fn the_life_of_a_plain_client() {
    let (cluster, mut worker) = gateway_and_worker();
    for (framing, listen) in Framing::ALL.into_iter().zip([Listen::Text, Listen::Frame, Listen::Tcp]) {
        let mut client = cluster.plain(0, framing);
        let connect = worker.expect(Cmd::OnConnect);
        assert_about(&connect, &cluster, client.local_address(), listen);
        assert_eq!((connect.flag, &connect.ext[..], &connect.body[..]), (FLAG_SCALAR, &b""[..], &b""[..]));

        client.send(b"to the worker");
        let message = worker.expect_message(b"to the worker");
        assert_about(&message, &cluster, client.local_address(), listen);
        assert_eq!((message.flag, message.connection_id), (FLAG_SCALAR, connect.connection_id));

        worker.send_to_one(connect.connection_id, b"to the client");
        let encoded = framing.encode(b"to the client");
        assert_eq!(client.read_exactly(encoded.len()).unwrap(), encoded);

        client.finish_writing();
        let close = worker.expect(Cmd::OnClose);
        assert_about(&close, &cluster, client.local_address(), listen);
        assert_eq!((close.connection_id, &close.body[..]), (connect.connection_id, &b""[..]));
        client.read_to_end();
    }
    cluster.stop();
}

#[test]
fn a_websocket_client_brings_its_request() {
    let (cluster, mut worker) = gateway_and_worker();
    let address = cluster.address(0, Listen::Websocket);
    let headers = ["Cookie: a=b; c=d", "X-Some: thing"];
    let mut client = WebsocketClient::connect_to(address, "/chat?tok=1&list[]=x", &headers);
    let connect = worker.expect(Cmd::OnConnect);
    let request = worker.expect(Cmd::OnWebsocketConnect);
    assert_about(&request, &cluster, client.local_address(), Listen::Websocket);
    assert_eq!((request.flag, request.connection_id), (0, connect.connection_id));

    let request = WebsocketRequest::decode(&request.body).unwrap();
    let expected = [
        ("QUERY_STRING", "tok=1&list[]=x"),
        ("REQUEST_URI", "/chat?tok=1&list[]=x"),
        ("SERVER_NAME", "localhost"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_X_SOME", "thing"),
    ];
    for (name, value) in expected {
        assert_eq!(request.server.get(name), Some(&Value::from(value)), "{name}");
    }
    let port = Value::from(i64::from(client.local_address().port()));
    assert_eq!(request.server.get("REMOTE_PORT"), Some(&port));
    assert_eq!(request.get.get("tok"), Some(&Value::from("1")));
    assert_eq!(request.cookie.get("c"), Some(&Value::from("d")));

    client.close();
    worker.expect(Cmd::OnClose);
    cluster.stop();
}

#[test]
fn messages_before_the_handshake_come_right_after_it() {
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    let id = worker.expect(Cmd::OnConnect).connection_id;
    worker.send_to_one(id, b"first");
    worker.send_to_one(id, b"second");
    // The reply shows that both were taken.
    assert_eq!(worker_query(&cluster, Cmd::IsOnline, id), b"i:1;");
    client.send_bytes(&websocket::request("/", &[]));
    client.await_accept();
    client.expect(&Event::text("first"));
    client.expect(&Event::text("second"));
    worker.expect(Cmd::OnWebsocketConnect);
    client.close();
    cluster.stop();
}

/// Asks on a link of its own, so that replies do not mix with events.
fn worker_query(cluster: &Cluster, cmd: Cmd, connection_id: u32) -> Vec<u8> {
    Link::gateway_client(cluster.inner_address(0, 0), "").query(cmd, connection_id, b"")
}

#[test]
fn a_refused_handshake_is_a_client_that_came_and_went() {
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.read_response().unwrap().starts_with("HTTP/1.1 400 "));
    client.read_to_end();
    let connect = worker.expect(Cmd::OnConnect);
    let close = worker.expect(Cmd::OnClose);
    assert_eq!(connect.connection_id, close.connection_id);
    drop(client);
    cluster.stop();
}

#[test]
fn kick_says_goodbye_and_destroy_does_not() {
    let (cluster, mut worker) = gateway_and_worker();
    let null = Frame { flag: 0, body: b"N;", ..Frame::command(Cmd::Kick) };
    let bye = Frame { body: b"bye", ..Frame::command(Cmd::Kick) };
    for (frame, last_words) in [(bye, Some("bye")), (null, None), (Frame::command(Cmd::Destroy), None)] {
        let mut client = cluster.websocket(0);
        let id = worker.expect(Cmd::OnConnect).connection_id;
        worker.expect(Cmd::OnWebsocketConnect);
        worker.send(&Frame { connection_id: id, ..frame });
        if let Some(text) = last_words {
            client.expect(&Event::text(text));
        }
        expect_end(&mut client);
        assert_eq!(worker.expect(Cmd::OnClose).connection_id, id);
        assert_eq!(worker_query(&cluster, Cmd::IsOnline, id), b"i:0;");
    }
    cluster.stop();
}

#[test]
fn everything_queued_before_a_kick_arrives() {
    const COUNT: usize = 1000;
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = cluster.plain(0, Framing::Text);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    for index in 0..COUNT {
        worker.send_to_one(id, format!("line {index}").as_bytes());
    }
    worker.command(Cmd::Kick, id, b"", b"the end");
    for index in 0..COUNT {
        assert_eq!(client.receive().unwrap(), format!("line {index}").as_bytes());
    }
    assert_eq!(client.receive().unwrap(), b"the end");
    assert_eq!(client.receive(), None);
    drop(client);
    cluster.stop();
}

#[test]
fn the_session_comes_with_every_event() {
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = cluster.plain(0, Framing::Text);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    let session = b"a:1:{s:1:\"k\";s:1:\"v\";}";
    worker.command(Cmd::SetSession, id, session, b"");
    worker.send_to_one(id, b"set");
    assert_eq!(client.receive().unwrap(), b"set");
    client.send(b"again");
    assert_eq!(worker.expect_message(b"again").ext, session);
    client.finish_writing();
    assert_eq!(worker.expect(Cmd::OnClose).ext, session);
    drop(client);
    cluster.stop();
}

#[test]
fn raw_messages_are_not_encoded() {
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = cluster.websocket(0);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    worker.expect(Cmd::OnWebsocketConnect);
    let raw = Frame { connection_id: id, flag: FLAG_SCALAR | FLAG_RAW, ..Frame::command(Cmd::SendToOne) };
    worker.send(&Frame { body: b"\x82\x02hi", ..raw });
    client.expect(&Event::Binary(b"hi".to_vec()));
    client.close();
    cluster.stop();
}

/// A worker that knows nothing of message kinds: text where the bytes allow it.
#[test]
fn the_kind_is_guessed_for_workers_that_do_not_say_it() {
    let (cluster, mut worker) = gateway_and_worker();
    let mut client = cluster.websocket(0);
    let id = worker.expect(Cmd::OnConnect).connection_id;
    worker.expect(Cmd::OnWebsocketConnect);
    worker.send_to_one(id, "grüße".as_bytes());
    worker.send_to_one(id, b"\x00\xff");
    client.expect(&Event::text("grüße"));
    client.expect(&Event::Binary(b"\x00\xff".to_vec()));
    client.close();
    cluster.stop();
}
