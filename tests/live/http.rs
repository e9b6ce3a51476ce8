//! A small client that lives with servers that are killed: every failure of the connection is an error, not a panic.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// One connection, made when it is needed and again after it broke.
#[derive(Default)]
pub(crate) struct Connection {
    stream: Option<BufReader<TcpStream>>,
}

/// What was asked for.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: b"" }
    }
}

impl Connection {
    /// Sends a request and reads status and body. After an error it is unknown whether the server did it.
    pub(crate) fn ask(&mut self, address: &str, token: &str, ask: &Ask<'_>) -> Result<(u16, Vec<u8>)> {
        let answer = self.try_ask(address, token, ask);
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    fn try_ask(&mut self, address: &str, token: &str, ask: &Ask<'_>) -> Result<(u16, Vec<u8>)> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().ok_or(ErrorKind::NotConnected)?;
        let Ask { method, path, body } = ask;
        let mut bytes = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n",
            body.len()
        );
        if *method == "PATCH" {
            bytes.push_str("Content-Type: application/json\r\n");
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(body);
        stream.get_mut().write_all(&bytes)?;
        read_answer(stream)
    }
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>)> {
    let status = line(stream)?;
    let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let mut length = 0;
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        }
    }
    let mut body = Vec::new();
    stream.by_ref().take(length.min(BODY_BYTES_MAX)).read_to_end(&mut body)?;
    if body.len() as u64 == length { Ok((status, body)) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn line(stream: &mut BufReader<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if stream.by_ref().take(16 << 10).read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
