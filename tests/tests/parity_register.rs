//! Several registers, registers that come back knowing little, lists in the form that PHP's registers sometimes send,
//! and a gateway that does not stay.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use protocol::inner::Cmd;
use ringway_tests::client::websocket::WebsocketClient;
use ringway_tests::peer::Link;
use ringway_tests::process::Process;
use ringway_tests::wait::{LIMIT, wait_until};
use ringway_tests::{Clients, Cluster, own_address};

/// Longer than any restart takes on a loaded machine.
const PATIENT: &[&str] = &["--no-worker-wait", "25"];

/// The peers of the connections that a server has accepted at `address`: the same peers are the same connections.
fn peers(address: SocketAddrV4) -> Vec<String> {
    const ESTABLISHED: &str = "01";
    // The address as proc(5) has it: the ip as a hexadecimal number in the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("proc is mounted");
    let mut peers = Vec::new();
    for line in table.lines() {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        if columns[1] == local && columns[3] == ESTABLISHED {
            peers.push(columns[2].to_owned());
        }
    }
    peers.sort_unstable();
    peers
}

fn await_links(address: SocketAddrV4, count: usize) {
    wait_until(&format!("{count} links at {address}"), || (peers(address).len() == count).then_some(()));
}

fn echo_all(clients: &mut [WebsocketClient], text: &str) {
    clients.iter_mut().for_each(|client| client.echo(text));
}

/// A register in the hands of the test: it says what it is told to say.
struct FakeRegister {
    workers: Receiver<TcpStream>,
    /// Each with its request.
    gateways: Receiver<(String, TcpStream)>,
}

impl FakeRegister {
    /// Serves where a register has been that was just killed.
    fn start(address: SocketAddrV4) -> FakeRegister {
        let listener = wait_until("the register's port", || TcpListener::bind(address).ok());
        let (send_worker, workers) = channel();
        let (send_gateway, gateways) = channel();
        std::thread::spawn(move || {
            let (mut kept, mut known) = (Vec::new(), Vec::new());
            for mut stream in listener.incoming().flatten() {
                let mut line = String::new();
                let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
                // Whoever leaves before its first line is none of those the test waits for.
                let _ = reader.read_line(&mut line);
                if line.contains("worker_connect") {
                    say_list(&mut stream, &object(&known));
                    // A gateway that wants to know whether this is a register, and knows it, has heard enough; a worker pings.
                    let mut ping = String::new();
                    if reader.read_line(&mut ping).is_ok_and(|size| size > 0) {
                        // Nobody may be waiting any more.
                        let _ = send_worker.send(stream);
                    }
                } else {
                    known.push(address_in(&line));
                    let another = stream.try_clone().expect("a socket can be cloned");
                    let _ = send_gateway.send((line, another));
                    // Closed, it would come back.
                    kept.push(stream);
                }
            }
        });
        FakeRegister { workers, gateways }
    }

    fn worker(&self) -> TcpStream {
        self.workers.recv_timeout(LIMIT).expect("the worker comes")
    }

    /// The address of the next gateway shard that registers, and its connection.
    fn gateway(&self) -> (String, TcpStream) {
        let (line, stream) = self.gateways.recv_timeout(LIMIT).expect("the gateway comes");
        (address_in(&line), stream)
    }
}

/// The address of the gateway whose request this is.
fn address_in(line: &str) -> String {
    let request: serde_json::Value = serde_json::from_str(line).expect("a request is JSON");
    assert_eq!(request["event"], "gateway_connect");
    request["address"].as_str().expect("an address is a string").to_owned()
}

