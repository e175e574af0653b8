//! Several machines: network namespaces on a bridge where this machine allows them, else loopback addresses.
//!
//! A host that is cut off says nothing any more, not even that it is gone. On a bridge its cable is pulled; on loopback,
//! where there is none, its processes are stopped, which to the others is the same but for the kernel that goes on
//! acknowledging what they send.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio, id};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::own_address;
use crate::process::{Process, binary_path};

/// Hosts that reach each other, and that this process reaches. Gone when dropped; drop the processes first.
#[derive(Debug)]
pub struct Network {
    bridge: Option<Bridge>,
    addresses: Vec<Ipv4Addr>,
}

impl Network {
    /// Hosts with namespaces of their own.
    ///
    /// # Errors
    /// Why this machine does not allow that: mostly no root, or no `ip`.
    pub fn namespaces(hosts: usize) -> Result<Network, String> {
        let bridge = Bridge::new(hosts)?;
        let addresses = (0..hosts).map(|host| bridge.address(host)).collect();
        Ok(Network { bridge: Some(bridge), addresses })
    }

    /// Hosts that are loopback addresses.
    pub fn loopback(hosts: usize) -> Network {
        Network { bridge: None, addresses: (0..hosts).map(|_| own_address()).collect() }
    }

    /// A host's address.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        self.addresses[host]
    }

    /// Starts a program of the workspace on a host, and waits until it is ready.
    pub fn start(&self, host: usize, name: &str, program: &str, flags: &[String]) -> Process {
        let process = match &self.bridge {
            None => Process::start(name, program, flags),
            Some(bridge) => {
                let mut command = Command::new("ip");
                // It becomes the program: signals reach that.
                command.args(["netns", "exec", &bridge.host(host)]).arg(binary_path(program)).args(flags);
                Process::spawn(name, command)
            }
        };
        process.await_ready(program);
        process
    }

    /// Cuts a host off, without a word. `processes` are all that run there.
    pub fn cut(&self, host: usize, processes: &mut [&mut Process]) {
        match &self.bridge {
            Some(bridge) => bridge.unplug(host),
            None => processes.iter_mut().for_each(|process| process.pause()),
        }
    }

    /// Lets a host that was cut off come back.
    pub fn join(&self, host: usize, processes: &mut [&mut Process]) {
        match &self.bridge {
            Some(bridge) => bridge.plug(host),
            None => processes.iter_mut().for_each(|process| process.resume()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.bridge.is_some() { "network namespaces" } else { "loopback addresses" })
    }
}

/// A namespace that is a switch, one for each host, and an interface of ours, all on a bridge.
#[derive(Debug)]
struct Bridge {
    /// Every name begins with it.
    name: String,
    hosts: usize,
}

impl Bridge {
    fn new(hosts: usize) -> Result<Bridge, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        remove_stale();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // An interface's name has 15 bytes; a process id has 7 digits.
        let bridge = Bridge { name: format!("{PREFIX}{}{}", id(), (b'a' + count as u8) as char), hosts };
        bridge.set_up()?;
        Ok(bridge)
    }

    fn set_up(&self) -> Result<(), String> {
        let (switch, own) = (self.switch(), self.own_interface());
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add bridge type bridge"))?;
        ip(&format!("-n {switch} link set bridge up"))?;
        ip(&format!("link add {own} type veth peer name own netns {switch}"))?;
        ip(&format!("addr add {}/24 dev {own}", self.numbered(1)))?;
        ip(&format!("link set {own} up"))?;
        ip(&format!("-n {switch} link set own master bridge up"))?;
        for host in 0..self.hosts {
            let name = self.host(host);
            ip(&format!("netns add {name}"))?;
            ip(&format!("link add cable netns {name} type veth peer name port{host} netns {switch}"))?;
            ip(&format!("-n {name} addr add {}/24 dev cable", self.address(host)))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set cable up"))?;
            ip(&format!("-n {switch} link set port{host} master bridge up"))?;
        }
        Ok(())
    }

    fn switch(&self) -> String {
        format!("{}s", self.name)
    }

    fn own_interface(&self) -> String {
        format!("{}o", self.name)
    }

    fn host(&self, host: usize) -> String {
        format!("{}h{host}", self.name)
    }

    fn address(&self, host: usize) -> Ipv4Addr {
        self.numbered(10 + host as u8)
    }

    /// From the addresses that are set aside for tests of networks (RFC 2544), a /24 of this process' own.
    fn numbered(&self, number: u8) -> Ipv4Addr {
        let [_, _, high, low] = (id() % 512).to_be_bytes();
        Ipv4Addr::new(198, 18 + high, low, number)
    }

    fn unplug(&self, host: usize) {
        ip(&format!("-n {} link set port{host} nomaster", self.switch())).expect("a port can be taken off");
    }

    fn plug(&self, host: usize) {
        ip(&format!("-n {} link set port{host} master bridge", self.switch()))
            .expect("a port can be put back");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // What is in a namespace goes with it, and an interface with its other end.
        let names = (0..self.hosts).map(|host| self.host(host)).chain([self.switch()]);
        for name in names {
            // It may never have come to be.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// Removes what runs that were killed have left.
fn remove_stale() {
    let Ok(list) = ip("netns list") else { return };
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let process: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if !process.is_empty() && !Path::new("/proc").join(process).exists() {
            // Somebody else may have been faster.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// Runs `ip` with these words; what it says.
fn ip(words: &str) -> Result<String, String> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("ip does not start: {error}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {words}: {}", why.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the names of our namespaces begin with; the process id follows.
const PREFIX: &str = "rw";
