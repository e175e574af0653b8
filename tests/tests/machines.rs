//! Two gateway hosts, two worker hosts and a register host: one joins under load, others are cut off without a word and
//! come back. `RINGWAY_NEED_NAMESPACES=1` makes it a failure if there are only loopback addresses for them.

use std::net::SocketAddrV4;

use ringway_tests::client::websocket::WebsocketClient;
use ringway_tests::load::Load;
use ringway_tests::network::Network;
use ringway_tests::process::Process;
use ringway_tests::status::{ADMIN_TOKEN, counter, links};
use ringway_tests::wait::{Stopwatch, wait_until};

const REGISTER: usize = 0;
const GATEWAYS: [usize; 2] = [1, 2];
const WORKERS: [usize; 2] = [3, 4];
const HOSTS: usize = 5;

const REGISTER_PORT: u16 = 1236;
const CLIENT_PORT: u16 = 8282;
const INNER_PORT: u16 = 2900;
const ADMIN_PORT: u16 = 9501;

/// Clients of each gateway that stay with one worker.
const CLIENTS: usize = 4;

/// The processes end before their network does.
struct Machines {
    register: Process,
    gateways: Vec<Process>,
    workers: Vec<Process>,
    network: Network,
}

impl Machines {
    /// All hosts but the second worker's.
    fn start(network: Network) -> Machines {
        println!("machines: on {network}");
        let register =
            start(&network, REGISTER, "register", &["--listen", &at(&network, REGISTER, REGISTER_PORT)]);
        let gateways = GATEWAYS.map(|host| {
            let (listen, address) = (at(&network, host, CLIENT_PORT), network.address(host).to_string());
            let listen = format!("websocket://{listen}");
            let flags = ["--listen", &listen, "--lan-ip", &address, "--inner-listen", &address];
            let port = INNER_PORT.to_string();
            let more = ["--start-port", &port, "--count", "1", "--no-worker-wait", "25"];
            start(&network, host, "gateway", &[&flags[..], &more, &register_of(&network)].concat())
        });
        let mut machines = Machines { register, gateways: gateways.into(), workers: Vec::new(), network };
        machines.start_worker();
        machines
    }

    fn start_worker(&mut self) {
        let index = self.workers.len();
        let name = format!("worker{index}");
        // Where a host is cut off by stopping its programs, a master would be stopped and not its worker.
        let flags = ["--app", "echo", "--count", "1", "--no-master", "--name", &name];
        let flags = [&flags[..], &register_of(&self.network)].concat();
        self.workers.push(start(&self.network, WORKERS[index], "worker", &flags));
    }

    fn admin(&self, host: usize) -> SocketAddrV4 {
        SocketAddrV4::new(self.network.address(host), ADMIN_PORT)
    }

    /// Waits until the program on a host has this many links, and says after what time.
    fn await_links(&self, host: usize, count: u64, since: Stopwatch, what: &str) {
        let admin = self.admin(host);
        wait_until(what, || (links(admin) == count).then_some(()));
        println!("machines: {what}, {:.1} s", since.elapsed().as_secs_f64());
    }

    /// Clients of a gateway that have been answered, so they have their worker.
    fn clients(&self, gateway: usize) -> Vec<WebsocketClient> {
        let address = SocketAddrV4::new(self.network.address(GATEWAYS[gateway]), CLIENT_PORT).into();
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| WebsocketClient::connect(address)).collect();
        clients.iter_mut().for_each(|client| client.echo("hello"));
        clients
    }

    fn stop(mut self) {
        self.workers.iter_mut().for_each(Process::stop);
        self.gateways.iter_mut().for_each(Process::stop);
        self.register.stop();
    }
}

fn at(network: &Network, host: usize, port: u16) -> String {
    SocketAddrV4::new(network.address(host), port).to_string()
}

