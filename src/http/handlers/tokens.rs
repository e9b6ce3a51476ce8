//! Tokens: one's own, and everybody's for admins.

use crate::domain::id::Id;
use crate::domain::name::UserName;
use crate::http::call::Call;
use crate::http::failure::Failure;
use crate::http::reply::Reply;
use crate::http::wire::tokens::{NewToken, Rotation, Token, TokenWithSecret};

/// `GET /v1/tokens`.
pub async fn list(call: Call) -> Result<Reply, Failure> {
    let after = call.query.position().and_then(Id::from_bytes);
    let user = call.query.text("user").map(UserName::parse).transpose()?;
    let (tokens, next) = call.app.services.tokens.list(&call.context()?, user, after, call.query.limit()).await?;
    let tokens: Vec<Token> = tokens.iter().map(Token::from).collect();
    Reply::list(&tokens, &call.query, next.map(Id::to_bytes).as_ref().map(<[u8; 16]>::as_slice))
}

/// `POST /v1/tokens`.
pub async fn create(mut call: Call) -> Result<Reply, Failure> {
    let (ask, user) = call.json::<NewToken>().await?.read()?;
    let issued = call.app.services.tokens.create(&call.context()?, ask, user).await?;
    let location = format!("/v1/tokens/{}", issued.named.token.id);
    Ok(Reply::created(&TokenWithSecret::from(&issued), &location)?.secret())
}

/// `GET /v1/tokens/{token}`.
pub async fn get(call: Call) -> Result<Reply, Failure> {
    let named = call.app.services.tokens.get(&call.context()?, call.token_id()?).await?;
    Reply::json(&Token::from(&named))
}

/// `DELETE /v1/tokens/{token}`.
pub async fn revoke(call: Call) -> Result<Reply, Failure> {
    let named = call.app.services.tokens.revoke(&call.context()?, call.token_id()?).await?;
    Reply::json(&Token::from(&named))
}

/// `POST /v1/tokens/{token}/rotate`; without a body there is no grace.
pub async fn rotate(mut call: Call) -> Result<Reply, Failure> {
    let (ctx, id) = (call.context()?, call.token_id()?);
    call.app.services.tokens.get(&ctx, id).await?;
    let rotation = if call.body.declared_len() == Some(0) { Rotation::default() } else { call.json().await? };
    let issued = call.app.services.tokens.rotate(&ctx, id, rotation.grace_s).await?;
    Ok(Reply::json(&TokenWithSecret::from(&issued))?.secret())
}
