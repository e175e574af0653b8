//! A whole Ringway: registers, gateways and workers, each a process of its own.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::loopback::own_address;
use crate::process::Process;
use crate::sockets::{accepted_count, is_listening};
use crate::wait::wait_until;

/// A client protocol that gateways listen for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listen {
    /// RFC 6455.
    Websocket,
    /// Lines.
    Text,
    /// Length-prefixed.
    Frame,
    /// Raw bytes.
    Tcp,
}

impl Listen {
    /// All four.
    pub const ALL: [Listen; 4] = [Listen::Websocket, Listen::Text, Listen::Frame, Listen::Tcp];

    fn scheme(self) -> &'static str {
        match self {
            Listen::Websocket => "websocket",
            Listen::Text => "text",
            Listen::Frame => "frame",
            Listen::Tcp => "tcp",
        }
    }
}

/// The first register's port on the cluster's address; those of others follow.
const REGISTER_PORT: u16 = 1236;
/// The first gateway's first listener; a gateway's listeners follow in the order of [`Listen`].
const CLIENT_PORT: u16 = 8282;
/// Between the listeners of two gateways.
const CLIENT_PORT_STEP: u16 = 10;
/// The first gateway's first shard.
const INNER_PORT: u16 = 2900;
/// Between the first shards of two gateways, and so the most shards of one.
const INNER_PORT_STEP: u16 = 100;

/// Where the first register tells how it is; those of the gateways and of the workers follow at a distance.
const ADMIN_PORT: u16 = 9500;
/// Between the register's and the first gateway's, and between that and the first worker's.
const ADMIN_PORT_STEP: u16 = 100;

/// What a cluster shall be made of.
#[derive(Clone, Debug)]
pub struct Builder {
    registers: u16,
    gateways: usize,
    shards: u16,
    workers: usize,
    app: String,
    secret_key: String,
    inner_auth: String,
    flags: Vec<String>,
    admin: bool,
    programs: Option<PathBuf>,
    listen: Vec<Listen>,
    gateway_flags: Vec<String>,
    worker_flags: Vec<String>,
}

impl Builder {
    /// How many registers; 1 by default.
    pub fn registers(mut self, count: u16) -> Builder {
        self.registers = count;
        self
    }

    /// How many gateway processes; 1 by default.
    pub fn gateways(mut self, count: usize) -> Builder {
        self.gateways = count;
        self
    }

    /// How many shards in each gateway; 1 by default.
    pub fn shards(mut self, count: u16) -> Builder {
        assert!((1..=INNER_PORT_STEP).contains(&count));
        self.shards = count;
        self
    }

    /// How many worker processes, of one core each; 1 by default, 0 for tests that play the worker themselves.
    pub fn workers(mut self, count: usize) -> Builder {
        self.workers = count;
        self
    }

    /// The workers' built-in app; `echo` by default.
    pub fn app(mut self, app: &str) -> Builder {
        self.app = app.to_owned();
        self
    }

    /// The key that all three programs share; none by default.
    pub fn secret_key(mut self, key: &str) -> Builder {
        self.secret_key = key.to_owned();
        self
    }

    /// How they show it: `plain` by default.
    pub fn inner_auth(mut self, inner_auth: &str) -> Builder {
        self.inner_auth = inner_auth.to_owned();
        self
    }

    /// More flags for all three programs, as on the command line.
    pub fn flags(mut self, flags: &[&str]) -> Builder {
        self.flags = owned(flags);
        self
    }

    /// Every process has an `--admin`, see [`Cluster::admin_addresses`].
    pub fn admin(mut self) -> Builder {
        self.admin = true;
        self
    }

    /// The folder of the programs, built by somebody; those of this tree by default.
    pub fn programs(mut self, directory: &Path) -> Builder {
        self.programs = Some(directory.to_owned());
        self
    }

    /// What the gateways listen for; websocket alone by default.
    pub fn listen(mut self, protocols: &[Listen]) -> Builder {
        self.listen = protocols.to_vec();
        self
    }

    /// More flags for the gateways, as on the command line.
    pub fn gateway_flags(mut self, flags: &[&str]) -> Builder {
        self.gateway_flags = owned(flags);
        self
    }

    /// More flags for the workers, as on the command line.
    pub fn worker_flags(mut self, flags: &[&str]) -> Builder {
        self.worker_flags = owned(flags);
        self
    }

