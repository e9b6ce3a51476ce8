//! A blocking HTTP/1.1 client that sends exactly the bytes it is given and keeps exactly those it gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use super::contract;

/// No test waits longer than this for the server to act.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Ask {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn put(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("PUT", path).body(body)
    }

    pub(crate) fn json(method: &str, path: &str, body: &Value) -> Self {
        Self::new(method, path).header("content-type", "application/json").body(body.to_string())
    }

    /// A publish in parts: metadata, then the artifact.
    pub(crate) fn multipart(path: &str, metadata: &Value, artifact: &[u8]) -> Self {
        let head = |name: &str, more: &str| {
            format!("--vixr-b\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n")
        };
        let mut body = head("metadata", "").into_bytes();
        body.extend(metadata.to_string().into_bytes());
        body.extend(b"\r\n");
        body.extend(head("artifact", "; filename=\"a\"").into_bytes());
        body.extend(artifact);
        body.extend(b"\r\n--vixr-b--\r\n");
        Self::new("POST", path).header("content-type", "multipart/form-data; boundary=vixr-b").body(body)
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends the token as Bearer; an empty one is nobody's.
    #[must_use]
    pub(crate) fn token(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.header("authorization", &format!("Bearer {token}")) }
    }

    #[must_use]
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn names(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The head as it goes over the wire; `Host` and `Content-Length` are added unless they are given.
    pub(crate) fn head(&self, address: SocketAddr) -> String {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path)];
        if !self.names("host") {
            lines.push(format!("Host: {address}"));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let is_framed = self.names("content-length") || self.names("transfer-encoding");
        if let Some(body) = self.body.as_ref().filter(|_| !is_framed) {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        lines.join("\r\n") + "\r\n\r\n"
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body is whole.
    pub(crate) whole: bool,
}

impl Answer {
    /// The first value of a header, or an empty text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.all(name).into_iter().next().unwrap_or("")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// `data` of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!(json["ok"], true, "{} {json}", self.status);
        json["data"].take()
    }

    /// The reason of a failure, also where there is no body; empty for a success.
    pub(crate) fn reason(&self) -> String {
        self.header("x-error").split(';').next().unwrap_or("").to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }

    /// For what the contract leaves open.
    #[track_caller]
    pub(crate) fn status_in(&self, statuses: impl IntoIterator<Item = u16>) {
        let is_in = statuses.into_iter().any(|status| status == self.status);
        assert!(is_in, "{} {}", self.status, self.text());
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, reason: &str) -> Self {
        assert_eq!((self.status, self.reason().as_str()), (status, reason), "{:?} {}", self.headers, self.text());
        self
    }
}

/// One connection.
pub(crate) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { address, stream: BufReader::with_capacity(64 << 10, stream) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request and reads its answer, which is held against the contract.
    #[track_caller]
    pub(crate) fn ask(&mut self, ask: &Ask) -> Answer {
        self.write(ask.head(self.address).as_bytes());
        // A server that refused already may have stopped reading: its answer is there all the same.
        let sent = ask.body.as_ref().map_or(Ok(()), |body| self.stream.get_mut().write_all(body));
        let answer = self.answer(&ask.method).unwrap_or_else(|| panic!("no answer to {ask:?}, sent {sent:?}"));
        contract::check(ask, &answer);
        answer
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server takes it");
    }

    /// Says that nothing more comes, and still listens.
    pub(crate) fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("an open connection");
    }

    /// Reads an answer; `None` when the connection ends before its head does. `1xx` are skipped.
    pub(crate) fn answer(&mut self, method: &str) -> Option<Answer> {
        loop {
            let answer = self.one_answer(method)?;
            if answer.status >= 200 {
                return Some(answer);
            }
        }
    }

    /// Reads an answer, `1xx` too.
    pub(crate) fn one_answer(&mut self, method: &str) -> Option<Answer> {
        let status_line = self.line()?;
        let status: u16 = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| {
            panic!("`{status_line}` is no status line");
        });
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` is no header"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new(), whole: true };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Some(answer);
        }
        let length: Option<usize> = answer.all("content-length").first().and_then(|text| text.parse().ok());
        (answer.body, answer.whole) = match length {
            Some(length) => self.take(length),
            None if answer.header("transfer-encoding") == "chunked" => self.chunks(),
            None => (self.rest(), true),
        };
        Some(answer)
    }

    /// Everything until the server closes or resets.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server does not close");
        }
        bytes
    }

    fn take(&mut self, length: usize) -> (Vec<u8>, bool) {
        let mut bytes = Vec::with_capacity(length);
        let read = self.stream.by_ref().take(length as u64).read_to_end(&mut bytes);
        let whole = read.is_ok() && bytes.len() == length;
        (bytes, whole)
    }

    fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        while let Some(line) = self.line() {
            let length = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("`{line}` is no chunk's length"));
            let (chunk, whole) = self.take(length);
            bytes.extend(chunk);
            if !whole || self.line().is_none() {
                break;
            }
            if length == 0 {
                return (bytes, true);
            }
        }
        (bytes, false)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer within {PATIENCE:?}"),
            Err(_) => None,
        }
    }
}

/// A text as it stands in a query or a path's segment.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The next item of a list of clients' work; each is handed out once.
pub(crate) struct Queue<T>(Mutex<std::vec::IntoIter<T>>);

impl<T: Send> Queue<T> {
    /// Lets `clients` threads work through the items, each with a connection of its own.
    pub(crate) fn work(items: Vec<T>, clients: usize, address: SocketAddr, work: impl Fn(&mut Client, T) + Sync) {
        let queue = Self(Mutex::new(items.into_iter()));
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut client = Client::connect(address);
                    while let Some(item) = queue.next() {
                        work(&mut client, item);
                    }
                });
            }
        });
    }

    fn next(&self) -> Option<T> {
        self.0.lock().expect("no panic").next()
    }
}
