//! A gateway is taken out of service and back by its control socket, as an operator does before an upgrade.

use std::path::{Path, PathBuf};

use ringway_tests::client::websocket::{Event, WebsocketClient, request};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::process::Process;
use ringway_tests::status::response;
use ringway_tests::{Clients, Cluster, Listen};

/// A file that is gone when this is dropped.
struct ControlFile(PathBuf);

impl ControlFile {
    fn new(name: &str) -> ControlFile {
        ControlFile(std::env::temp_dir().join(format!("ringway-cordon-{}-{name}", std::process::id())))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().expect("the folder for such files has a readable name")
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a subcommand; its exit code, and the line that it has said.
fn order(word: &str, control: &Path) -> (Option<i32>, String) {
    let flags = [word, "--control", control.to_str().expect("a readable name")].map(str::to_owned);
    let mut process = Process::start(word, "gateway", &flags);
    let code = process.await_exit().code();
    let said = process.stdout() + &process.stderr();
    assert_eq!(said.lines().count(), 1, "not one line: {said}");
    (code, said)
}

#[track_caller]
fn done(word: &str, control: &ControlFile, what: &str) {
    let (code, said) = order(word, &control.0);
    assert!(code == Some(0) && said.starts_with(what), "{code:?}: {said}");
}

/// What a websocket is answered that connects now.
fn answer(cluster: &Cluster) -> String {
    let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    client.send_bytes(&request("/", &[]));
    client.read_response().expect("an answer")
}

#[test]
fn a_gateway_is_cordoned_drained_and_taken_back() {
    let control = ControlFile::new("all");
    let flags = ["--control", control.as_str(), "--cordon-delay", "0"];
    let listen = [Listen::Websocket, Listen::Text];
    let mut cluster = Cluster::builder().shards(2).listen(&listen).gateway_flags(&flags).admin().start();
    let admin = cluster.admin_addresses()[1];
    let mut websocket = cluster.websocket(0);
    let mut text = cluster.plain(0, Framing::Text);
    websocket.echo("before");
    assert_eq!(response(admin).0, 200);

    done("cordon", &control, "cordoned: ");
    let (code, body) = response(admin);
    assert!(code == 503 && body.contains("cordoned, takes no new clients"), "{code}: {body}");
    let refused = answer(&cluster);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("Retry-After: 5\r\n"), "{refused}");
    let mut late = PlainClient::connect(cluster.address(0, Listen::Text), Framing::Text);
    assert_eq!(late.receive(), None);
    websocket.echo("still served");
    text.echo(b"the same");

    done("uncordon", &control, "uncordoned: ");
    assert_eq!(response(admin).0, 200);
    cluster.websocket(0).echo("taken again");

    done("drain", &control, "draining: ");
    websocket.expect(&Event::Close(Some(1001)));
    assert_eq!(text.receive(), None);
    assert_eq!(response(admin).0, 503);
    assert!(answer(&cluster).starts_with("HTTP/1.1 503 "));
    assert!(cluster.gateway(0).is_running(), "it goes on until it is stopped");
    done("uncordon", &control, "uncordoned: ");
    cluster.websocket(0).echo("as if nothing had been");
    cluster.stop();
    assert!(!control.0.exists(), "it takes its file away");
}

#[test]
fn load_balancers_have_time_to_look_elsewhere() {
    let control = ControlFile::new("delay");
    let flags = ["--control", control.as_str(), "--cordon-delay", "3600"];
    let cluster = Cluster::builder().gateway_flags(&flags).admin().start();
    done("cordon", &control, "cordoned: ");
    assert_eq!(response(cluster.admin_addresses()[1]).0, 503);
    cluster.websocket(0).echo("still taken");
    // That needs no patience.
    done("drain", &control, "draining: ");
    assert!(answer(&cluster).starts_with("HTTP/1.1 503 "));
    cluster.stop();
}

#[test]
fn what_cannot_be_is_said_in_a_line() {
    let control = ControlFile::new("wrong");
    let nobody = "no gateway listens at --control";
    let (code, said) = order("cordon", &control.0);
    assert!(code == Some(1) && said.contains(nobody), "{code:?}: {said}");
    let mut cluster = Cluster::builder().gateway_flags(&["--control", control.as_str()]).start();
    let ip = ringway_tests::own_address();
    let flags =
        ["--listen", &format!("websocket://{ip}:8282"), "--lan-ip", &ip.to_string()].map(str::to_owned);
    let flags = [&flags[..], &["--control".to_owned(), control.as_str().to_owned()]].concat();
    let mut second = Process::start("second", "gateway", &flags);
    assert_eq!(second.await_exit().code(), Some(1));
    assert!(second.stderr().contains("another gateway listens there"), "{}", second.stderr());
    done("uncordon", &control, "uncordoned: ");
    // One that was killed leaves its file, which the next one takes over.
    cluster.kill_gateway(0);
    let (code, said) = order("drain", &control.0);
    assert!(code == Some(1) && said.contains(nobody), "{code:?}: {said}");
    cluster.start_gateway(0);
    done("uncordon", &control, "uncordoned: ");
    cluster.websocket(0).echo("taken over");
    cluster.stop();
}

/// A program that is gateway and worker at once takes the same orders, and its page says how it is.
#[test]
fn a_gateway_with_a_worker_in_its_threads_is_drained_too() {
    let control = ControlFile::new("embedded");
    let ip = ringway_tests::own_address();
    let [page, admin] = [8080, 9500].map(|port| format!("{ip}:{port}"));
    let listen = format!("websocket://{ip}:8282");
    let flags = ["--listen", &listen, "--page", &page, "--app", "echo", "--control", control.as_str()];
    let flags = [&flags[..], &["--cordon-delay", "0", "--admin", &admin]].concat();
    let flags: Vec<String> = flags.into_iter().map(str::to_owned).collect();
    let mut ringway = Process::start("ringway", "ringway", &flags);
    ringway.await_ready("ringway");
    let address = format!("{ip}:8282").parse().expect("an address");
    let mut client = WebsocketClient::connect(address);
    client.echo("before");
    done("drain", &control, "draining: ");
    client.expect(&Event::Close(Some(1001)));
    let (code, body) = response(admin.parse().expect("an address"));
    assert!(code == 503 && body.contains("drained, takes no new clients"), "{code}: {body}");
    done("uncordon", &control, "uncordoned: ");
    WebsocketClient::connect(address).echo("after");
    ringway.stop();
}