    /// Starts it all and waits until every process says that it is ready.
    pub fn start(self) -> Cluster {
        let mut cluster = Cluster {
            ip: own_address(),
            plan: self,
            registers: Vec::new(),
            gateways: Vec::new(),
            workers: Vec::new(),
        };
        for index in 0..usize::from(cluster.plan.registers) {
            cluster.registers.push(None);
            cluster.start_register_at(index);
        }
        for index in 0..cluster.plan.gateways {
            cluster.start_gateway(index);
        }
        for index in 0..cluster.plan.workers {
            cluster.start_worker(index);
        }
        cluster
    }
}

/// A running cluster on a loopback address of its own.
///
/// Dropped, its processes are killed; [`Cluster::stop`] ends them as an operator does and checks their exit codes.
#[derive(Debug)]
pub struct Cluster {
    ip: Ipv4Addr,
    plan: Builder,
    registers: Vec<Option<Process>>,
    gateways: Vec<Option<Process>>,
    workers: Vec<Option<Process>>,
}

impl Cluster {
    /// A cluster of one gateway with one shard, a websocket listener, and one echo worker.
    pub fn builder() -> Builder {
        Builder {
            registers: 1,
            gateways: 1,
            shards: 1,
            workers: 1,
            app: "echo".to_owned(),
            secret_key: String::new(),
            inner_auth: String::new(),
            flags: Vec::new(),
            admin: false,
            programs: None,
            listen: vec![Listen::Websocket],
            gateway_flags: Vec::new(),
            worker_flags: Vec::new(),
        }
    }

    /// Where the first register serves.
    pub fn register_address(&self) -> SocketAddrV4 {
        self.register_address_at(0)
    }

