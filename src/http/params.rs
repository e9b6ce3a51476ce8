//! What stands in the places of a path: parsed into the domain's types before anything else is looked at.
//!
//! A place's name in the pattern says what it holds. Refusals here depend on the path alone, never on what exists.

use crate::domain::digest::Sha256;
use crate::domain::id::Id;
pub use crate::domain::members::Principal;
use crate::domain::name::{NamespaceName, PackageName, UserName, shown};
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::version::VersionNumber;
use crate::services::versions::VersionRef;

use super::matching::{RawParams, Verb};

/// What a place of a pattern holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamKind {
    /// `{pkg}`: a package.
    Package,
    /// `{version}` of a write: a full version number.
    Version,
    /// `{version}` of a read: a full version number or `latest`.
    VersionOrLatest,
    /// `{ns}`: a namespace.
    Namespace,
    /// `{principal}`: `user:NAME`.
    Principal,
    /// `{name}`: a user.
    User,
    /// `{token}`: a token's id, or `current`.
    Token,
    /// `{id}`: the id of an upload or a job.
    Id,
    /// `{sha256}`: a digest.
    Digest,
    /// `{filename}`: an artifact's filename.
    Filename,
}

impl ParamKind {
    /// The kind of a place, by its name and its route's method; `None` for a name that no pattern has.
    pub fn of(name: &str, verb: Verb) -> Option<Self> {
        Some(match name {
            "pkg" => Self::Package,
            "version" if verb == Verb::Get => Self::VersionOrLatest,
            "version" => Self::Version,
            "ns" => Self::Namespace,
            "principal" => Self::Principal,
            "name" => Self::User,
            "token" => Self::Token,
            "id" => Self::Id,
            "sha256" => Self::Digest,
            "filename" => Self::Filename,
            _ => return None,
        })
    }
}

/// A token in a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenSelector {
    /// This one.
    Id(Id),
    /// The one that asks.
    Current,
}

/// The places of one request's path. A getter for a place that the route does not have is `None`.
#[derive(Clone, Default, Debug)]
pub struct Params {
    /// `{pkg}`.
    pub package: Option<PackageName>,
    /// `{version}`.
    pub version: Option<VersionRef>,
    /// `{ns}`.
    pub namespace: Option<NamespaceName>,
    /// `{principal}`.
    pub principal: Option<Principal>,
    /// `{name}`.
    pub user: Option<UserName>,
    /// `{token}`.
    pub token: Option<TokenSelector>,
    /// `{id}`.
    pub id: Option<Id>,
    /// `{sha256}`.
    pub digest: Option<Sha256>,
    /// `{filename}`.
    pub filename: Option<String>,
}

impl Params {
    /// Parses what the matcher found.
    ///
    /// # Errors
    /// `invalid_name`, `invalid_semver`, `invalid_digest`, or `invalid_path` for ids and filenames.
    pub fn parse(raw: &RawParams, verb: Verb) -> Result<Self, Refusal> {
        let mut params = Self::default();
        for (name, text) in raw {
            match ParamKind::of(name, verb) {
                Some(ParamKind::Package) => params.package = Some(PackageName::parse(text)?),
                Some(ParamKind::VersionOrLatest) if text == "latest" => params.version = Some(VersionRef::Latest),
                Some(ParamKind::Version | ParamKind::VersionOrLatest) => {
                    params.version = Some(VersionRef::Number(VersionNumber::parse(text)?));
                }
                Some(ParamKind::Namespace) => params.namespace = Some(NamespaceName::parse(text)?),
                Some(ParamKind::Principal) => params.principal = Some(Principal::parse(text)?),
                Some(ParamKind::User) => params.user = Some(UserName::parse(text)?),
                Some(ParamKind::Token) if text == "current" => params.token = Some(TokenSelector::Current),
                Some(ParamKind::Token) => params.token = Some(TokenSelector::Id(id(text)?)),
                Some(ParamKind::Id) => params.id = Some(id(text)?),
                Some(ParamKind::Digest) => params.digest = Some(digest(text)?),
                Some(ParamKind::Filename) => params.filename = Some(filename(text)?),
                None => {}
            }
        }
        Ok(params)
    }
}

fn id(text: &str) -> Result<Id, Refusal> {
    Id::parse(text).ok_or_else(|| {
        let message = format!("`{}` is no id; an id is 26 upper-case characters (a ULID)", shown(text));
        Refusal::new(Reason::InvalidPath, message)
    })
}

fn digest(text: &str) -> Result<Sha256, Refusal> {
    Sha256::parse(text).ok_or_else(|| {
        let message = format!("`{}` is no SHA-256; write its 64 lower-case hex digits", shown(text));
        Refusal::new(Reason::InvalidDigest, message)
    })
}

/// `^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`.
pub(super) fn filename(text: &str) -> Result<String, Refusal> {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if starts_well && text.len() <= 128 && text.bytes().all(is_inner) {
        return Ok(text.to_owned());
    }
    let rule = "a filename has 1 to 128 of `A-Za-z0-9._+-` and starts with a letter or digit";
    Err(Refusal::new(Reason::InvalidPath, format!("`{}` is no filename: {rule}", shown(text))).with_limit(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, verb: Verb, text: &str, expected: Result<(), Reason>) {
        let parsed = Params::parse(&vec![(name, text.to_owned())], verb);
        assert_eq!(parsed.map(|_| ()).map_err(|refusal| refusal.reason), expected, "{name}={text}");
    }

    #[test]
    fn each_place_has_its_own_refusal() {
        check("pkg", Verb::Get, "gk/jwt", Ok(()));
        check("pkg", Verb::Get, "Gk", Err(Reason::InvalidName));
        check("version", Verb::Get, "latest", Ok(()));
        check("version", Verb::Put, "latest", Err(Reason::InvalidSemver));
        check("version", Verb::Put, "1.0.0+b", Ok(()));
        check("version", Verb::Get, "1.0", Err(Reason::InvalidSemver));
        check("principal", Verb::Put, "user:pia", Ok(()));
        check("principal", Verb::Put, "pia", Err(Reason::InvalidName));
        check("principal", Verb::Put, "team:a", Err(Reason::InvalidName));
        check("token", Verb::Get, "current", Ok(()));
        check("token", Verb::Get, "Current", Err(Reason::InvalidPath));
        check("id", Verb::Get, "01JDQK0000000000000000000A", Ok(()));
        check("id", Verb::Get, "current", Err(Reason::InvalidPath));
        check("sha256", Verb::Get, &"a".repeat(64), Ok(()));
        check("sha256", Verb::Get, &"A".repeat(64), Err(Reason::InvalidDigest));
        check("filename", Verb::Get, "jwt-1.0.0+b.tar.gz", Ok(()));
        check("filename", Verb::Get, ".hidden", Err(Reason::InvalidPath));
        check("filename", Verb::Get, &"a".repeat(129), Err(Reason::InvalidPath));
    }
}
