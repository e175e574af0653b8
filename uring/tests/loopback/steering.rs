//! Sockets that share a port: which one gets a connection.

use std::net::{SocketAddr, TcpListener, TcpStream};

use ringway_uring::{Steering, steer};
use socket2::{Domain, Socket, Type};

/// `count` sockets that listen on one port.
fn listeners(count: usize) -> (Vec<TcpListener>, SocketAddr) {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut listen = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(1024).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from(socket);
        address = listener.local_addr().unwrap();
        listener
    };
    ((0..count).map(|_| listen()).collect(), address)
}

/// How many of `count` new connections each socket gets.
fn spread(listeners: &[TcpListener], address: SocketAddr, count: usize) -> Vec<usize> {
    let _clients: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    listeners.iter().map(|listener| std::iter::from_fn(|| listener.accept().ok()).count()).collect()
}

#[test]
fn by_lot_all_get_their_share() {
    let (listeners, address) = listeners(4);
    steer(&listeners[0], Steering::Even { sockets: 4 }).unwrap();
    let spread = spread(&listeners, address, 800);
    assert_eq!(spread.iter().sum::<usize>(), 800);
    // Nine standard deviations.
    assert!(spread.iter().all(|count| (90..=310).contains(count)), "{spread:?}");
}

#[test]
fn a_number_beyond_the_sockets_costs_no_connection() {
    let (listeners, address) = listeners(2);
    steer(&listeners[1], Steering::Even { sockets: 1000 }).unwrap();
    assert_eq!(spread(&listeners, address, 100).iter().sum::<usize>(), 100);
}

/// On this machine a connection is received on the CPU that sends it, which the kernel is free to change meanwhile: so
/// it is told to send from one only.
#[test]
fn a_connection_goes_to_the_thread_on_its_cpu() {
    let cpus = rustix::thread::sched_getaffinity(None).unwrap();
    let allowed: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).collect();
    for (at, cpu) in allowed.iter().enumerate() {
        let (listeners, address) = listeners(allowed.len());
        steer(&listeners[0], Steering::ByCpu { cpus: &allowed }).unwrap();
        let mut only = rustix::thread::CpuSet::new();
        only.set(*cpu);
        rustix::thread::sched_setaffinity(None, &only).unwrap();
        let spread = spread(&listeners, address, 50);
        assert_eq!(spread[at], 50, "CPU {cpu} of {allowed:?}: {spread:?}");
    }
}
