//! How many clients a gateway lets in, of whom, and how much each may say.

use std::time::Duration;

use ringway_tests::client::websocket::{Event, WebsocketClient, request};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::status::{counter, get};
use ringway_tests::wait::{Stopwatch, wait_until};
use ringway_tests::{Builder, Cluster, Listen};

/// A gateway of two shards, and a worker that echoes.
fn cluster(flags: &[&str]) -> Cluster {
    builder(flags).start()
}

fn builder(flags: &[&str]) -> Builder {
    let listen = [Listen::Websocket, Listen::Text];
    Cluster::builder().shards(2).app("echo").listen(&listen).gateway_flags(flags).admin()
}

/// Asks for a websocket, behind these bytes; the status that is answered, and the client if it was let in. `None` if it is not
/// told: too many were just before.
fn ask_perhaps_in_vain(cluster: &Cluster, before: &str) -> Option<(String, WebsocketClient)> {
    let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    client.send_bytes(&[before.as_bytes(), &request("/", &[])].concat());
    let answer = client.read_response()?;
    let status = answer.split(' ').nth(1).expect("a response has a status").to_owned();
    assert_eq!(status != "101", answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    Some((status, client))
}

/// The same of one that is told.
fn ask(cluster: &Cluster, before: &str) -> (String, WebsocketClient) {
    ask_perhaps_in_vain(cluster, before).expect("it is told")
}

/// A client, if it is let in.
fn come(cluster: &Cluster) -> Option<WebsocketClient> {
    let (status, client) = ask_perhaps_in_vain(cluster, "")?;
    (status == "101").then_some(client)
}

fn count(cluster: &Cluster, name: &str) -> u64 {
    counter(cluster.admin_addresses()[1], name)
}

#[test]
fn an_address_has_so_many_clients_of_all_shards() {
    let cluster = cluster(&["--max-clients-per-address", "7"]);
    let (mut inside, mut refused) = (Vec::new(), 0);
    for _ in 0..20 {
        match ask(&cluster, "") {
            (status, client) if status == "101" => inside.push(client),
            (status, _) if status == "429" => refused += 1,
            (status, _) => panic!("{status}"),
        }
    }
    assert_eq!((inside.len(), refused), (7, 13));
    inside.iter_mut().for_each(|client| client.echo("who is in is served"));
    assert_eq!(count(&cluster, "refused_max_clients_per_address"), 13);
    let (_, _, metrics) = get(cluster.admin_addresses()[1], "/metrics", "");
    assert!(metrics.contains("cause=\"max_clients_per_address\""), "{metrics}");
    inside.truncate(4);
    for _ in 0..3 {
        inside.push(wait_until("room for one more", || come(&cluster)));
    }
    assert!(come(&cluster).is_none());
    cluster.stop();
}

#[test]
fn a_process_has_so_many_clients_and_text_clients_are_closed() {
    let cluster = cluster(&["--max-clients", "3"]);
    let text = || PlainClient::connect(cluster.address(0, Listen::Text), Framing::Text);
    let mut inside: Vec<_> = (0..3).map(|_| text()).collect();
    inside.iter_mut().for_each(|client| client.echo(b"hello"));
    assert!(text().read_to_end().is_empty());
    assert_eq!(ask(&cluster, "").0, "503");
    assert_eq!(count(&cluster, "refused_max_clients"), 2);
    cluster.stop();
}

#[test]
fn proxies_say_which_addresses_count_and_of_ipv6_it_is_the_64() {
    let flags = ["--max-clients-per-address", "1", "--proxy-protocol", "--trusted-proxies", "127.0.0.1"];
    let cluster = cluster(&flags);
    let mut inside = Vec::new();
    for (source, expected) in [
        ("TCP4 192.0.2.1 192.0.2.9", "101"),
        ("TCP4 192.0.2.1 192.0.2.9", "429"),
        ("TCP4 192.0.2.2 192.0.2.9", "101"),
        ("TCP6 2001:db8:1:2::1 2001:db8::9", "101"),
        ("TCP6 2001:db8:1:2:ffff::1 2001:db8::9", "429"),
        ("TCP6 2001:db8:1:3::1 2001:db8::9", "101"),
        ("TCP6 ::ffff:192.0.2.2 2001:db8::9", "429"),
    ] {
        let (status, client) = ask(&cluster, &format!("PROXY {source} 1 443\r\n"));
        assert_eq!(status, expected, "{source}");
        inside.push(client);
    }
    cluster.stop();
}

#[test]
fn a_client_that_comes_by_ipv6_counts_too() {
    let mut cluster = cluster(&["--max-clients-per-address", "1", "--listen", "frame://[::1]:0"]);
    let ready = cluster.gateway(0).stdout();
    let mut words = ready.split_whitespace();
    let frame = words.find_map(|word| word.strip_prefix("frame://")).expect("it listens");
    let address = frame.parse().expect("at an address");
    let mut first = PlainClient::connect(address, Framing::Frame);
    first.echo(b"hello");
    assert!(PlainClient::connect(address, Framing::Frame).read_to_end().is_empty());
    assert_eq!(ask(&cluster, "").0, "101", "IPv4 is somebody else");
    cluster.stop();
}

#[test]
fn handshakes_of_an_address_come_at_their_rate() {
    let cluster = cluster(&["--handshakes-per-address", "5:10"]);
    let clock = Stopwatch::start();
    let came = (0..40).filter(|_| ask(&cluster, "").0 == "101").count();
    let allowed = 10 + (clock.elapsed().as_secs_f64() * 5.0) as usize + 1;
    assert!((10..=allowed).contains(&came), "{came} of {allowed}");
    wait_until("another one's time", || come(&cluster));
    cluster.stop();
}

#[test]
fn who_says_too_much_waits_and_loses_nothing() {
    let cluster = cluster(&["--messages-per-second", "40:10", "--bytes-per-second", "1000000"]);
    let mut loud = WebsocketClient::connect(cluster.address(0, Listen::Websocket));
    let mut calm = WebsocketClient::connect(cluster.address(0, Listen::Websocket));
    let clock = Stopwatch::start();
    (0..50).for_each(|number| loud.send_text(&format!("message {number}")));
    calm.echo("others are heard meanwhile");
    for number in 0..50 {
        loud.expect(&Event::text(format!("message {number}")));
    }
    assert!(clock.elapsed() >= Duration::from_millis(950), "{:?}", clock.elapsed());
    assert!(count(&cluster, "stalls_message_rate") > 0);
    cluster.stop();
}

#[test]
fn who_says_too_much_or_not_who_it_is_is_closed_where_it_is_to_be() {
    let flags = ["--bytes-per-second", "100:10000", "--over-limit", "close", "--bind-timeout", "1"];
    let cluster = cluster(&flags);
    let mut loud = WebsocketClient::connect(cluster.address(0, Listen::Websocket));
    let mut unbound = WebsocketClient::connect(cluster.address(0, Listen::Websocket));
    loud.send_text(&"x".repeat(11_000));
    loud.expect(&Event::Close(Some(1008)));
    unbound.expect(&Event::Close(Some(1008)));
    assert_eq!(count(&cluster, "clients_closed_byte_rate"), 1);
    assert_eq!(count(&cluster, "clients_closed_unbound"), 1);
    cluster.stop();
}
