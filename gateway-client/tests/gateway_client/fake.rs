//! A client, and what tests need to play the gateways and the register of its cluster.

use std::net::SocketAddrV4;

use gateway_client::{Client, Config};
use protocol::inner::Cmd;

pub(crate) use ringway_tests::peer::{FakeGateway, FakeRegister, Link, NO_GATEWAYS, Received};

pub(crate) const KEY: &str = "k3y";

/// The next command on a connection: every one has the key in front.
#[track_caller]
pub(crate) fn command(link: &mut Link) -> Received {
    let key = link.expect(Cmd::GatewayClientConnect);
    assert_eq!(key.body, br#"{"secret_key":"k3y"}"#);
    link.frame()
}

/// Limits are those of production; tests that wait for one to be exceeded set their own.
pub(crate) fn config(register: &FakeRegister) -> Config {
    Config {
        register_addresses: vec![register.address.to_string()],
        secret_key: KEY.to_owned(),
        ..Config::default()
    }
}

/// A client of these gateways, with the register that lists them.
pub(crate) async fn connect(gateways: &[&FakeGateway]) -> (Client, FakeRegister) {
    let register = FakeRegister::with_key(KEY, gateways);
    let client = Client::connect(config(&register)).await.unwrap();
    (client, register)
}

pub(crate) fn addresses(gateways: &[&FakeGateway]) -> Vec<SocketAddrV4> {
    gateways.iter().map(|gateway| gateway.address).collect()
}

/// Plays a gateway on a thread while the test's own thread runs the client.
pub(crate) fn play<T: Send + 'static>(
    part: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::task::spawn_blocking(part)
}