    fn register_address_at(&self, index: usize) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, REGISTER_PORT + index as u16)
    }

    /// Where all registers serve, as gateways and workers are told.
    fn register_list(&self) -> String {
        let all =
            (0..usize::from(self.plan.registers)).map(|index| self.register_address_at(index).to_string());
        all.collect::<Vec<_>>().join(",")
    }

    /// Where a gateway serves clients of a protocol.
    pub fn address(&self, gateway: usize, listen: Listen) -> SocketAddr {
        self.client_address(gateway, listen).into()
    }

    fn client_address(&self, gateway: usize, listen: Listen) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, CLIENT_PORT + gateway as u16 * CLIENT_PORT_STEP + listen as u16)
    }

    /// Where a gateway's shard serves workers.
    pub fn inner_address(&self, gateway: usize, shard: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, INNER_PORT + gateway as u16 * INNER_PORT_STEP + shard)
    }

    /// Where the processes tell how they are: the registers, the gateways, the workers.
    pub fn admin_addresses(&self) -> Vec<SocketAddrV4> {
        let registers = (0..self.registers.len()).map(|index| self.admin_address(0, index));
        let gateways = (0..self.gateways.len()).map(|index| self.admin_address(1, index));
        let workers = (0..self.workers.len()).map(|index| self.admin_address(2, index));
        registers.chain(gateways).chain(workers).collect()
    }

    fn admin_address(&self, step: u16, index: usize) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, ADMIN_PORT + step * ADMIN_PORT_STEP + index as u16)
    }

    /// Waits until a gateway's shard holds exactly this many inner connections.
    ///
    /// A worker that has ended is one thing, that the gateway knows it is another: the kernel may deliver the end of its
    /// connections later than that of the process, and what is sent to it in between is lost.
    pub fn await_links(&self, gateway: usize, shard: u16, count: usize) {
        let address = self.inner_address(gateway, shard);
        let what = format!("{count} connections at {address}");
        wait_until(&what, || (accepted_count(address) == count).then_some(()));
    }

    /// The first register's process.
    pub fn register(&mut self) -> &mut Process {
        self.register_at(0)
    }

    /// Any register's process.
    pub fn register_at(&mut self, index: usize) -> &mut Process {
        self.registers[index].as_mut().expect("the register was started")
    }

    /// A gateway's process.
    pub fn gateway(&mut self, index: usize) -> &mut Process {
        self.gateways[index].as_mut().expect("the gateway was started")
    }

    /// A worker's process.
    pub fn worker(&mut self, index: usize) -> &mut Process {
        self.workers[index].as_mut().expect("the worker was started")
    }

    /// What a worker has logged so far.
    pub fn worker_log(&self, index: usize) -> String {
        self.workers[index].as_ref().expect("the worker was started").stderr()
    }

    /// Starts the first register, or starts it again once it has ended, on the same address.
    pub fn start_register(&mut self) {
        self.start_register_at(0);
    }

    /// The same of any register.
    pub fn start_register_at(&mut self, index: usize) {
        self.registers[index] = None;
        let flags = vec!["--listen".to_owned(), self.register_address_at(index).to_string()];
        let flags = self.with_common(flags, self.admin_address(0, index));
        self.registers[index] = Some(self.start_program(&format!("register {index}"), "register", &flags));
    }

    /// Starts a gateway, one more if `index` is their number, or starts it again once it has ended, on the same addresses.
    pub fn start_gateway(&mut self, index: usize) {
        if index == self.gateways.len() {
            self.gateways.push(None);
        }
        self.gateways[index] = None;
        let mut flags = Vec::new();
        for listen in &self.plan.listen {
            let address = self.address(index, *listen);
            flags.extend(["--listen".to_owned(), format!("{}://{address}", listen.scheme())]);
        }
        let inner = self.inner_address(index, 0);
        flags.extend(["--lan-ip".to_owned(), inner.ip().to_string()]);
        flags.extend(["--start-port".to_owned(), inner.port().to_string()]);
        flags.extend(["--count".to_owned(), self.plan.shards.to_string()]);
        flags.extend(["--register-address".to_owned(), self.register_list()]);
        flags.extend_from_slice(&self.plan.gateway_flags);
        let flags = self.with_common(flags, self.admin_address(1, index));
        self.gateways[index] = Some(self.start_program(&format!("gateway {index}"), "gateway", &flags));
    }

    /// Kills a gateway and waits until its ports are free: the kernel takes a ring apart after its process has ended.
    pub fn kill_gateway(&mut self, index: usize) {
        self.gateway(index).kill();
        let inner = (0..self.plan.shards).map(|shard| self.inner_address(index, shard));
        let clients = self.plan.listen.iter().map(|listen| self.client_address(index, *listen));
        for address in inner.chain(clients) {
            let what = format!("{address} to be free");
            wait_until(&what, || (!is_listening(address)).then_some(()));
        }
    }

    /// Starts a worker, one more if `index` is their number, or starts it again once it has ended, under the same name.
    pub fn start_worker(&mut self, index: usize) {
        self.launch_worker(index);
        self.worker(index).await_ready("worker");
    }

    /// The same without waiting: a worker is ready only when it has found a register.
    pub fn launch_worker(&mut self, index: usize) {
        if index == self.workers.len() {
            self.workers.push(None);
        }
        self.workers[index] = None;
        let mut flags = owned(&["--app", &self.plan.app, "--count", "1"]);
        flags.extend(["--name".to_owned(), format!("worker{index}")]);
        flags.extend(["--register-address".to_owned(), self.register_list()]);
        flags.extend_from_slice(&self.plan.worker_flags);
        let flags = self.with_common(flags, self.admin_address(2, index));
        self.workers[index] = Some(self.launch(&format!("worker {index}"), "worker", &flags));
    }

    /// What all processes have written so far.
    pub fn output(&self) -> String {
        let gateways = self.gateways.iter().flatten();
        let workers = self.workers.iter().flatten();
        self.registers.iter().flatten().chain(gateways).chain(workers).map(Process::output).collect()
    }

    /// Ends every process by SIGTERM, workers first and registers last, and checks that each exits with 0.
    pub fn stop(mut self) {
        stop_all(self.workers.iter_mut().flatten());
        stop_all(self.gateways.iter_mut().flatten());
        stop_all(self.registers.iter_mut().flatten());
    }

    fn start_program(&self, name: &str, program: &str, flags: &[String]) -> Process {
        let process = self.launch(name, program, flags);
        process.await_ready(program);
        process
    }

    fn launch(&self, name: &str, program: &str, flags: &[String]) -> Process {
        let Some(directory) = &self.plan.programs else { return Process::start(name, program, flags) };
        let mut command = Command::new(directory.join(program));
        command.args(flags);
        Process::spawn(name, command)
    }

    /// With the flags that all three programs have.
    fn with_common(&self, mut flags: Vec<String>, admin: SocketAddrV4) -> Vec<String> {
        if self.plan.admin {
            flags.extend(["--admin".to_owned(), admin.to_string()]);
        }
        if !self.plan.secret_key.is_empty() {
            flags.extend(["--secret-key".to_owned(), self.plan.secret_key.clone()]);
        }
        if !self.plan.inner_auth.is_empty() {
            flags.extend(["--inner-auth".to_owned(), self.plan.inner_auth.clone()]);
        }
        flags.extend_from_slice(&self.plan.flags);
        flags
    }
}

/// Ends those that still run, all at once.
fn stop_all<'a>(processes: impl Iterator<Item = &'a mut Process>) {
    let mut running: Vec<_> =
        processes.filter_map(|process| process.is_running().then_some(process)).collect();
    running.iter_mut().for_each(|process| process.terminate());
    running.iter_mut().for_each(|process| process.await_clean_exit());
}

fn owned(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}
