//! Many clients, each with many messages under way, that hold every answer against what they said.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::{Deadline, LIMIT};

/// What a crowd is made of. A client says `<word> 0`, `<word> 1`, … and expects the same back, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// A listener for the text protocol.
    pub address: SocketAddr,
    /// The words, by turns one for each client.
    pub words: &'static [&'static str],
    /// How many clients.
    pub clients: usize,
    /// Messages per second, of all clients together.
    pub rate: usize,
    /// Messages may get lost, their clients not.
    pub lossy: bool,
}

/// A crowd that talks. Its threads panic at the first answer that is wrong.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Sum>>,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sum {
    /// Messages said.
    pub said: u64,
    /// Answers heard, each the right one.
    pub heard: u64,
    /// The longest time between a message and its answer.
    pub latency_max: Duration,
}

impl Crowd {
    /// Connects all clients and begins.
    pub fn start(plan: Plan) -> Crowd {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = THREADS.min(plan.clients);
        let threads = (0..threads).map(|thread| {
            let talkers: Vec<_> = (thread..plan.clients)
                .step_by(threads)
                .map(|client| Talker::connect(plan.address, plan.words[client % plan.words.len()]))
                .collect();
            let (stop, share) = (Arc::clone(&stop), plan.rate * talkers.len() / plan.clients);
            std::thread::spawn(move || talk(talkers, share, plan.lossy, &stop))
        });
        Crowd { threads: threads.collect(), stop }
    }

    /// Says no more, and waits for what is still to be answered.
    pub fn stop(self) -> Sum {
        self.stop.store(true, Ordering::Relaxed);
        let sums = self.threads.into_iter().map(|thread| match thread.join() {
            Ok(sum) => sum,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        sums.fold(Sum::default(), |all, sum| Sum {
            said: all.said + sum.said,
            heard: all.heard + sum.heard,
            latency_max: all.latency_max.max(sum.latency_max),
        })
    }
}

/// Keeps to `rate` messages per second, then hears the rest.
fn talk(mut talkers: Vec<Talker>, rate: usize, lossy: bool, stop: &AtomicBool) -> Sum {
    let clock = Deadline::after(Duration::from_secs(3_600));
    let elapsed = || Duration::from_secs(3_600) - clock.left();
    let (mut said, mut turn) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let now = elapsed();
        let due = (now.as_secs_f64() * rate as f64) as u64;
        // Who has a lot to hear waits; the others say it all.
        for _ in 0..talkers.len().min((due.saturating_sub(said)) as usize) {
            turn = (turn + 1) % talkers.len();
            if talkers[turn].times.len() < DEPTH_MAX {
                talkers[turn].say(now);
                said += 1;
            }
        }
        talkers.iter_mut().for_each(|talker| talker.hear(elapsed(), lossy));
        std::thread::park_timeout(PAUSE);
    }
    // Of a lossy crowd the last word of each is heard, which is said when all is well again.
    talkers.iter_mut().for_each(|talker| talker.say(elapsed()));
    let deadline = Deadline::after(LIMIT);
    while talkers.iter().any(|talker| talker.heard_up_to < talker.said) {
        assert!(!deadline.is_over(), "{} of {} clients wait in vain", waiting(&talkers), talkers.len());
        talkers.iter_mut().for_each(|talker| talker.hear(elapsed(), lossy));
        std::thread::park_timeout(PAUSE);
    }
    talkers.iter().fold(Sum::default(), |all, talker| Sum {
        said: all.said + talker.said,
        heard: all.heard + talker.heard,
        latency_max: all.latency_max.max(talker.latency_max),
    })
}

fn waiting(talkers: &[Talker]) -> usize {
    talkers.iter().filter(|talker| talker.heard_up_to < talker.said).count()
}

struct Talker {
    word: &'static str,
    stream: TcpStream,
    unread: Vec<u8>,
    said: u64,
    heard: u64,
    /// One more than the number of the last answer.
    heard_up_to: u64,
    /// When what is not answered was said.
    times: VecDeque<Duration>,
    latency_max: Duration,
}

impl Talker {
    fn connect(address: SocketAddr, word: &'static str) -> Talker {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_nonblocking(true).expect("a socket takes options");
        let (unread, times) = (Vec::new(), VecDeque::new());
        Talker { word, stream, unread, said: 0, heard: 0, heard_up_to: 0, times, latency_max: Duration::ZERO }
    }

    fn say(&mut self, now: Duration) {
        let line = format!("{} {}\n", self.word, self.said);
        // At this depth there is always room.
        self.stream.write_all(line.as_bytes()).expect("clients stay connected");
        self.said += 1;
        self.times.push_back(now);
    }

    fn hear(&mut self, now: Duration, lossy: bool) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the gateway has closed a client"),
                Ok(size) => self.unread.extend_from_slice(&buffer[..size]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("a client was lost: {error}"),
            }
        }
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            let number = line.split_once(' ').and_then(|(word, number)| {
                assert_eq!(word, self.word);
                number.parse::<u64>().ok()
            });
            let number = number.unwrap_or_else(|| panic!("an answer like `{line}`"));
            let expected = self.heard_up_to;
            assert!(number == expected || lossy && number > expected, "`{line}` where {expected} is next");
            for _ in expected..=number {
                let said = self.times.pop_front().expect("what is answered was said");
                self.latency_max = self.latency_max.max(now.saturating_sub(said));
            }
            self.heard += 1;
            self.heard_up_to = number + 1;
        }
    }
}

/// Messages of one client that may wait for their answers.
const DEPTH_MAX: usize = 64;

/// Threads of a crowd.
const THREADS: usize = 4;

/// Between two rounds of a thread.
const PAUSE: Duration = Duration::from_millis(2);
