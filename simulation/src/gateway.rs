//! A gateway shard, its sockets, and its connection to the register.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use gateway_core::{ClientCounts, ClientLimits, Identity, Millis, Settings, Shard};
use protocol::register_client::{Limits, Role};
use protocol::register_set::{RegisterConn, RegisterSet};

use crate::embedded::Own;
use crate::network::Pipe;
use crate::sockets::{PipeSink, Sockets};
use crate::world::Given;

/// A gateway shard.
pub(crate) struct Gateway {
    pub(crate) shard: Shard,
    /// What it counts its clients by.
    pub(crate) counts: ClientCounts,
    pub(crate) address: SocketAddrV4,
    pub(crate) sockets: Sockets,
    pub(crate) life: u32,
    pub(crate) registration: RegisterSet,
    /// Its pipes to registers.
    pub(crate) to_registers: Vec<(RegisterConn, usize)>,
    /// One of these was cut: the register has told that it was gone.
    pub(crate) was_cut_off: bool,
    /// The worker in its process, if there is one.
    pub(crate) own: Option<Own>,
}

impl Gateway {
    /// `life`: which process it is at this address.
    pub(crate) fn new(index: usize, seed: u64, life: u32, now: Millis, given: &Given) -> Gateway {
        // Each on a machine of its own.
        let lan_ip = Ipv4Addr::new(10, 0, 0, 1 + index as u8);
        let address = SocketAddrV4::new(lan_ip, 2900);
        let listen = ["text://127.0.0.1:1000", "websocket://127.0.0.1:1001"];
        let listen = listen.map(|address| address.parse().expect("a listen address")).into();
        // The register may be away for longer than is usual.
        let no_worker_wait = Duration::from_secs(60);
        let client_limits = ClientLimits {
            clients_max: Some(1_000_000),
            address_clients_max: Some(1_000_000),
            ..ClientLimits::default()
        };
        let counts = ClientCounts::new(&client_limits);
        let settings = Settings {
            client_limits,
            client_counts: Some(counts.clone()),
            listen,
            send_to_worker_buffer_size: SEND_TO_WORKER_BUFFER_SIZE,
            no_worker_wait,
            drain_timeout: Duration::ZERO,
            lan_ip,
            secret_key: given.credentials.secret_key.clone(),
            inner_auth: given.inner_auth(),
            nonces: given.nonces(),
            ..Settings::default()
        };
        let role = Role::Gateway(address.to_string());
        let registration =
            RegisterSet::new(&given.register_addresses, role, given.credentials.clone(), Limits::default());
        let shard = Shard::new(settings, Identity { address, seed }, now);
        let sockets = Sockets::new(life);
        Gateway {
            shard,
            counts,
            address,
            sockets,
            life,
            registration,
            to_registers: Vec::new(),
            was_cut_off: false,
            own: None,
        }
    }

    /// Runs turns until none is pending.
    pub(crate) fn turn(&mut self, now: Millis, pipes: &mut [Pipe]) {
        loop {
            self.turn_once(now, pipes);
            if !self.shard.is_pending() {
                return;
            }
        }
    }

    /// One turn.
    pub(crate) fn turn_once(&mut self, now: Millis, pipes: &mut [Pipe]) {
        let near = self.own.as_mut().map(|own| &mut own.links);
        let mut sink = PipeSink { sockets: &mut self.sockets, pipes, near, waits: false };
        let Ok(()) = self.shard.turn(now, &mut sink);
        assert!(!(sink.waits && self.shard.is_pending()), "it waits with work at hand");
    }
}

/// Bytes queued for a worker from which on its clients are not read.
pub(crate) const SEND_TO_WORKER_BUFFER_SIZE: usize = 400;
