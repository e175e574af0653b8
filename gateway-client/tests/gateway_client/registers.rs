//! Where the list of gateways comes from, and what happens to it.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use gateway_client::{Client, Config, blocking};
use ringway_tests::wait::wait_until;

use crate::fake::{FakeGateway, FakeRegister, KEY, NO_GATEWAYS, addresses, command, config, play};

#[tokio::test]
async fn a_wrong_key_is_an_error_that_says_so() {
    let register = FakeRegister::with_key(KEY, &NO_GATEWAYS);
    let wrong = Config { secret_key: "wrong".to_owned(), ..config(&register) };
    let error = Client::connect(wrong).await.unwrap_err();
    assert_eq!(error.reasons.len(), 1);
    assert!(error.to_string().contains("when the secret key is not its own"), "{error}");
    assert!(error.to_string().contains(&register.address.to_string()), "{error}");
}

#[tokio::test]
async fn what_is_no_register_is_told_by_what_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    });
    let config = Config { register_addresses: vec![address.clone()], ..Config::default() };
    let error = Client::connect(config).await.unwrap_err().to_string();
    assert!(error.contains("this is no register, it says \"SSH-2.0-OpenSSH_9.2\""), "{error}");
    server.join().unwrap();
    // The kernel completes connections that nobody accepts.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let register_addresses = vec![mute.local_addr().unwrap().to_string()];
    let reply_timeout = Duration::from_millis(50);
    let config = Config { register_addresses, reply_timeout, ..Config::default() };
    let error = Client::connect(config).await.unwrap_err().to_string();
    assert!(error.contains("this is no register, it does not answer"), "{error}");
}

#[tokio::test]
async fn an_address_that_cannot_be_is_an_error_at_once() {
    let register = FakeRegister::with_key(KEY, &NO_GATEWAYS);
    let good = register.address.to_string();
    for wrong in ["nonsense", "http://127.0.0.1:1236", "127.0.0.1", "127.0.0.1:0", ""] {
        let register_addresses = vec![good.clone(), wrong.to_owned()];
        let error = Client::connect(Config { register_addresses, ..config(&register) }).await.unwrap_err();
        let [reason] = &error.reasons[..] else { panic!("one address is wrong: {error}") };
        assert!(reason.starts_with(&format!("{wrong}: ")), "{reason}");
    }
    let as_php = vec![format!("text://{good}")];
    Client::connect(Config { register_addresses: as_php, ..config(&register) }).await.unwrap();
}

#[tokio::test]
async fn gateways_of_all_registers_are_reached() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let [one, other] = [0, 1].map(|index| FakeRegister::with_key(KEY, &[gateways[index].address]));
    let absent = "127.0.0.1:1".to_owned();
    let register_addresses = vec![absent, one.address.to_string(), other.address.to_string()];
    let client = Client::connect(Config { register_addresses, ..config(&one) }).await.unwrap();
    let mut known = client.gateways();
    known.sort_unstable();
    let mut expected = addresses(&[&gateways[0], &gateways[1]]);
    expected.sort_unstable();
    assert_eq!(known, expected);
}

#[test]
fn lists_are_followed_and_a_restart_loses_nobody() {
    let [first, second, third] = [FakeGateway::start(), FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[&first, &second]);
    let client = blocking::Client::connect(config(&register)).unwrap();
    register.line();
    // First is connected, second never was.
    assert!(client.send_to_client(first.client(1), "hello").is_complete());
    register.restart(&[third.address]);
    register.line();
    wait_until("the list after the restart", || client.gateways().contains(&third.address).then_some(()));
    let known = addresses(&[&first, &second, &third]);
    assert_eq!(client.gateways(), known);
    register.list(&known);
    let delivery = client.send_to_all("again");
    assert_eq!((delivery.reached, delivery.missing), (3, vec![]));
    // One that was never needed is forgotten some time after it left.
    register.list(&[&first, &second]);
    let mut connection = third.accept();
    assert_eq!(command(&mut connection).body, b"again");
    drop(connection);
    wait_until("a gateway that left to be forgotten", || {
        (client.gateways() == addresses(&[&first, &second])).then_some(())
    });
}

/// It has answered a ping, so it is one of ours and answers each, unless it hangs.
#[test]
fn a_register_that_hangs_is_left_for_a_new_connection() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[gateways[0].address]);
    let client = blocking::Client::connect(config(&register)).unwrap();
    register.line();
    assert_eq!(register.pong(), 1);
    register.list(&[&gateways[0], &gateways[1]]);
    wait_until("the list behind the pong", || client.gateways().contains(&gateways[1].address).then_some(()));
    assert_eq!(register.pong(), 1, "it is the connection that has been there");
    register.line();
}

#[tokio::test]
async fn the_last_clone_closes_the_connections() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::with_key(KEY, &[gateway.address]);
    let client = Client::connect(config(&register)).await.unwrap();
    assert!(client.clone().send_to_all("hello").await.is_complete());
    drop(client);
    let ended = play(move || {
        let mut connection = gateway.accept();
        assert_eq!(command(&mut connection).body, b"hello");
        connection.receive()
    });
    assert_eq!(ended.await.unwrap(), None);
}
