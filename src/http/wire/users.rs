//! Users, logins and passwords as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::packages::required;
use super::patch::Patch;
use super::tokens::{ScopeName, Token, scopes};
use crate::domain::name::UserName;
use crate::domain::password::Password;
use crate::domain::patch::Field;
use crate::domain::refusal::Refusal;
use crate::domain::user;
use crate::domain::users::{self, UserCreation, check_email};
use crate::services::accounts::NamedToken;
use crate::services::accounts::login::Credentials;

/// A user.
#[derive(Serialize, JsonSchema)]
pub struct User {
    /// The opaque id, which outlives the name.
    pub id: String,
    /// The name.
    pub name: String,
    /// How people reach the user.
    pub email: Option<String>,
    /// Whether tokens of the user may have the scope `admin`.
    pub admin: bool,
    /// Whether the user is disabled.
    pub disabled: bool,
    /// Whether the user can log in with a password.
    pub has_password: bool,
    /// When the user was made.
    pub created_at: String,
}

impl From<&user::User> for User {
    fn from(user: &user::User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.to_string(),
            email: user.email.clone(),
            admin: user.admin,
            disabled: user.disabled,
            has_password: user.password_hash.is_some(),
            created_at: user.created_at.to_string(),
        }
    }
}

/// Who asks, and with what.
#[derive(Serialize, JsonSchema)]
pub struct Me {
    /// The user.
    pub user: User,
    /// The token.
    pub token: Token,
}

impl From<&(user::User, NamedToken)> for Me {
    fn from((user, token): &(user::User, NamedToken)) -> Self {
        Self { user: user.into(), token: token.into() }
    }
}

/// A user to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    name: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    admin: bool,
}

impl NewUser {
    /// The user, and the password that was chosen.
    ///
    /// # Errors
    /// `invalid_name`, `invalid_field`.
    pub fn read(self) -> Result<(UserCreation, Option<Password>), Refusal> {
        let name = UserName::parse(&self.name)?;
        let email = self.email.as_deref().map(check_email).transpose()?;
        let password = self.password.map(|text| Password::chosen("password", text)).transpose()?;
        Ok((UserCreation { name, email, admin: self.admin }, password))
    }
}

/// A change of a user: fields that are left out stay as they are, `null` clears. A new password ends the user's login
/// tokens; disabling revokes all of the user's tokens for good.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    #[serde(default)]
    email: Patch<String>,
    #[serde(default)]
    password: Patch<String>,
    #[serde(default)]
    admin: Patch<bool>,
    #[serde(default)]
    disabled: Patch<bool>,
}

impl UserPatch {
    /// What is to change, and the password that was chosen.
    ///
    /// # Errors
    /// `invalid_field`.
    pub fn read(self) -> Result<(users::UserPatch, Field<Password>), Refusal> {
        let email = self.email.try_map(|text| check_email(&text))?.into();
        let password = self.password.try_map(|text| Password::chosen("password", text))?.into();
        let (admin, disabled) = (required(self.admin, "admin")?, required(self.disabled, "disabled")?);
        Ok((users::UserPatch { email, admin, disabled, password_hash: Field::Keep }, password))
    }
}

/// Who wants to log in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    username: String,
    password: String,
    #[serde(default)]
    scopes: Option<Vec<ScopeName>>,
}

impl TryFrom<Login> for Credentials {
    type Error = Refusal;

    fn try_from(login: Login) -> Result<Self, Refusal> {
        let password = Password::given("password", login.password)?;
        let scopes = login.scopes.as_deref().map(scopes).transpose()?;
        Ok(Self { username: login.username, password, scopes })
    }
}

/// A change of one's own password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    old: String,
    new: String,
}

impl PasswordChange {
    /// The old password and the new one.
    ///
    /// # Errors
    /// `invalid_field`.
    pub fn read(self) -> Result<(Password, Password), Refusal> {
        Ok((Password::given("old", self.old)?, Password::chosen("new", self.new)?))
    }
}
