//! Members of packages and of namespaces: one set of handlers, since the path says of what.

use crate::domain::name::UserName;
use crate::domain::package::MemberOf;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::precondition::precondition;
use crate::http::reply::Reply;
use crate::http::wire::members::{Member, NewMember};
use crate::services::members::{MemberDetail, MemberTarget, Place};

fn shown(detail: &MemberDetail) -> Member {
    Member::from(detail)
}

fn of(call: &Call) -> Result<MemberOf, Failure> {
    match &call.params.namespace {
        Some(namespace) => Ok(MemberOf::Namespace(namespace.clone())),
        None => call.package().map(MemberOf::Package),
    }
}

fn target(call: &Call) -> Result<MemberTarget, Failure> {
    let precondition = precondition(&call.headers, shown);
    Ok(MemberTarget { of: of(call)?, principal: call.principal()?, precondition })
}

/// A place as a cursor holds it: a digit for inherited, then the name.
fn position(place: &Place) -> Vec<u8> {
    format!("{}{}", u8::from(place.inherited), place.name).into_bytes()
}

fn place(position: &[u8]) -> Option<Place> {
    let (inherited, name) = str::from_utf8(position).ok()?.split_at_checked(1)?;
    Some(Place { inherited: inherited == "1", name: UserName::parse(name).ok()? })
}

/// `GET …/members`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    let after = call.query.position().and_then(place);
    let members = &call.app.services.members;
    let page = members.list(&call.context()?, &of(&call)?, after, call.query.limit()).await?;
    let shown: Vec<Member> = page.members.iter().map(shown).collect();
    Reply::list(&shown, &call.query, page.next.as_ref().map(position).as_deref())
}

/// `GET …/members/{principal}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    let (member, _) = call.app.services.members.get(&call.context()?, &of(&call)?, &call.principal()?).await?;
    Reply::json(&shown(&member))
}

/// `PUT …/members/{principal}`.
pub async fn put(mut call: Call) -> Result<Reply, Failure> {
    let (context, target) = (call.context()?, target(&call)?);
    call.app.services.members.admit(&context, &target).await?;
    let asked: NewMember = call.json().await?;
    Reply::json(&shown(&call.app.services.members.put(&context, &target, asked.role.into()).await?))
}

/// `DELETE …/members/{principal}`.
pub async fn remove(call: Call) -> Result<Reply, Failure> {
    Reply::json(&shown(&call.app.services.members.remove(&call.context()?, &target(&call)?).await?))
}
