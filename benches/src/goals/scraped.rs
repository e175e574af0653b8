//! The echo beside somebody who asks gateway and worker for their metrics every second, and without: what it costs to be watched.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cluster::Cluster;

use super::harness::{Harness, in_turns, path};
use super::{Goal, Round, Scenario, Setup};
use crate::watch::Stopped;

pub(crate) const SCRAPED: Scenario = Scenario {
    name: "scraped",
    usual: Setup { rounds: 9, hold_seconds: 4.0, ..Setup::USUAL },
    columns: &["alone µs", "scraped µs", "ratio", "scrapes", "KB each"],
    goals: &[Goal::at_most("CPU of gateway and worker as a multiple of that without a scraper", 2, 1.02)],
    start,
};

fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    let mut cluster = harness.start(Cluster::builder().admin());
    let admin = cluster.admin_addresses().split_off(1);
    Ok(Box::new(move |index| {
        let side = path(&mut cluster);
        let [(alone, _), (scraped, sizes)] = in_turns(index, [false, true], |is_scraped| {
            let scraper = is_scraped.then(|| Scraper::start(admin.clone()));
            let echo = harness.echo(&side, harness.setup.conns, "--depth 1")?;
            let sizes = scraper.map_or(Ok(Vec::new()), Scraper::stop);
            Ok((echo.cpu_us_per_echo(), sizes.map_err(|error| format!("a scrape failed: {error}"))?))
        })?;
        let bytes = sizes.iter().sum::<usize>() as f64;
        let (scrapes, kb) = (sizes.len() as f64, bytes / 1e3 / sizes.len().max(1) as f64);
        Ok(vec![alone, scraped, scraped / alone, scrapes, kb])
    }))
}

/// A thread that asks for `/metrics` of several programs every second, and notes how long the answers were.
struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<Vec<usize>>>,
}

impl Scraper {
    fn start(admin: Vec<SocketAddrV4>) -> Scraper {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut sizes = Vec::new();
            loop {
                for address in &admin {
                    sizes.push(scrape(*address)?);
                }
                match stopped.recv_timeout(Duration::from_secs(1)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(sizes),
                }
            }
        });
        Scraper { stop, thread }
    }

    fn stop(self) -> io::Result<Vec<usize>> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the scraper panicked")))
    }
}

/// As Prometheus asks; how many bytes it is answered.
fn scrape(address: SocketAddrV4) -> io::Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") {
        true => Ok(answer.len()),
        false => Err(io::Error::other(answer.lines().next().unwrap_or_default().to_owned())),
    }
}
