//! How a verb reaches its registry: through the admin socket of the server that runs on the directory, or by opening
//! the directory itself. Either way it is the same API, with an admin's rights and no token.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::exit::{CliError, Exit};
use super::wire_up::Registry;
use super::{first_admin, socket};
use crate::config::Config;
use crate::http::body::RequestBody;
use crate::http::connection::{ConnectionInfo, Peer};
use crate::http::pipeline;
use crate::storage::directory::{Create, DataDirectory, DirectoryError, RUN_FOLDER, is_of};
use crate::storage::open::unwatched;

/// How long a verb waits for a directory that another process has but does not serve: a server that starts or stops,
/// or another verb.
const PATIENCE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(50);
/// How long a verb waits for a server that opens its data, from the first time that it says so.
const STARTING_PATIENCE: Duration = Duration::from_secs(30);
const STARTING_RETRY: Duration = Duration::from_millis(200);
/// Asks whether a server is ready, and so is never waited for.
const READY: &str = "/readyz";
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most entries of a list that is asked for whole.
pub const ENTRIES_MAX: usize = 1_000_000;
/// Entries asked for at once.
const PAGE: usize = 200;

/// The way to a registry.
pub enum Transport {
    /// A server's admin socket.
    Socket(SendRequest<Full<Bytes>>),
    /// A registry inside this process.
    InProcess(Box<Registry>),
}

/// What stands at the end of the way.
pub enum Reached {
    /// A server, through its admin socket.
    Server(Transport),
    /// A directory that no other process uses, locked.
    Directory(DataDirectory),
}

/// One request of a verb.
#[derive(Debug)]
pub struct Call {
    method: &'static str,
    target: String,
    body: Option<Value>,
}

impl Call {
    /// A request without a body; the path's places are encoded already, see [`place`].
    pub fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, target: path.into(), body: None }
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With one more query parameter.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        let mark = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{mark}{name}={}", self.target, place(value));
        self
    }
}

/// A value as it stands in a path or query: everything but unreserved characters encoded. `gk/jwt` stays one place.
pub fn place(value: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(value, KEPT).to_string()
}

impl Transport {
    /// Finds the server that runs on the configured directory, or opens the directory and what is in it.
    ///
    /// # Errors
    /// As [`Transport::reach`], and when the data can't be opened.
    pub async fn open(config: &Config, create: Create) -> Result<Self, CliError> {
        Ok(match Self::reach(config, create).await? {
            Reached::Server(server) => server,
            Reached::Directory(directory) => {
                let mut registry = Registry::open(config, directory, &unwatched)?;
                registry.mark_missing().await;
                Self::InProcess(Box::new(registry))
            }
        })
    }

