//! Logging in, and who one is.

use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::tokens::TokenWithSecret;
use crate::http::wire::users::{Login, Me, PasswordChange, User};

/// `POST /v1/login`.
pub async fn login(mut call: Call) -> Result<Reply, Failure> {
    let credentials = call.json::<Login>().await?.try_into()?;
    let issued = call.app.services.login.login(&call.context()?, credentials).await?;
    Ok(Reply::json(&TokenWithSecret::from(&issued))?.secret())
}

/// `GET /v1/me`.
pub async fn me(call: Call) -> Result<Reply, Failure> {
    let found = call.app.services.users.me(&call.context()?).await?;
    Reply::json(&Me::from(&found))
}

/// `PUT /v1/me/password`.
pub async fn change_password(mut call: Call) -> Result<Reply, Failure> {
    let ctx = call.context()?;
    call.app.services.users.me(&ctx).await?;
    let (old, new) = call.json::<PasswordChange>().await?.read()?;
    let user = call.app.services.login.change_password(&ctx, old, new).await?;
    Reply::json(&User::from(&user))
}
