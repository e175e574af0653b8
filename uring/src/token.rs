//! What travels with an operation through the kernel and comes back with its completion: 64 bits that say which
//! operation it was and whose.

use crate::slots::SocketId;

/// Which operation completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Op {
    /// Nobody waits for it: cancellations.
    Ignored,
    Accept,
    Connect,
    /// The poll that parks an idle socket.
    Park,
    /// The poll for room after a short send.
    PollOut,
    Receive,
    Send,
    /// Our FIN, asked for by `shutdown`.
    ShutdownWrite,
    /// Both directions, first step of `close`.
    ShutdownBoth,
    /// Removal from the file table, last step of `close`.
    Release,
    /// The poll that tells of wakes by other threads.
    Waker,
    /// The receive that a preferred socket waits by.
    ReceiveAhead,
}

/// Operation, index (below 2^28) and generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(pub(crate) u64);

impl Token {
    pub(crate) const IGNORED: Token = Token(0);

    pub(crate) fn of(op: Op, socket: SocketId) -> Token {
        Token::new(op, socket.slot(), socket.generation())
    }

    /// For operations that are not a socket's: accepts (listener, number), receives (buffer, 0).
    pub(crate) fn new(op: Op, index: u32, second: u32) -> Token {
        debug_assert!(index < 1 << 28);
        Token((op as u64) << 60 | u64::from(index) << 32 | u64::from(second))
    }

    pub(crate) fn op(self) -> Op {
        match self.0 >> 60 {
            1 => Op::Accept,
            2 => Op::Connect,
            3 => Op::Park,
            4 => Op::PollOut,
            5 => Op::Receive,
            6 => Op::Send,
            7 => Op::ShutdownWrite,
            8 => Op::ShutdownBoth,
            9 => Op::Release,
            10 => Op::Waker,
            11 => Op::ReceiveAhead,
            _ => Op::Ignored,
        }
    }

    pub(crate) fn index(self) -> u32 {
        (self.0 >> 32) as u32 & 0x0fff_ffff
    }

    pub(crate) fn second(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    pub(crate) fn socket(self) -> SocketId {
        SocketId::new(self.index(), self.second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_comes_back_with_its_socket() {
        let ops = [
            Op::Ignored,
            Op::Accept,
            Op::Connect,
            Op::Park,
            Op::PollOut,
            Op::Receive,
            Op::Send,
            Op::ShutdownWrite,
            Op::ShutdownBoth,
            Op::Release,
            Op::Waker,
        ];
        for op in ops {
            for socket in [SocketId::new(0, 0), SocketId::new((1 << 28) - 1, u32::MAX)] {
                let token = Token::of(op, socket);
                assert_eq!((token.op(), token.socket()), (op, socket));
            }
        }
        assert_eq!(Token::IGNORED.op(), Op::Ignored);
    }
}
