//! The first admin: the token of a new directory and its file, and the token file that is configured.
//!
//! Secrets pass through here once, from a file or into one; they are never printed or logged.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::exit::{CliError, Exit};
use super::wire_up::Registry;
use crate::domain::caller::Caller;
use crate::domain::digest::Sha256;
use crate::domain::time::Timestamp;
use crate::domain::tokens::parse_admin_token;
use crate::http::app::App;
use crate::services::accounts::initial::{Adoption, InitialToken};
use crate::services::{Context, new_id};
use crate::storage::directory::{DataDirectory, INITIAL_TOKEN_FILE};

/// The longest secret file that is read.
const SECRET_BYTES_MAX: u64 = 4096;
/// How long the watch rests at most: a wall clock that jumps is noticed after this.
const WATCH_REST_MAX: Duration = Duration::from_mins(10);

/// Marks a new directory, before there is a registry in it: an empty token file, which a later start fills when this
/// one is cut off.
///
/// # Errors
/// When the file can't be made.
pub(super) fn mark_new(directory: &DataDirectory) -> Result<(), CliError> {
    let path = directory.path().join(INITIAL_TOKEN_FILE);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(CliError::io(format!("`{}` could not be made", path.display()), &error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Makes the configured token good, or fills the token file of a new directory.
///
/// # Errors
/// When the secret file is not one, or can be read by others; when the store fails.
pub(super) async fn prepare(configured: Option<&Path>, registry: &Registry) -> Result<(), CliError> {
    let path = registry.directory.path().join(INITIAL_TOKEN_FILE);
    let is_unfilled = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == 0);
    if let Some(configured) = configured {
        if is_unfilled {
            remove(&path);
        }
        return adopt(configured, &registry.app).await;
    }
    if is_unfilled && is_wanted(&registry.app).await? {
        let issued = registry.app.services.initial.make(&context(&registry.app)?).await?;
        write_secret(&path, issued.secret.reveal())?;
        tracing::warn!(
            file = %path.display(),
            "the first admin's token is in this file: it ends after 24 hours, or when another admin token is made"
        );
    } else if is_unfilled {
        remove(&path);
    }
    Ok(())
}

/// Whether an empty token file is to be filled: not when somebody made users since the start that was cut off. A token
/// that this start made before it could write it down is known to nobody, and another one takes its place.
async fn is_wanted(app: &App) -> Result<bool, CliError> {
    match app.services.initial.state(app.now()).await? {
        InitialToken::Live { .. } => Ok(true),
        InitialToken::Over => Ok(false),
        InitialToken::Unknown => {
            let (users, _) = app.services.users.list(&context(app)?, None, 1).await?;
            Ok(users.is_empty())
        }
    }
}

async fn adopt(path: &Path, app: &App) -> Result<(), CliError> {
    match app.services.initial.adopt(&context(app)?, read_admin_token(path)?).await? {
        Adoption::Adopted => tracing::info!(file = %path.display(), "the admin token file was adopted"),
        Adoption::Known => {}
        Adoption::Ended => tracing::warn!(
            file = %path.display(),
            "the token of the admin token file was ended and stays so: put another one into it"
        ),
    }
    Ok(())
}

/// Removes the token file of a new directory once its token has ended; runs until the shutdown.
pub(super) fn watch(registry: &Registry, mut shutdown: watch::Receiver<bool>) -> JoinHandle<()> {
    let (app, path) = (Arc::clone(&registry.app), registry.directory.path().join(INITIAL_TOKEN_FILE));
    tokio::spawn(async move {
        loop {
            let Some(rest) = sweep_file(&app, &path).await else { return };
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = app.services.initial.changed() => {}
                () = tokio::time::sleep(rest.min(WATCH_REST_MAX)) => {}
            }
        }
    })
}

/// Removes the token file of a new directory if its token has ended by now.
pub(super) async fn sweep(registry: &Registry) {
    sweep_file(&registry.app, &registry.directory.path().join(INITIAL_TOKEN_FILE)).await;
}

/// For how long the token is good by itself; `None` when there is nothing more to watch.
async fn sweep_file(app: &App, path: &Path) -> Option<Duration> {
    let now = app.now();
    match app.services.initial.state(now).await {
        Ok(InitialToken::Unknown) => None,
        Ok(InitialToken::Live { expires_at }) => {
            let left = expires_at.map_or(i64::MAX, |at| at.0.saturating_sub(now.0));
            Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
        }
        Ok(InitialToken::Over) => {
            remove(path);
            if let Err(error) = app.services.initial.forget().await {
                tracing::warn!(%error, "the first admin's token could not be forgotten: tried again at the next start");
            }
            None
        }
        Err(error) => {
            tracing::warn!(%error, "the first admin's token could not be looked up");
            Some(WATCH_REST_MAX)
        }
    }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file = %path.display(), "the first admin's token file could not be removed");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Who does what nobody asked for over HTTP: the user who runs this.
pub(super) fn context(app: &App) -> Result<Context, CliError> {
    let now: Timestamp = app.now();
    let audit_id = new_id(now)?;
    let caller = Caller::Local { uid: rustix::process::geteuid().as_raw() };
    Ok(Context { caller, now, ip: None, request_id: audit_id.to_string(), audit_id })
}

/// Writes the file anew and gives it its name: the empty one may be another directory's too, in a hard-link copy.
fn write_secret(path: &Path, secret: &str) -> Result<(), CliError> {
    let new = path.with_extension("new");
    remove(&new);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(format!("{secret}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    });
    written.map_err(|error| CliError::io(format!("`{}` could not be written", path.display()), &error))
}

/// The hash of the token that a configured file holds.
fn read_admin_token(path: &Path) -> Result<Sha256, CliError> {
    let name = path.display();
    let refused = |what: String| CliError::new(Exit::Usage, "admin_token_file", what);
    let mut content = String::new();
    let read = File::open(path).and_then(|file| {
        let mode = file.metadata()?.mode();
        file.take(SECRET_BYTES_MAX).read_to_string(&mut content)?;
        Ok(mode)
    });
    let mode = read.map_err(|error| {
        refused(format!("the admin token file `{name}` can't be read"))
            .why(error.to_string())
            .hint("make it, readable for the registry's user alone, or unset `admin_token_file`")
    })?;
    if mode & 0o007 != 0 {
        return Err(refused(format!(
            "others can read or change the admin token file `{name}` (mode {:03o})",
            mode & 0o777
        ))
        .why("whoever reads it is an admin")
        .hint(format!("chmod 600 {name}, and put a new token into it")));
    }
    if mode & 0o070 != 0 {
        tracing::warn!(file = %name, "the group of the admin token file can read it, and so be an admin");
    }
    parse_admin_token(&content).ok_or_else(|| {
        refused(format!("the admin token file `{name}` holds no token"))
            .why("it takes one token (vixr_…), or sha256: and the hex SHA-256 of one, and nothing else")
            .hint("write one into it, or unset `admin_token_file`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::token::TokenText;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(content: &str, mode: u32) -> Result<Sha256, CliError> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("token");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        read_admin_token(&path)
    }

    #[test]
    fn a_token_file_holds_a_token_or_its_hash() {
        let token = TokenText::from_random(&[7; 32]);
        for content in [format!("{}\n", token.reveal()), format!("sha256:{}", token.hash().to_hex())] {
            assert_eq!(read(&content, 0o600).unwrap(), token.hash());
        }
        for content in ["", "secret", "sha256:12"] {
            assert_eq!(read(content, 0o600).unwrap_err().exit, Exit::Usage);
        }
    }

    #[test]
    fn a_token_file_that_others_can_read_is_refused_without_showing_it() {
        let token = TokenText::from_random(&[7; 32]);
        let refused = read(token.reveal(), 0o604).unwrap_err();
        assert!(refused.hint.contains("chmod 600"));
        assert!(!format!("{refused:?}").contains(token.reveal()));
    }
}
