//! The handshake.

/// A websocket request, parsed, not yet answered.
#[derive(Debug)]
pub struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<httparse::Header<'a>>,
}

impl<'a> Request<'a> {
    /// The method.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The request target as sent: path and query.
    pub fn target(&self) -> &'a [u8] {
        self.target.as_bytes()
    }

    /// Headers in order of arrival, names as sent, repeated ones each for itself.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// Appends the 101 response.
    pub fn accept(&self, extra: &[&str], out: &mut Vec<u8>) {
        let _ = (extra, out);
    }

    /// Appends a refusal with this status.
    pub fn refuse(&self, status: u16, out: &mut Vec<u8>) {
        let _ = (status, out);
    }
}
