//! What an operator sees of a cluster: `ringway status`.

use std::net::{SocketAddr, SocketAddrV4};

use ringway_tests::client::websocket::WebsocketClient;
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen, own_address};

/// Runs `ringway status`; its exit code, stdout and stderr.
fn status(addresses: &[SocketAddrV4]) -> (Option<i32>, String, String) {
    let words: Vec<String> =
        ["status".to_owned()].into_iter().chain(addresses.iter().map(SocketAddrV4::to_string)).collect();
    let mut process = Process::start("ringway status", "ringway", &words);
    let code = process.await_exit().code();
    (code, process.stdout(), process.stderr())
}

/// The table of programs that answer.
#[track_caller]
fn table(addresses: &[SocketAddrV4]) -> String {
    let (code, stdout, stderr) = status(addresses);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    stdout
}

/// The cells of the first row with this name, below the line that begins with `program`.
#[track_caller]
fn cells(table: &str, program: &str, name: &str) -> Vec<String> {
    let rows = table.lines().skip_while(|line| !line.starts_with(program)).skip(1);
    let mut cells = rows.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    cells.find(|cells| cells.first().is_some_and(|cell| cell == name)).unwrap_or_else(|| {
        panic!("no {name} below {program} in:\n{table}");
    })
}

/// Names, and what they are counted as, such as `requests 4`, of a part.
fn also(table: &str, part: &str) -> Vec<String> {
    let start = format!("{part} also: ");
    let line = table.lines().find_map(|line| line.trim().strip_prefix(&start)).unwrap_or_default();
    line.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_program_is_shown_with_its_clients_and_messages() {
    let cluster = Cluster::builder().gateways(2).shards(2).workers(2).secret_key("k").admin().start();
    let mut clients = [0, 0, 1].map(|gateway| cluster.websocket(gateway));
    for client in &mut clients {
        client.echo("one");
        client.echo("two");
    }
    let addresses = cluster.admin_addresses();
    let [register, first, second, worker0, worker1] = addresses[..] else { panic!("{addresses:?}") };
    // A shard serves before it is registered, and is linked to when it is.
    let shown = wait_until("everybody to be linked", || {
        let shown = table(&addresses);
        let gateways =
            [first, second].map(|address| cells(&shown, &format!("gateway 0.1.0 at {address}"), "total"));
        let linked = gateways.iter().all(|total| total[2] == "4");
        (linked && cells(&shown, "register", "register")[2] == "6").then_some(shown)
    });

    for (program, address) in [("register", register), ("gateway", first), ("worker", worker0)] {
        let head = format!("{program} 0.1.0 at {address}: pid ");
        assert!(shown.lines().any(|line| line.starts_with(&head)), "`{head}` is not in:\n{shown}");
    }
    // Four shards and two cores.
    assert_eq!(cells(&shown, "register", "register")[2], "6");
    let of_register = also(&shown, "register");
    for what in ["connections 6", "gateways 4", "workers 2"] {
        assert!(of_register.contains(&what.to_owned()), "`{what}` is not in {of_register:?}");
    }

    let gateway = format!("gateway 0.1.0 at {first}");
    // Name, listen, links, clients, uids, groups, in, out, dropped.
    let total = cells(&shown, &gateway, "total");
    assert_eq!(total[1..], ["-", "4", "2", "0", "0", "4", "4", "0"], "{shown}");
    let listen = cells(&shown, &gateway, "gateway:1")[1].clone();
    assert_eq!(listen, format!("websocket://{}", cluster.address(0, Listen::Websocket)));
    let total = cells(&shown, &format!("gateway 0.1.0 at {second}"), "total");
    assert_eq!(total[2..], ["4", "1", "0", "0", "2", "2", "0"], "{shown}");

    let workers = [(worker0, "worker0:0"), (worker1, "worker1:0")]
        .map(|(address, name)| cells(&shown, &format!("worker 0.1.0 at {address}"), name));
    for worker in &workers {
        assert_eq!(worker[1..6], ["-", "4", "-", "-", "-"], "{shown}");
        assert_eq!(worker[6], worker[7], "an echo for each message");
        assert_eq!(worker[8], "0");
    }
    let messages = workers.map(|worker| worker[6].parse::<u64>().unwrap());
    assert_eq!(messages.iter().sum::<u64>(), 6, "{shown}");
    cluster.stop();
}

#[test]
fn clients_that_leave_are_not_shown_any_more() {
    let cluster = Cluster::builder().admin().start();
    let gateway = cluster.admin_addresses()[1];
    let clients = || cells(&table(&[gateway]), "gateway", "gateway:0")[3].clone();
    let mut client = cluster.websocket(0);
    client.echo("here");
    assert_eq!(clients(), "1");
    client.close();
    wait_until("the client to be gone", || (clients() == "0").then_some(()));
    cluster.stop();
}

#[test]
fn refused_requests_are_counted_by_reason() {
    let cluster = Cluster::builder().gateways(0).workers(0).secret_key("k").admin().start();
    let register = cluster.register_address();
    for line in ["{\"event\":\"worker_connect\",\"secret_key\":\"wrong\"}\n", "nonsense\n"] {
        let mut peer = PlainClient::connect(register.into(), Framing::Tcp);
        peer.send_bytes(line.as_bytes());
        peer.read_to_end();
    }
    let counted = || {
        let counted = also(&table(&cluster.admin_addresses()), "register");
        let all = ["accepted 2", "refused_not_a_request 1", "refused_wrong_key 1"];
        all.iter().all(|what| counted.contains(&(*what).to_owned())).then_some(())
    };
    // The peer may know of its end before the register has counted it.
    wait_until("both to be counted", counted);
    cluster.stop();
}

#[test]
fn a_dead_address_has_its_line_and_the_exit_code_says_whether_anybody_answers() {
    let cluster = Cluster::builder().workers(0).gateways(0).admin().start();
    let dead = SocketAddrV4::new(own_address(), 9500);
    let register = cluster.admin_addresses()[0];
    let line = format!("{dead}: Connection refused");

    let (code, stdout, stderr) = status(&[dead, register]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.lines().any(|shown| shown.starts_with(&line)), "{stdout}");
    assert_eq!(cells(&stdout, "register", "register")[2], "0");

    let (code, stdout, stderr) = status(&[dead]);
    assert_eq!((code, stderr.as_str()), (Some(1), "ringway: no program answers\n"));
    assert!(stdout.starts_with(&line), "{stdout}");

    // Something answers there, but not what was asked for.
    let (code, stdout, _) = status(&[cluster.register_address()]);
    assert_eq!(code, Some(1), "{stdout}");
    cluster.stop();
}

#[test]
fn a_whole_ringway_in_one_process_tells_of_its_three_parts() {
    let ip = own_address();
    let admin = SocketAddrV4::new(ip, 9500);
    let websocket = SocketAddr::from((ip, 8282));
    let (listen, page, admin_flag) =
        (format!("websocket://{websocket}"), format!("{ip}:8080"), admin.to_string());
    let flags =
        ["--listen", &listen, "--page", &page, "--count", "2", "--app", "echo", "--admin", &admin_flag];
    let mut ringway = Process::start("ringway", "ringway", &flags.map(str::to_owned));
    ringway.await_ready("ringway");
    WebsocketClient::connect(websocket).echo("one");

    let shown = table(&[admin]);
    let names: Vec<_> = shown.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    let worker =
        names.iter().find_map(|name| name.strip_suffix(":0").filter(|name| name.starts_with("worker-")));
    let [first, second] = [0, 1].map(|core| format!("{}:{core}", worker.expect("the worker has a row")));
    let rows = ["gateway:0", "gateway:1", "total", &first, &second, "total", "register"];
    assert_eq!(names[..rows.len()], rows, "{shown}");
    let total = cells(&shown, "ringway", "total");
    assert_eq!(total[6..], ["1", "1", "0"], "{shown}");
    assert_eq!(cells(&shown, "ringway", "register")[2], "4", "two shards and two cores:\n{shown}");

    // A port that is taken is named, with the flag that helps.
    let mut second =
        Process::start("second", "worker", &["--app", "echo", "--admin", &admin_flag].map(str::to_owned));
    assert_eq!(second.await_exit().code(), Some(1));
    assert!(second.stderr().contains(&format!("cannot listen on {admin}")), "{}", second.stderr());
    assert!(second.stderr().contains("choose another --admin"), "{}", second.stderr());
    ringway.stop();
}

/// The gateway's shards are pinned to the CPUs in the order of `--cpus`, and on this machine a connection is received on the CPU that
/// sends it.
#[test]
fn a_client_gets_the_shard_on_its_cpu_if_that_is_asked_for() {
    let cpus = program::allowed_cpus();
    let list = cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let flags = ["--steer", "cpu", "--cpus", &list];
    let cluster = Cluster::builder().shards(2).gateway_flags(&flags).admin().start();
    let [_, gateway, _] = cluster.admin_addresses()[..] else { panic!("a register, a gateway, a worker") };
    for shard in 0..2.min(cpus.len()) {
        program::run_on(&cpus[shard..=shard]);
        let mut clients: Vec<WebsocketClient> = (0..20).map(|_| cluster.websocket(0)).collect();
        clients.iter_mut().for_each(|client| client.echo("here"));
        let shown = table(&[gateway]);
        let of_shard = cells(&shown, "gateway", &format!("gateway:{shard}"))[3].clone();
        // One CPU has both shards.
        assert!(of_shard == "20" || cpus.len() == 1, "{shown}");
        assert_eq!(cells(&shown, "gateway", "total")[3], "20");
        drop(clients);
        wait_until("all have left", || {
            (cells(&table(&[gateway]), "gateway", "total")[3] == "0").then_some(())
        });
    }
}
