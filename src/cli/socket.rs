//! The admin socket: where it lies, and how both its ends get there however long the path is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name in the directory's folder `run`.
const NAME: &str = "admin.sock";
/// The longest path that goes into a socket address as it is; the kernel takes 107 bytes (unix(7)).
const PLAIN_BYTES_MAX: usize = 100;

/// A path to the socket that fits into an address; holds what makes it valid.
struct Short {
    path: PathBuf,
    _folder: Option<File>,
}

/// The path as it is, or by way of an open descriptor of its folder.
fn short(folder: &Path) -> io::Result<Short> {
    let plain = folder.join(NAME);
    if plain.as_os_str().len() <= PLAIN_BYTES_MAX {
        return Ok(Short { path: plain, _folder: None });
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok(Short { path, _folder: Some(folder) })
}

/// Listens, for the owner alone. A socket that an earlier server left is removed: who calls this has the lock.
///
/// # Errors
/// The system's; something else of that name is left alone.
pub(super) fn listen(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(NAME);
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket has its name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&short(folder)?.path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the socket's name away, after its server stopped listening.
pub(super) fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_file(folder.join(NAME)) {
        tracing::debug!(%error, "the admin socket could not be removed");
    }
}

/// Connects to the server that runs on the directory of this folder, if one does.
///
/// # Errors
/// `NotFound` and `ConnectionRefused` when none does.
pub(super) async fn connect(folder: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(&short(folder)?.path).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_under_a_long_path_is_for_its_owner_and_replaces_a_dead_one() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("x".repeat(120)).join("run");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(connect(&folder).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(listen(&folder).unwrap());
        assert_eq!(connect(&folder).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let listener = listen(&folder).unwrap();
        let mode = std::fs::metadata(folder.join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (connected, accepted) = tokio::join!(connect(&folder), listener.accept());
        assert!(connected.is_ok() && accepted.is_ok());
        remove(&folder);
        assert!(!folder.join(NAME).exists());
    }

    #[tokio::test]
    async fn something_else_of_the_sockets_name_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join(NAME), "mine").unwrap();
        assert!(listen(temp.path()).is_err());
        assert!(temp.path().join(NAME).exists());
    }
}
