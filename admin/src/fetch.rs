//! Reads another process' status page.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Report;

/// Asks the process whose `--admin` is `address`, with its token if it has one.
///
/// # Errors
/// Nobody there, no answer within 5 s, or an answer that is no report.
pub fn fetch(address: SocketAddr, token: Option<&str>) -> io::Result<Report> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{authorization}\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_SIZE_MAX).read_to_end(&mut answer)?;
    read(&answer).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}

/// What it says of itself, if it says so.
fn read(answer: &[u8]) -> Result<Report, &'static str> {
    const NOT_OURS: &str = "what answers is no --admin of Ringway";
    match split(answer) {
        // Of a process with faults it is 503.
        Some((200 | 503, body)) => serde_json::from_slice(body).map_err(|_| NOT_OURS),
        Some((401, _)) => Err("it wants its --admin-token: give it as --token"),
        _ => Err(NOT_OURS),
    }
}

/// The status and the body of an answer that is one.
pub(crate) fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(answer) else { return None };
    Some((response.code?, &answer[head..]))
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer read, in bytes: some 30,000 rows.
const ANSWER_SIZE_MAX: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Admin, Instance, NoAnswer, Part, PartReport, Row};

    /// A process with a shard that answers and one that has ended.
    fn instance() -> Instance {
        let part = |index, tell: fn(std::sync::mpsc::SyncSender<u64>) -> Result<(), NoAnswer>| {
            let read = |clients| PartReport {
                row: Row { clients: Some(clients), ..Row::default() },
                ..PartReport::default()
            };
            Part::new(format!("gateway:{index}"), "gateway", Some(("shard", index)), tell, read)
        };
        let answers = |answer: std::sync::mpsc::SyncSender<u64>| {
            let _ = answer.send(3);
            Ok(())
        };
        Instance::new("gateway", "1.2.3", vec![part(0, answers), part(1, |_| Err(NoAnswer::Ended))])
    }

    fn ask(admin: &Admin, path: &str) -> String {
        let mut stream = TcpStream::connect(admin.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn what_is_served_is_what_is_fetched() {
        let admin = Admin::serve("0".parse().unwrap(), None, instance()).unwrap();
        assert!(admin.address().ip().is_loopback());
        let report = fetch(admin.address(), None).unwrap();
        assert_eq!((report.process.program.as_str(), report.process.version.as_str()), ("gateway", "1.2.3"));
        assert!(report.process.memory_bytes > 0);
        assert_eq!(
            (report.rows[0].name.as_str(), report.rows[0].clients, report.rows.len()),
            ("gateway:0", Some(3), 1)
        );
        assert_eq!(report.faults, ["gateway:1 has ended"]);
        // Whoever looks at nothing else sees it by the code.
        assert!(ask(&admin, "/status").starts_with("HTTP/1.0 503 "));
        let metrics = ask(&admin, "/metrics");
        for line in
            ["ringway_gateway_up{shard=\"0\"} 1", "ringway_gateway_up{shard=\"1\"} 0", "process_open_fds "]
        {
            assert!(metrics.contains(line), "{line} is not in {metrics}");
        }
        let page = ask(&admin, "/");
        assert!(
            page.contains("content-security-policy: default-src 'none'; ") && page.contains("<title>Ringway")
        );
        let cluster = ask(&admin, "/cluster");
        assert!(cluster.contains("x-frame-options: DENY\r\n"), "{cluster}");
        for part in
            ["\"may_act\":false", "\"here\":true", "gateway:1 has ended", &admin.address().to_string()]
        {
            assert!(cluster.contains(part), "{part} is not in {cluster}");
        }
        let address = admin.address();
        drop(admin);
        assert!(fetch(address, None).is_err());
    }

    #[test]
    fn a_token_that_is_missing_is_asked_for() {
        let admin = Admin::serve("0".parse().unwrap(), Some("t"), instance()).unwrap();
        assert!(fetch(admin.address(), Some("t")).is_ok());
        for wrong in [None, Some("other")] {
            assert!(fetch(admin.address(), wrong).unwrap_err().to_string().contains("--admin-token"));
        }
    }

    #[test]
    fn other_answers_are_refused() {
        for wrong in ["", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0\r\n"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
