//! Which of several sockets that listen on one port (SO_REUSEPORT) gets a new connection: a small program for the kernel
//! (classic BPF), asked once per connection. Knows the kernel's numbering of the sockets, and nothing of rings.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use crate::narrow::narrow;

/// How the kernel is to choose among the sockets of one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Steering<'a> {
    /// By lot, all alike. The kernel's own choice, a hash of the addresses, was seen to favour some sockets.
    Even {
        /// How many sockets there are, at least 1.
        sockets: usize,
    },
    /// The socket whose thread runs on the CPU that received the connection, and where several do or none does, one of
    /// those by lot.
    ByCpu {
        /// The CPU of each socket's thread, in the order in which the sockets began to listen.
        cpus: &'a [usize],
    },
}

/// Sets how the kernel chooses among all sockets that share `listener`'s port. Any one of them will do; all must listen.
/// Their numbers are the order in which they began to listen; when one ends, the last takes its number.
///
/// # Errors
/// What the kernel says: `listener` is not one of several (SO_REUSEPORT), or there are too many for a program (some
/// 500 CPUs).
pub fn steer(listener: &TcpListener, steering: Steering<'_>) -> io::Result<()> {
    let mut program = program(steering).ok_or(io::ErrorKind::InvalidInput)?;
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the pointer is to a sock_fprog of the length given, which points to `len` instructions that live beyond the
    // call; the kernel copies both.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            narrow(size_of::<libc::sock_fprog>()),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

type Instruction = libc::sock_filter;

/// The program's result is the number of a socket; `None` if it cannot be written.
fn program(steering: Steering<'_>) -> Option<Vec<Instruction>> {
    let mut program = Vec::new();
    match steering {
        Steering::Even { sockets } => by_lot(&mut program, &(0..sockets).collect::<Vec<_>>())?,
        Steering::ByCpu { cpus } => {
            let mut known = cpus.to_vec();
            known.sort_unstable();
            known.dedup();
            for cpu in known {
                let of_cpu: Vec<usize> = (0..cpus.len()).filter(|socket| cpus[*socket] == cpu).collect();
                let mut choice = Vec::new();
                by_lot(&mut choice, &of_cpu)?;
                program.push(load(libc::SKF_AD_CPU));
                let skip = u8::try_from(choice.len()).ok()?;
                program.push(jump(libc::BPF_JEQ, cpu.try_into().ok()?, 0, skip));
                program.append(&mut choice);
            }
            by_lot(&mut program, &(0..cpus.len()).collect::<Vec<_>>())?;
        }
    }
    (program.len() <= INSTRUCTIONS_MAX).then_some(program)
}

/// Ends with one of `sockets`, which are not none.
fn by_lot(program: &mut Vec<Instruction>, sockets: &[usize]) -> Option<()> {
    let (first, rest) = sockets.split_first()?;
    let step = rest.first().map_or(0, |second| second - first);
    let evenly_spaced = sockets.windows(2).all(|pair| pair[1] - pair[0] == step);
    if !evenly_spaced {
        return by_lot_of_any(program, sockets);
    }
    let [first, count, step] = [*first, sockets.len(), step].map(u32::try_from);
    let (first, count, step) = (first.ok()?, count.ok()?, step.ok()?);
    program.push(load(libc::SKF_AD_RANDOM));
    program.push(calculate(libc::BPF_MOD, count));
    program.push(calculate(libc::BPF_MUL, step));
    program.push(calculate(libc::BPF_ADD, first));
    program.push(statement(libc::BPF_RET | libc::BPF_A, 0));
    Some(())
}

/// As [`by_lot`], with a comparison for each.
fn by_lot_of_any(program: &mut Vec<Instruction>, sockets: &[usize]) -> Option<()> {
    program.push(load(libc::SKF_AD_RANDOM));
    program.push(calculate(libc::BPF_MOD, sockets.len().try_into().ok()?));
    for (number, socket) in sockets.iter().enumerate() {
        program.push(jump(libc::BPF_JEQ, narrow(number), 0, 1));
        program.push(statement(libc::BPF_RET | libc::BPF_K, (*socket).try_into().ok()?));
    }
    // Not reached: the remainder is one of the numbers. The kernel wants every path to end.
    program.push(statement(libc::BPF_RET | libc::BPF_K, 0));
    Some(())
}

fn load(what: libc::c_int) -> Instruction {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (libc::SKF_AD_OFF + what).cast_unsigned())
}

fn calculate(operation: u32, operand: u32) -> Instruction {
    statement(libc::BPF_ALU | operation | libc::BPF_K, operand)
}

fn jump(condition: u32, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction {
        code: opcode(libc::BPF_JMP | condition | libc::BPF_K),
        jt: if_true,
        jf: if_false,
        k: operand,
    }
}

fn opcode(code: u32) -> u16 {
    code.try_into().expect("the opcodes of BPF have 16 bits")
}

fn statement(code: u32, operand: u32) -> Instruction {
    Instruction { code: opcode(code), jt: 0, jf: 0, k: operand }
}

/// The kernel's BPF_MAXINSNS.
const INSTRUCTIONS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program chooses; it has no loads but of these two, and no jumps but forward.
    fn run(program: &[Instruction], cpu: u32, random: u32) -> u32 {
        let (mut accumulator, mut at) = (0u32, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let code = u32::from(code);
            if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS {
                accumulator = if k as i32 == libc::SKF_AD_OFF + libc::SKF_AD_CPU { cpu } else { random };
            } else if code == libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K {
                accumulator %= k;
            } else if code == libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K {
                accumulator *= k;
            } else if code == libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K {
                accumulator += k;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += usize::from(if accumulator == k { jt } else { jf });
            } else if code == libc::BPF_RET | libc::BPF_A {
                return accumulator;
            } else {
                assert_eq!(code, libc::BPF_RET | libc::BPF_K);
                return k;
            }
        }
    }

    #[test]
    fn by_lot_every_socket_has_the_same_chance() {
        let program = program(Steering::Even { sockets: 3 }).unwrap();
        let chosen: Vec<u32> = (0..6).map(|random| run(&program, 0, random)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_cpu_has_its_own_sockets() {
        let cpus = [0, 2, 5, 0, 2, 5, 2, 0, 0];
        let program = program(Steering::ByCpu { cpus: &cpus }).unwrap();
        for cpu in 0..6 {
            let own: Vec<usize> = (0..cpus.len()).filter(|socket| cpus[*socket] == cpu).collect();
            let expected = if own.is_empty() { (0..cpus.len()).collect() } else { own };
            let mut chosen: Vec<usize> =
                (0..100).map(|random| run(&program, cpu as u32, random) as usize).collect();
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen, expected, "CPU {cpu}");
        }
    }

    #[test]
    fn what_is_too_much_for_a_program_is_refused() {
        assert!(program(Steering::Even { sockets: 0 }).is_none());
        assert!(program(Steering::ByCpu { cpus: &[] }).is_none());
        let many: Vec<usize> = (0..600).collect();
        assert!(program(Steering::ByCpu { cpus: &many }).is_none());
        assert!(program(Steering::ByCpu { cpus: &many[..500] }).is_some());
    }
}
