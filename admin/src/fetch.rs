//! Reads another process' status page.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Report;

/// Asks the process whose `--admin` is `address`.
///
/// # Errors
/// Nobody there, no answer within 5 s, or an answer that is no report.
pub fn fetch(address: SocketAddr) -> io::Result<Report> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_SIZE_MAX).read_to_end(&mut answer)?;
    body(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers is no --admin of Ringway"))
}

fn body(answer: &[u8]) -> Option<Report> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else { return None };
    // Of a process with faults it is 503.
    matches!(response.code, Some(200 | 503)).then(|| serde_json::from_slice(&answer[head..]).ok())?
}

const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer read, in bytes: some 30,000 rows.
const ANSWER_SIZE_MAX: u64 = 32 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Admin, NoAnswer, Process, Row};

    #[test]
    fn what_is_served_is_what_is_fetched() {
        let report = Report {
            process: Process::this("gateway", "1.2.3", Duration::from_secs(5)),
            rows: vec![Row { name: "gateway:0".into(), clients: Some(3), ..Row::default() }],
            faults: Vec::new(),
        };
        let served = report.clone();
        let admin = Admin::serve("0".parse().unwrap(), move || served.clone()).unwrap();
        assert!(admin.address().ip().is_loopback());
        assert_eq!(fetch(admin.address()).unwrap(), report);
        assert!(report.process.memory_bytes > 0);
        let address = admin.address();
        drop(admin);
        assert!(fetch(address).is_err());
    }

    #[test]
    fn a_process_with_faults_says_so_by_its_status() {
        let process = Process::this("gateway", "1.2.3", Duration::ZERO);
        let parts =
            [("gateway:0".to_owned(), Ok(Row::default())), ("gateway:1".to_owned(), Err(NoAnswer::Ended))];
        let report = Report::new(process, parts);
        assert_eq!((report.rows.len(), &report.faults[..]), (1, &["gateway:1 has ended".to_owned()][..]));
        let served = report.clone();
        let admin = Admin::serve("0".parse().unwrap(), move || served.clone()).unwrap();
        let mut stream = TcpStream::connect(admin.address()).unwrap();
        write!(stream, "GET /status HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 503 ") && answer.contains("gateway:1 has ended"), "{answer}");
        assert_eq!(fetch(admin.address()).unwrap(), report);
    }

    #[test]
    fn other_answers_are_refused() {
        for wrong in ["", "HTTP/1.1 200 OK\r\n\r\n{}", "HTTP/1.1 404 Not Found\r\n\r\n", "SSH-2.0\r\n"] {
            assert_eq!(body(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
