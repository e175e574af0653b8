//! The client among real programs.

use gateway_client::{Client, Config, Confirm, blocking};
use ringway_tests::client::websocket::Event;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster};

const KEY: &str = "k3y";

fn config(cluster: &Cluster) -> Config {
    Config {
        register_addresses: vec![cluster.register_address().to_string()],
        secret_key: KEY.to_owned(),
        confirm: Confirm::Handled,
        ..Config::default()
    }
}

#[test]
fn it_pushes_to_users_wherever_they_are() {
    let mut cluster = Cluster::builder().gateways(2).shards(2).secret_key(KEY).start();
    let client = blocking::Client::connect(config(&cluster)).unwrap();
    wait_until("four shards", || (client.gateways().len() == 4).then_some(()));
    let mut users = [cluster.websocket(0), cluster.websocket(1)];
    // Served once means known to the gateway.
    users.iter_mut().for_each(|user| user.echo("hello"));
    let ids = client.client_ids().into_value();
    assert_eq!(ids.len(), 2);
    for id in &ids {
        assert!(client.bind_uid(*id, "alice").is_complete());
        assert!(client.join_group(*id, "all").is_complete());
    }
    assert_eq!(client.client_ids_of_uid("alice").value.len(), 2);
    assert_eq!(*client.client_count_of_group("all"), 2);
    assert_eq!(*client.groups(), ["all"]);

    let delivery = client.send_to_uid("alice", "shipped");
    assert_eq!((delivery.reached, delivery.missing), (4, vec![]));
    users.iter_mut().for_each(|user| user.expect(&Event::text("shipped")));

    // How many that were, only a report says.
    let report = client.reported().send_to_uid("alice", "counted");
    assert_eq!((report.queued, report.dropped, report.missing.len()), (2, 0, 0));
    users.iter_mut().for_each(|user| user.expect(&Event::text("counted")));
    let report = client.reported().send_to_uid("nobody", "counted");
    assert_eq!((report.queued, report.is_complete()), (0, true));

    // One that is gone is no longer asked, or named; the other is served in any case.
    cluster.kill_gateway(1);
    let delivery = client.send_to_group("all", "still here");
    assert!(delivery.missing.iter().all(|gateway| *gateway != cluster.inner_address(0, 0)), "{delivery:?}");
    users[0].expect(&Event::text("still here"));

    // The register comes back, and its lists one by one.
    cluster.register().kill();
    cluster.start_register();
    assert_eq!(client.send_to_uid("alice", "and again").reached, 2);
    users[0].expect(&Event::text("and again"));
    cluster.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_wrong_key_gets_nowhere() {
    let cluster = Cluster::builder().secret_key(KEY).start();
    let wrong = Config { secret_key: "wrong".to_owned(), ..config(&cluster) };
    assert!(Client::connect(wrong).await.is_err());
    let client = Client::connect(config(&cluster)).await.unwrap();
    assert_eq!(client.client_count().await.value, 0);
    drop(client);
    cluster.stop();
}