    /// Finds the server that runs on the configured directory, or locks the directory without opening the data.
    ///
    /// # Errors
    /// As [`DataDirectory::open`]; `locked` when another process has the directory and does not serve it.
    pub async fn reach(config: &Config, create: Create) -> Result<Reached, CliError> {
        let begun = Instant::now();
        loop {
            if let Some(socket) = Self::connect(config).await? {
                return Ok(Reached::Server(socket));
            }
            match DataDirectory::open(&config.data, create) {
                Ok(directory) => return Ok(Reached::Directory(directory)),
                Err(DirectoryError::Locked { .. }) if begun.elapsed() < PATIENCE => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Connects to the server that runs on the configured directory, if one does.
    ///
    /// # Errors
    /// When there is a socket that this user may not use.
    pub async fn connect(config: &Config) -> Result<Option<Self>, CliError> {
        // The socket of a hard-link copy is its original's, and so would be the server behind it.
        if is_of(&config.data) { connect(&config.data.join(RUN_FOLDER)).await } else { Ok(None) }
    }

    /// Sends a request and hands back the success envelope. A server that still opens its data is waited for.
    ///
    /// # Errors
    /// The registry's refusal, or that it could not be reached.
    pub async fn call(&mut self, call: Call) -> Result<Value, CliError> {
        let begun = Instant::now();
        let mut is_told = false;
        loop {
            let (status, envelope) = self.send(&call).await?;
            if envelope["ok"] == true {
                return Ok(envelope);
            }
            if status != 503 || envelope["error"]["reason"] != "starting" || call.target.starts_with(READY) {
                return Err(CliError::refused(status, envelope));
            }
            if begun.elapsed() >= STARTING_PATIENCE {
                return Err(self.still_starting().await);
            }
            if !is_told {
                tracing::warn!(seconds = STARTING_PATIENCE.as_secs(), "the server still opens its data: waiting");
                is_told = true;
            }
            tokio::time::sleep(STARTING_RETRY).await;
        }
    }

    /// What to say of a server that is not ready in time.
    async fn still_starting(&mut self) -> CliError {
        let asked = self.send(&Call::new("GET", READY).query("verbose", "true")).await;
        let why = asked.ok().and_then(|(_, mut envelope)| {
            let message = envelope["meta"]["ready"]["checks"][0]["message"].take();
            message.as_str().map(str::to_owned)
        });
        CliError::new(Exit::Failed, "starting", "the server still opens its data")
            .why(why.unwrap_or_else(|| "it does not say how far it is".to_owned()))
            .hint("try again later; `vix-registry check` says how far it is")
    }

    /// Asks for the pages of a list until there are `limit` entries or no more; the envelope is the last page's, with
    /// all entries. Its cursor is `null` unless there is more.
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn list(&mut self, path: &str, query: &[(&str, &str)], limit: usize) -> Result<Value, CliError> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = PAGE.min(limit.saturating_sub(found.len())).max(1);
            let mut call = Call::new("GET", path).query("limit", &page.to_string());
            for (name, value) in query {
                call = call.query(name, value);
            }
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor);
            }
            let mut envelope = self.call(call).await?;
            if let Some(entries) = envelope["data"].as_array_mut() {
                found.append(entries);
            }
            cursor = envelope["meta"]["page"]["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || found.len() >= limit {
                envelope["data"] = Value::Array(found);
                return Ok(envelope);
            }
        }
    }

    async fn send(&mut self, call: &Call) -> Result<(u16, Value), CliError> {
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder().method(call.method).uri(&call.target).header(HOST, "localhost");
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let broken = |error: &dyn std::fmt::Display| {
            CliError::new(Exit::Failed, "transport", "the registry did not answer").why(error.to_string())
        };
        let (status, bytes) = match self {
            Self::Socket(sender) => {
                let request = request.body(Full::from(body)).map_err(|error| broken(&error))?;
                let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
                let status = response.status();
                (status, Limited::new(response, ANSWER_BYTES_MAX).collect().await.map_err(|error| broken(&error))?)
            }
            Self::InProcess(registry) => {
                let request = request.body(RequestBody::from_bytes(body)).map_err(|error| broken(&error))?;
                let info = ConnectionInfo { peer: Peer::InProcess, id: 0 };
                let response = pipeline::handle(Arc::clone(&registry.app), request, info).await;
                let status = response.status();
                (status, Limited::new(response, ANSWER_BYTES_MAX).collect().await.map_err(|error| broken(&error))?)
            }
        };
        let envelope = serde_json::from_slice(&bytes.to_bytes()).unwrap_or(Value::Null);
        Ok((status.as_u16(), envelope))
    }

    /// Ends the way; a registry inside this process is closed.
    pub async fn close(self) {
        if let Self::InProcess(registry) = self {
            first_admin::sweep(&registry).await;
            registry.close().await;
        }
    }
}

/// Connects to the socket, if a server listens there.
async fn connect(run_folder: &Path) -> Result<Option<Transport>, CliError> {
    let broken = |error: &io::Error| {
        let what = format!("the admin socket in `{}` can't be used", run_folder.display());
        CliError::io(what, error).hint("run this as the user who runs the server, or as root")
    };
    let stream = match socket::connect(run_folder).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied) => return Err(broken(&error)),
        // No directory, no socket, or nobody behind it: the lock tells which it is.
        Err(_) => return Ok(None),
    };
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&io::Error::other(error)))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the server ended");
        }
    });
    Ok(Some(Transport::Socket(sender)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_request_cannot_become_more_than_values() {
        assert_eq!(place("gk/jwt"), "gk%2Fjwt");
        assert_eq!(place("1.2.0-rc.1+b"), "1.2.0-rc.1%2Bb");
        let call = Call::new("GET", "/v1/packages").query("q", "a&b=c").query("limit", "2");
        assert_eq!(call.target, "/v1/packages?q=a%26b%3Dc&limit=2");
    }
}
