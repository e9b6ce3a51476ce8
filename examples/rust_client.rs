//! A client of a registry on hyper: publishes some bytes, asks for the best version, fetches it and checks its digest.
//!
//! `REGISTRY=http://127.0.0.1:8080 TOKEN=vixr_… cargo run --example rust_client`

use std::error::Error;
use std::io::Write as _;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

type Failed = Box<dyn Error>;

/// One connection to a registry.
struct Registry {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    authorization: HeaderValue,
}

impl Registry {
    async fn connect(address: &Uri, token: &str) -> Result<Self, Failed> {
        let host = address.authority().ok_or("REGISTRY has no host")?.to_string();
        let name = address.host().unwrap_or_default();
        let stream = TcpStream::connect((name, address.port_u16().unwrap_or(80))).await?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))?;
        // Keeps it out of what is printed for debugging.
        authorization.set_sensitive(true);
        Ok(Self { connection, host, authorization })
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Failed> {
        let request = Request::builder().method(method).uri(path).header(HOST, &self.host);
        let request = request.header(AUTHORIZATION, &self.authorization).body(Full::new(body))?;
        self.connection.ready().await?;
        let response = self.connection.send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let refusal: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        let error = &refusal["error"];
        Err(format!("{status} {}: {}", error["reason"], error["message"]).into())
    }

    /// The `data` of an answer.
    async fn json(&mut self, method: Method, path: &str, body: Bytes) -> Result<Value, Failed> {
        let response = self.send(method, path, body).await?;
        let mut answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
        Ok(answer["data"].take())
    }

    /// The bytes of a version, once they are known to be those that were published; they are hashed as they come.
    async fn fetch(&mut self, version: &Value) -> Result<Vec<u8>, Failed> {
        let url = version["url"].as_str().ok_or("a version has a url")?;
        let mut body = self.send(Method::GET, url, Bytes::new()).await?.into_body();
        let (mut bytes, mut hash) = (Vec::new(), Sha256::new());
        while let Some(frame) = body.frame().await {
            if let Ok(chunk) = frame?.into_data() {
                hash.update(&chunk);
                bytes.extend_from_slice(&chunk);
            }
        }
        if version["sha256"] == hex(&hash.finalize()) {
            Ok(bytes)
        } else {
            Err("the bytes are not those that were published".into())
        }
    }
}

fn hex(digest: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn variable(name: &str) -> Result<String, Failed> {
    std::env::var(name).map_err(|error| format!("{name}: {error}").into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let address: Uri = variable("REGISTRY")?.parse()?;
    let token = variable("TOKEN")?;
    let mut registry = Registry::connect(&address, &token).await?;
    let mut out = std::io::stdout();

    let content: Bytes = b"the same bytes each time\n".repeat(1000).into();
    let version = "/v1/packages/examples/from-rust/versions/0.3.0";
    let published = registry.json(Method::PUT, &format!("{version}?create=true"), content.clone()).await?;
    writeln!(out, "published {} {}, new: {}", published["package"], published["version"], published["created"])?;

    let found = registry.json(Method::GET, "/v1/packages/examples/from-rust/resolve?req=%5E0.3", Bytes::new()).await?;
    let fetched = registry.fetch(&found).await?;
    if fetched != content {
        return Err("what came back is not what was published".into());
    }
    writeln!(out, "fetched {} bytes of {}, byte-identical", fetched.len(), found["version"])?;
    Ok(())
}
