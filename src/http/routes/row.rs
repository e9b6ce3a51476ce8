//! What a row of the route table says, and how it is written.
//!
//! A row starts closed (an admin of the whole instance, no query, no body) and is opened by what it names; all that is
//! known of an endpoint outside of its handler stands in it.

use std::pin::Pin;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::matching::Verb;
use crate::http::params::ParamKind;
use crate::http::query::QueryKey;
use crate::http::reply::{Cache, Reply};

/// What credentials a route asks for, before anything of the body is read. Roles are the services' to check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Anybody; credentials are not looked at.
    Open,
    /// Any live token.
    AnyToken,
    /// The scope `read`, or nobody in particular where anonymous reading is on.
    Read,
    /// The scope `publish`, and patterns that cover the package or namespace of the path.
    Publish,
    /// An admin with the scope `admin`, and patterns that cover the package or namespace of the path.
    Admin,
    /// An admin with the scope `admin` and the patterns `["*"]`.
    InstanceAdmin,
}

/// Puts a type's schema into a document and refers to it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a wire type.
pub fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// What a route takes as its body.
#[derive(Clone, Copy)]
pub enum BodyKind {
    /// Nothing; what comes is not read.
    None,
    /// A JSON object.
    Json(SchemaOf),
    /// Bytes of any type.
    Bytes,
    /// `multipart/form-data` of metadata and artifact, or the metadata as JSON.
    MultipartOrJson {
        /// The part `metadata`.
        multipart: SchemaOf,
        /// The JSON body, which names bytes that were uploaded before.
        json: SchemaOf,
    },
}

/// What a route answers with.
#[derive(Clone, Copy)]
pub enum ReplyKind {
    /// The envelope around one thing: the schema is the envelope's.
    Json(SchemaOf),
    /// The envelope around one page of things: the schema is the envelope's.
    List(SchemaOf),
    /// Bytes of this media type, without an envelope.
    Bytes(&'static str),
}

/// The future of a handler.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// What a route runs: decode, one service call, reply.
pub type Handler = fn(Call) -> HandlerFuture;

/// Makes a [`Handler`] of the path of an `async fn(Call) -> Result<Reply, Failure>`.
macro_rules! handler {
    ($path:path) => {
        |call| Box::pin($path(call))
    };
}
pub(crate) use handler;

/// One endpoint.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its method; HEAD and OPTIONS follow from it.
    pub verb: Verb,
    /// Its path, with `{places}` that [`ParamKind::of`] knows.
    pub pattern: &'static str,
    /// The operation's id in the `OpenAPI` document and in logs.
    pub id: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Who may ask.
    pub access: Access,
    /// Which parameters it understands.
    pub query: &'static [QueryKey],
    /// What it takes.
    pub body: BodyKind,
    /// What it answers with.
    pub reply: ReplyKind,
    /// Its successes, and those refusals that [`Route::declared`] can't tell from the rest of the row.
    pub statuses: &'static [u16],
    /// Whether it changes something: it then runs apart from its connection.
    pub mutates: bool,
    /// What the audit calls it; empty: it leaves no entry when it is denied.
    pub deed: &'static str,
    /// Who may keep what a read answers.
    pub cache: Cache,
    /// What runs.
    pub run: Handler,
}

impl Route {
    /// A read.
    pub const fn get(pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        Self::new(Verb::Get, pattern, id, reply, run)
    }

    /// A creation, or a question with a body.
    pub const fn post(pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        Self::new(Verb::Post, pattern, id, reply, run)
    }

    /// A thing put at its own path.
    pub const fn put(pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        Self::new(Verb::Put, pattern, id, reply, run)
    }

    /// A change of some fields.
    pub const fn patch(pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        Self::new(Verb::Patch, pattern, id, reply, run)
    }

    /// A removal.
    pub const fn delete(pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        Self::new(Verb::Delete, pattern, id, reply, run)
    }

    const fn new(verb: Verb, pattern: &'static str, id: &'static str, reply: ReplyKind, run: Handler) -> Self {
        let is_read = matches!(verb, Verb::Get);
        Self {
            verb,
            pattern,
            id,
            summary: "",
            access: Access::InstanceAdmin,
            query: &[],
            body: BodyKind::None,
            reply,
            statuses: &[200],
            mutates: !is_read,
            deed: "",
            cache: if is_read { Cache::Revalidate } else { Cache::NoStore },
            run,
        }
    }

    /// Says who may ask, and what it does.
    #[must_use]
    pub const fn open_to(mut self, access: Access, summary: &'static str) -> Self {
        self.access = access;
        self.summary = summary;
        self
    }

    /// Names its parameters.
    #[must_use]
    pub const fn query(mut self, keys: &'static [QueryKey]) -> Self {
        self.query = keys;
        self
    }

    /// Says what it takes.
    #[must_use]
    pub const fn body(mut self, body: BodyKind) -> Self {
        self.body = body;
        self
    }

    /// Names its successes and special refusals.
    #[must_use]
    pub const fn statuses(mut self, statuses: &'static [u16]) -> Self {
        self.statuses = statuses;
        self
    }

    /// Names it for the audit: whoever may not do it leaves an entry.
    #[must_use]
    pub const fn deed(mut self, action: &'static str) -> Self {
        self.deed = action;
        self
    }

    /// Says that it changes nothing although it is no GET.
    #[must_use]
    pub const fn read_only(mut self) -> Self {
        self.mutates = false;
        self
    }

    /// Says that nobody may keep its answers.
    #[must_use]
    pub const fn no_store(mut self) -> Self {
        self.cache = Cache::NoStore;
        self
    }

    /// The places of its path, in order.
    pub fn params(&self) -> Vec<(&'static str, ParamKind)> {
        let names = self.pattern.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.filter_map(|name| ParamKind::of(name, self.verb).map(|kind| (name, kind))).collect()
    }

    /// Every status that it can answer with, sorted: its own, and those that follow from what it takes and asks for.
    pub fn declared(&self) -> Vec<u16> {
        // 400: an unknown parameter or a wrong Host is refused by every route; 500: anything can break.
        let mut statuses = [self.statuses, &[400, 500]].concat();
        if self.verb == Verb::Get && self.cache != Cache::NoStore {
            statuses.push(304);
        }
        match self.access {
            Access::Open => {}
            Access::AnyToken | Access::Read => statuses.extend([401, 503]),
            Access::Publish | Access::Admin | Access::InstanceAdmin => statuses.extend([401, 403, 503]),
        }
        if self.mutates {
            statuses.extend([403, 507]);
        } else {
            statuses.push(408);
        }
        if !self.params().is_empty() {
            statuses.push(404);
        }
        match self.body {
            BodyKind::None => {}
            BodyKind::Json(_) | BodyKind::Bytes | BodyKind::MultipartOrJson { .. } => statuses.extend([408, 413, 415]),
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }
}
