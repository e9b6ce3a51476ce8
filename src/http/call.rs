//! A request that may be answered: everything a handler gets, parsed, and ways to read its body.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use serde::de::DeserializeOwned;

use crate::domain::caller::Caller;
use crate::domain::digest::Sha256;
use crate::domain::id::Id;
use crate::domain::name::{NamespaceName, PackageName, UserName};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenId;
use crate::domain::version::VersionNumber;
use crate::services::versions::VersionRef;
use crate::services::{Context, new_id};

use super::app::App;
use super::artifact_body::ArtifactBody;
use super::body::RequestBody;
use super::connection::Peer;
use super::failure::Failure;
use super::json_body;
use super::multipart::Parts;
use super::params::{Params, Principal, TokenSelector};
use super::query::Query;
use super::routes::Route;

/// What is known of a request beside what it asks for.
#[derive(Clone, Debug)]
pub struct RequestMeta {
    /// Its id, which is also in the answer.
    pub request_id: String,
    /// The trace that it belongs to.
    pub trace_id: Option<String>,
    /// The client's address, seen through trusted proxies.
    pub ip: Option<IpAddr>,
    /// Whether it comes from this machine, through no proxy.
    pub is_local: bool,
    /// When it began.
    pub started: Timestamp,
    /// Who is at the other end of the connection.
    pub peer: Peer,
}

/// A request on its way into a handler.
pub struct Call {
    /// The registry.
    pub app: Arc<App>,
    /// The row of the table.
    pub route: &'static Route,
    /// Who asks; the route's access is granted.
    pub caller: Caller,
    /// The places of the path.
    pub params: Params,
    /// The parameters.
    pub query: Query,
    /// The header fields (without `Range` for HEAD).
    pub headers: HeaderMap,
    /// The body, unread.
    pub body: RequestBody,
    /// The rest.
    pub meta: RequestMeta,
    /// Whether the client wants the head of the answer alone.
    pub is_head: bool,
}

/// A place that the route's pattern lacks is a mistake of the table, not of the client.
fn placed<T: Clone>(place: Option<&T>, name: &'static str) -> Result<T, Failure> {
    place.cloned().ok_or_else(|| Failure::internal("reading a place of the path", format!("the pattern has no {name}")))
}

impl Call {
    /// What the services are told about the request.
    ///
    /// # Errors
    /// Internal, when the system has no randomness.
    pub fn context(&self) -> Result<Context, Failure> {
        Ok(Context {
            caller: self.caller.clone(),
            now: self.meta.started,
            ip: self.meta.ip,
            request_id: self.meta.request_id.clone(),
            audit_id: new_id(self.meta.started)?,
        })
    }

    /// `{pkg}`.
    ///
    /// # Errors
    /// Internal, when the pattern has none; so do its siblings.
    pub fn package(&self) -> Result<PackageName, Failure> {
        placed(self.params.package.as_ref(), "{pkg}")
    }

    /// `{version}` of a read.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn version(&self) -> Result<VersionRef, Failure> {
        placed(self.params.version.as_ref(), "{version}")
    }

    /// `{version}` of a write, which is always a number.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn version_number(&self) -> Result<VersionNumber, Failure> {
        match self.version()? {
            VersionRef::Number(number) => Ok(number),
            VersionRef::Latest => Err(Refusal::new(Reason::InvalidSemver, "`latest` can only be read").into()),
        }
    }

    /// `{ns}`.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn namespace(&self) -> Result<NamespaceName, Failure> {
        placed(self.params.namespace.as_ref(), "{ns}")
    }

    /// `{principal}`.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn principal(&self) -> Result<Principal, Failure> {
        placed(self.params.principal.as_ref(), "{principal}")
    }

    /// `{name}` of a user.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn user_name(&self) -> Result<UserName, Failure> {
        placed(self.params.user.as_ref(), "{name}")
    }

    /// `{token}`; `current` is the one that asks.
    ///
    /// # Errors
    /// `token_not_found` for `current` without a token.
    pub fn token_id(&self) -> Result<TokenId, Failure> {
        match placed(self.params.token.as_ref(), "{token}")? {
            TokenSelector::Id(id) => Ok(id),
            TokenSelector::Current => self.caller.token().map(|token| token.token).ok_or_else(|| {
                Failure::new(Reason::TokenNotFound, "this request was sent without a token, so `current` names none")
            }),
        }
    }

    /// `{id}`.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn id(&self) -> Result<Id, Failure> {
        placed(self.params.id.as_ref(), "{id}")
    }

    /// `{sha256}`.
    ///
    /// # Errors
    /// As [`Call::package`].
    pub fn digest(&self) -> Result<Sha256, Failure> {
        placed(self.params.digest.as_ref(), "{sha256}")
    }

    /// Reads the body as JSON. Rights come first in the order of refusals: ask the service before.
    ///
    /// # Errors
    /// Those of [`json_body::read`] and [`json_body::parse`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let limits = self.app.limits.json;
        let bytes = json_body::read(&self.headers, &mut self.body, limits).await?;
        Ok(json_body::parse(&bytes, limits.depth_max)?)
    }

    /// Parses JSON that came otherwise (a part), under the same limits.
    ///
    /// # Errors
    /// Those of [`json_body::parse`].
    pub fn parse_json<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Failure> {
        Ok(json_body::parse(bytes, self.app.limits.json.depth_max)?)
    }

    /// Takes the body as the bytes of an artifact.
    ///
    /// # Errors
    /// `artifact_too_large`, `content_coding`.
    pub fn take_bytes(&mut self) -> Result<ArtifactBody, Failure> {
        let body = std::mem::replace(&mut self.body, RequestBody::from_bytes(""));
        Ok(ArtifactBody::raw(&self.headers, body, self.app.limits.artifact_bytes_max)?)
    }

    /// Takes the body as metadata and artifact.
    ///
    /// # Errors
    /// Those of [`Parts::begin`].
    pub fn take_parts(&mut self) -> Result<Parts, Failure> {
        let body = std::mem::replace(&mut self.body, RequestBody::from_bytes(""));
        Ok(Parts::begin(&self.headers, body, self.app.limits.parts())?)
    }
}