fn register_of(network: &Network) -> [&'static str; 2] {
    // Leaked, some bytes for each process of a test: flags are `&str` then.
    ["--register-address", at(network, REGISTER, REGISTER_PORT).leak()]
}

fn start(network: &Network, host: usize, program: &str, flags: &[&str]) -> Process {
    let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    flags.extend(["--admin".to_owned(), at(network, host, ADMIN_PORT)]);
    // The hosts have addresses that are open to each other.
    flags.extend(["--admin-token".to_owned(), ADMIN_TOKEN.to_owned()]);
    network.start(host, &format!("{program} on host {host}"), program, &flags)
}

fn hosts_come_and_go(network: Network) {
    let mut machines = Machines::start(network);
    // The only worker there is has these; least connections gives all that come later to the other one.
    let load = Load::start(machines.clients(0));
    let mut lost = machines.clients(1);

    let joined = Stopwatch::start();
    machines.start_worker();
    GATEWAYS.iter().for_each(|host| machines.await_links(*host, 2, joined, "a worker joins"));
    let mut of_second: Vec<_> = machines.clients(0);

    let cut = Stopwatch::start();
    machines.network.cut(GATEWAYS[1], &mut [&mut machines.gateways[1]]);
    for worker in WORKERS {
        machines.await_links(worker, 1, cut, "a worker takes a gateway that was cut off for dead");
    }
    machines.await_links(REGISTER, 3, cut, "the register takes it for dead");
    let back = Stopwatch::start();
    machines.network.join(GATEWAYS[1], &mut [&mut machines.gateways[1]]);
    machines.await_links(REGISTER, 4, back, "it is registered again");
    for worker in WORKERS {
        machines.await_links(worker, 2, back, "a worker has it again");
    }
    // The gateway took its workers for dead in the meantime, or has found out now; its clients never were.
    lost.iter_mut().for_each(|client| client.echo("back again"));

    let cut = Stopwatch::start();
    machines.network.cut(REGISTER, &mut [&mut machines.register]);
    let gone =
        |process: &Process| process.stderr().contains("lost the register: it does not answer any more");
    wait_until("a gateway to miss the register", || machines.gateways.iter().all(gone).then_some(()));
    println!("machines: the register is missed, {:.1} s", cut.elapsed().as_secs_f64());
    let back = Stopwatch::start();
    machines.network.join(REGISTER, &mut [&mut machines.register]);
    machines.await_links(REGISTER, 4, back, "all are registered again");

    let cut = Stopwatch::start();
    machines.network.cut(WORKERS[1], &mut [&mut machines.workers[1]]);
    for gateway in GATEWAYS {
        machines.await_links(gateway, 1, cut, "a gateway takes a worker that was cut off for dead");
    }
    of_second.iter_mut().for_each(|client| client.echo("another worker"));
    let silent: u64 = GATEWAYS.iter().map(|host| counter(machines.admin(*host), "links_silent")).sum();
    assert!(silent >= 2, "{silent} links were found silent");
    let back = Stopwatch::start();
    machines.network.join(WORKERS[1], &mut [&mut machines.workers[1]]);
    for gateway in GATEWAYS {
        machines.await_links(gateway, 2, back, "a gateway has it again");
    }

    let messages = load.stop();
    println!("machines: {messages:?} by clients of hosts that were never cut off");
    assert!(messages.sent > 100 && messages.lost == 0, "{messages:?}");
    drop((lost, of_second));
    machines.stop();
}

#[test]
fn on_network_namespaces() {
    match Network::namespaces(HOSTS) {
        Ok(network) => hosts_come_and_go(network),
        Err(why) if std::env::var_os("RINGWAY_NEED_NAMESPACES").is_none() => {
            println!("machines: skipped, loopback addresses must do: {why}");
        }
        Err(why) => panic!("no network namespaces: {why}"),
    }
}

#[test]
fn on_loopback_addresses() {
    hosts_come_and_go(Network::loopback(HOSTS));
}
