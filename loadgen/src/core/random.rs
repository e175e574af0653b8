//! Numbers that look random, for masks and nonces: nobody is to be kept from guessing them, they are only to differ.

use ring::SocketId;

/// A splitmix64 generator.
#[derive(Debug)]
pub struct Random {
    state: u64,
    seed: u64,
}

impl Random {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Random {
        Random { state: seed, seed }
    }

    /// A websocket mask.
    pub fn mask(&mut self) -> [u8; 4] {
        self.state = self.state.wrapping_add(GOLDEN);
        (mix(self.state) as u32).to_ne_bytes()
    }

    /// The nonce of a socket's handshake, the same whenever it is asked for, so that nobody has to keep it.
    pub fn nonce(&self, socket: SocketId) -> [u8; 16] {
        let name = (socket.index() as u64) << 32 | u64::from(socket.generation());
        let first = mix(self.seed ^ mix(name));
        let second = mix(first.wrapping_add(GOLDEN));
        (u128::from(first) << 64 | u128::from(second)).to_ne_bytes()
    }
}

fn mix(mut number: u64) -> u64 {
    number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_nonces_stay() {
        let mut random = Random::new(1);
        assert_ne!(random.mask(), random.mask());
        let (first, second) = (SocketId::new(1, 0), SocketId::new(1, 1));
        assert_eq!(random.nonce(first), random.nonce(first));
        assert_ne!(random.nonce(first), random.nonce(second));
        assert_ne!(random.nonce(first), Random::new(2).nonce(first));
    }
}