/// A list in the form that PHP's registers send when an address is missing in front of others.
fn object(addresses: &[String]) -> String {
    let entries = (1..).zip(addresses).map(|(key, address)| format!(r#""{key}":"{address}""#));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
}

/// Sends a worker a list, of which `addresses` is the JSON.
fn say_list(worker: &mut TcpStream, addresses: &str) {
    let line = format!("{{\"event\":\"broadcast_addresses\",\"addresses\":{addresses}}}\n");
    worker.write_all(line.as_bytes()).expect("the worker stays");
}

/// A restarted register knows nobody at first and hears of its gateways one by one.
#[test]
fn short_lists_cost_no_link() {
    let mut cluster = Cluster::builder().gateways(2).start();
    let mut clients: Vec<_> = (0..4).map(|index| cluster.websocket(index % 2)).collect();
    echo_all(&mut clients, "before");
    let shards = [0, 1].map(|gateway| cluster.inner_address(gateway, 0));
    let before = shards.map(peers);
    cluster.register().kill();
    let register = FakeRegister::start(cluster.register_address());
    let mut worker = register.worker();
    // A gateway that is listed last: when the worker comes to it, it has taken all the lists before.
    let last = TcpListener::bind((*cluster.register_address().ip(), 0)).expect("a port is free");
    last.set_nonblocking(true).expect("a listener can be made nonblocking");
    say_list(&mut worker, "[]");
    say_list(&mut worker, "{}");
    say_list(&mut worker, &format!(r#"["{}"]"#, shards[1]));
    say_list(&mut worker, &format!(r#"{{"3":"{}","7":"{}"}}"#, shards[0], last.local_addr().unwrap()));
    wait_until("the worker to take the last list", || last.accept().ok());
    assert_eq!(shards.map(peers), before);
    echo_all(&mut clients, "after");
    drop(clients);
    cluster.stop();
}

/// PHP's registers send an object when an address is missing in front of others (WIRE.md §2).
#[test]
fn a_list_may_be_an_object() {
    let mut cluster = Cluster::builder().gateways(2).shards(2).gateway_flags(PATIENT).start();
    cluster.register().kill();
    cluster.worker(0).kill();
    let register = FakeRegister::start(cluster.register_address());
    let mut addresses: Vec<_> = (0..4).map(|_| register.gateway().0).collect();
    addresses.sort_unstable();
    let mut shards: Vec<_> =
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(g, s)| cluster.inner_address(g, s).to_string()).into();
    shards.sort_unstable();
    assert_eq!(addresses, shards);
    cluster.launch_worker(0);
    let mut worker = register.worker();
    let [a, b, c, d] = &shards[..] else { panic!("{} shards", shards.len()) };
    say_list(&mut worker, &format!(r#"{{"0":"{a}","4":"{b}","6":"{c}","11":"{d}"}}"#));
    cluster.worker(0).await_ready("worker");
    let mut clients: Vec<_> = (0..20).map(|index| cluster.websocket(index % 2)).collect();
    echo_all(&mut clients, "found by an object");
    drop(clients);
    cluster.stop();
}

/// Registers that are not at 127.0.0.1 hear from gateways and workers every 25 s (WIRE.md §2), and workers from such
/// gateways (§4), so that whatever is between them does not forget the connection.
#[test]
fn who_is_not_local_is_pinged() {
    /// Well beyond the period, which this test sits out.
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut cluster = Cluster::builder().start();
    cluster.register().kill();
    let register = FakeRegister::start(cluster.register_address());
    let mut link = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    assert_eq!(link.query(Cmd::IsOnline, 0, b""), b"i:0;", "no ping before its time");
    for stream in [register.worker(), register.gateway().1] {
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout can be set");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("a line comes in time");
        assert_eq!(line, "{\"event\":\"ping\"}\n");
    }
    let ping = link.expect(Cmd::Ping);
    assert_eq!((ping.connection_id, ping.gateway_port), (0, 0));
    assert!(ping.gateway.ip().is_unspecified() && ping.ext.is_empty() && ping.body.is_empty());
    cluster.stop();
}

/// Two registers, a gateway and workers that know both.
struct TwoRegisters {
    ip: Ipv4Addr,
    registers: [Option<Process>; 2],
    gateway: Process,
    workers: [Option<Process>; 2],
    clients: Vec<WebsocketClient>,
}

impl TwoRegisters {
    const REGISTER_PORTS: [u16; 2] = [1236, 1237];
    const CLIENT_PORT: u16 = 8282;
    const INNER_PORT: u16 = 2900;

    fn start() -> TwoRegisters {
        let ip = own_address();
        let registers = [0, 1].map(|index| Some(TwoRegisters::run_register(ip, index)));
        let listen = format!("websocket://{ip}:{}", TwoRegisters::CLIENT_PORT);
        let (lan_ip, inner_port) = (ip.to_string(), TwoRegisters::INNER_PORT.to_string());
        let mut flags = vec!["--listen", &listen, "--lan-ip", &lan_ip, "--start-port", &inner_port];
        let registers_flag = TwoRegisters::register_address(ip);
        flags.extend(["--count", "1", "--register-address", &registers_flag]);
        flags.extend(PATIENT);
        let gateway = run("gateway", &flags);
        gateway.await_ready("gateway");
        let mut site = TwoRegisters { ip, registers, gateway, workers: [None, None], clients: Vec::new() };
        site.start_worker(0);
        let address = (ip, TwoRegisters::CLIENT_PORT).into();
        site.clients = (0..5).map(|_| WebsocketClient::connect(address)).collect();
        site
    }

    fn register_address(ip: Ipv4Addr) -> String {
        TwoRegisters::REGISTER_PORTS.map(|port| format!("{ip}:{port}")).join(",")
    }

    fn run_register(ip: Ipv4Addr, index: usize) -> Process {
        let listen = format!("{ip}:{}", TwoRegisters::REGISTER_PORTS[index]);
        let register = run("register", &["--listen", &listen]);
        register.await_ready("register");
        register
    }

    fn start_register(&mut self, index: usize) {
        self.registers[index] = Some(TwoRegisters::run_register(self.ip, index));
    }

    fn kill_register(&mut self, index: usize) {
        self.registers[index].take().expect("it runs").kill();
    }

    fn start_worker(&mut self, index: usize) {
        let name = format!("worker{index}");
        let registers = TwoRegisters::register_address(self.ip);
        let worker = run(
            "worker",
            &["--app", "echo", "--count", "1", "--name", &name, "--register-address", &registers],
        );
        worker.await_ready("worker");
        self.workers[index] = Some(worker);
    }

    /// Only a worker that has found the gateway through the registers as they are now can answer after this.
    fn exchange_worker(&mut self, old: usize, new: usize) {
        self.start_worker(new);
        self.await_links(2);
        self.workers[old].take().expect("it runs").stop();
        self.await_links(1);
    }

    fn await_links(&self, count: usize) {
        await_links(SocketAddrV4::new(self.ip, TwoRegisters::INNER_PORT), count);
    }

    fn echo(&mut self, text: &str) {
        echo_all(&mut self.clients, text);
    }

    fn stop(mut self) {
        drop(self.clients);
        self.workers.iter_mut().flatten().for_each(Process::stop);
        self.gateway.stop();
        self.registers.iter_mut().flatten().for_each(Process::stop);
    }
}

fn run(program: &str, flags: &[&str]) -> Process {
    let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Process::start(program, program, &flags)
}

#[test]
fn one_of_several_registers_is_enough() {
    let mut site = TwoRegisters::start();
    site.echo("with both");
    site.kill_register(0);
    site.echo("one is gone");
    site.exchange_worker(0, 1);
    site.echo("found through the second");
    site.start_register(0);
    site.kill_register(1);
    site.exchange_worker(1, 0);
    site.echo("found through the first, which is a new one");
    site.start_register(1);
    site.stop();
}

#[test]
fn all_registers_may_restart() {
    let mut site = TwoRegisters::start();
    site.echo("before");
    (0..2).for_each(|index| site.kill_register(index));
    site.echo("without any register");
    (0..2).for_each(|index| site.start_register(index));
    site.echo("with new ones");
    site.exchange_worker(0, 1);
    site.echo("found through them");
    site.stop();
}

#[test]
fn a_gateway_that_comes_and_goes_hurts_no_other() {
    let mut cluster = Cluster::builder().gateways(2).gateway_flags(PATIENT).start();
    let (unsteady, steady) = (cluster.inner_address(0, 0), cluster.inner_address(1, 0));
    let mut client = cluster.websocket(1);
    client.echo("before");
    let before = peers(steady);
    for round in 0..5 {
        let kill = round % 2 == 0;
        if kill {
            cluster.kill_gateway(0)
        } else {
            cluster.gateway(0).stop()
        }
        client.echo("it is gone");
        cluster.start_gateway(0);
        await_links(unsteady, 1);
        client.echo("it is back");
        cluster.websocket(0).echo("served again");
    }
    assert_eq!(peers(steady), before, "the steady gateway's link was opened again");
    drop(client);
    cluster.stop();
}
