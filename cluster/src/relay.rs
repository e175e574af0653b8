//! A relay between two programs, which remembers all that passes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// It serves until the test ends.
#[derive(Clone, Debug)]
pub struct Relay {
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    /// Serves at `address`, and passes on to `to`, in both directions.
    pub fn start(address: SocketAddrV4, to: SocketAddrV4) -> Relay {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let relay = Relay { passed: Arc::default() };
        let passing = relay.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Who is away takes no connection, as without a relay.
                let Ok(far) = TcpStream::connect(to) else { continue };
                let ends = [(&near, &far), (&far, &near)];
                for (from, to) in ends.map(|(from, to)| (from.try_clone(), to.try_clone())) {
                    let (from, to) = (from.expect("a descriptor"), to.expect("a descriptor"));
                    let passing = passing.clone();
                    thread::spawn(move || passing.pass_on(from, to));
                }
            }
        });
        relay
    }

    /// Whether these bytes have passed, in one piece as they were read.
    pub fn has_passed(&self, bytes: &[u8]) -> bool {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.windows(bytes.len()).any(|window| window == bytes)
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(size) = from.read(&mut buffer)
            && size > 0
        {
            self.passed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..size]);
            if to.write_all(&buffer[..size]).is_err() {
                break;
            }
        }
        // Either may have gone.
        let _ = (to.shutdown(Shutdown::Write), from.shutdown(Shutdown::Read));
    }
}
