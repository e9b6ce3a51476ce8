//! Users, for admins.

use crate::domain::name::UserName;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::users::{NewUser, User, UserPatch};

/// `GET /v1/users`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    // A cursor that was checked holds a name; anything else begins anew.
    let after = call.query.position().and_then(|name| UserName::parse(str::from_utf8(name).ok()?).ok());
    let (users, next) = call.app.services.users.list(&call.context()?, after, call.query.limit()).await?;
    let users: Vec<User> = users.iter().map(User::from).collect();
    Reply::list(&users, &call.query, next.as_ref().map(|name| name.as_str().as_bytes()))
}

/// `POST /v1/users`.
pub async fn create(mut call: Call) -> Result<Reply, Failure> {
    let (creation, password) = call.json::<NewUser>().await?.read()?;
    let user = call.app.services.users.create(&call.context()?, creation, password).await?;
    Reply::created(&User::from(&user), &format!("/v1/users/{}", user.name))
}

/// `GET /v1/users/{name}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    let user = call.app.services.users.get(&call.context()?, call.user_name()?).await?;
    Reply::json(&User::from(&user))
}

/// `PATCH /v1/users/{name}`.
pub async fn patch(mut call: Call) -> Result<Reply, Failure> {
    let (ctx, name) = (call.context()?, call.user_name()?);
    call.app.services.users.get(&ctx, name.clone()).await?;
    let (patch, password) = call.json::<UserPatch>().await?.read()?;
    let user = call.app.services.users.patch(&ctx, name, patch, password).await?;
    Reply::json(&User::from(&user))
}

/// `DELETE /v1/users/{name}`.
pub async fn delete(call: Call) -> Result<Reply, Failure> {
    let user = call.app.services.users.delete(&call.context()?, call.user_name()?).await?;
    Reply::json(&User::from(&user))
}
