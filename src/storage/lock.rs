//! The lock by which one process has a data directory.
//!
//! It is a lock on the file `LOCK`, which names the process for people and the directory for itself: in a hard-link copy
//! of a directory `LOCK` is the same file, and so the lock on it, and even the admin socket, would be the other
//! directory's. Must never write into such a file, nor take it for this directory's.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The file whose lock makes a directory one process's.
pub const LOCK_FILE: &str = "LOCK";
/// Its successor, before it has the name.
pub(super) const NEW_LOCK_FILE: &str = "LOCK.new";
/// How long another process may be taking the lock at the same moment.
const TURN_PATIENCE: Duration = Duration::from_secs(2);
const TURN_RETRY: Duration = Duration::from_millis(5);
/// Longer than what stands in the file.
const TEXT_BYTES_MAX: u64 = 128;

/// Who has a directory.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Holder {
    pid: Option<u32>,
    /// The inode of the directory, as a file that hard links share tells it; none in one from before it was told.
    directory: Option<u64>,
}

/// How taking the lock ended.
#[derive(Debug)]
pub(super) enum Taken {
    /// It goes with this descriptor.
    Lock(File),
    /// Another process has it.
    Held {
        /// Which, if it could be told.
        pid: Option<u32>,
    },
}

/// Takes the lock of the directory that `directory` is open on.
pub(super) fn take(path: &Path, directory: &File) -> io::Result<Taken> {
    // The whole of it is one process's turn: else one could replace the file that another one has just locked.
    let Some(_turn) = turn(directory)? else { return Ok(Taken::Held { pid: None }) };
    let own = directory.metadata()?.ino();
    let mut file = open(&path.join(LOCK_FILE), OFlags::CREATE)?;
    let is_free = lock(&file)?;
    let holder = read(&mut file);
    let is_elsewhere = holder.directory.is_some_and(|directory| directory != own);
    if !is_free && !is_elsewhere {
        return Ok(Taken::Held { pid: holder.pid });
    }
    if is_free && file.metadata()?.nlink() == 1 {
        write(&mut file, own);
        return Ok(Taken::Lock(file));
    }
    replace(path, own).map(Taken::Lock)
}

/// Whether what stands in `LOCK` is about this directory: then what runs in it may be asked.
pub fn is_of(path: &Path) -> bool {
    let (file, directory) = (open(&path.join(LOCK_FILE), OFlags::empty()), std::fs::metadata(path));
    let (Ok(mut file), Ok(directory)) = (file, directory) else { return true };
    read(&mut file).directory.is_none_or(|named| named == directory.ino())
}

/// Waits for the turn; none when somebody keeps it.
fn turn(directory: &File) -> io::Result<Option<File>> {
    let turn = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(directory)))?;
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(&turn, FlockOperation::NonBlockingLockExclusive) {
            // Some file systems lock no directories; on those there are no hard-link copies to tell apart either.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::BADF | Errno::INVAL) => return Ok(Some(turn)),
            Err(Errno::WOULDBLOCK) if begun.elapsed() < TURN_PATIENCE => std::thread::sleep(TURN_RETRY),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn open(path: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | more;
    Ok(File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?))
}

fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts a file of this directory's own in the place of one that another directory shares.
fn replace(path: &Path, own: u64) -> io::Result<File> {
    let new = path.join(NEW_LOCK_FILE);
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = open(&new, OFlags::CREATE | OFlags::EXCL)?;
    if !lock(&file)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    write(&mut file, own);
    std::fs::rename(&new, path.join(LOCK_FILE))?;
    Ok(file)
}

/// A full disk must not keep anybody from working on what makes room: without this text the lock is as good.
fn write(file: &mut File, directory: u64) {
    let text = format!("{}\ndirectory {directory}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "the process id could not be written into the lock");
    }
}

fn read(file: &mut File) -> Holder {
    let mut text = String::new();
    if file.take(TEXT_BYTES_MAX).read_to_string(&mut text).is_err() {
        return Holder::default();
    }
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.trim().parse().ok());
    let directory = lines.next().and_then(|line| line.strip_prefix("directory ")?.parse().ok());
    Holder { pid, directory }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_in(path: &Path) -> Taken {
        take(path, &File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn one_at_a_time_has_it() {
        let temp = tempfile::tempdir().unwrap();
        let first = take_in(temp.path());
        assert!(matches!(first, Taken::Lock(_)));
        assert!(matches!(take_in(temp.path()), Taken::Held { pid: Some(pid) } if pid == std::process::id()));
        drop(first);
        assert!(matches!(take_in(temp.path()), Taken::Lock(_)));
    }

    #[test]
    fn a_hard_link_copy_has_a_lock_of_its_own_beside_its_running_and_its_stopped_original() {
        for is_running in [true, false] {
            let temp = tempfile::tempdir().unwrap();
            let (original, copy) = (temp.path().join("a"), temp.path().join("b"));
            std::fs::create_dir(&original).unwrap();
            std::fs::create_dir(&copy).unwrap();
            let held = take_in(&original);
            std::fs::hard_link(original.join(LOCK_FILE), copy.join(LOCK_FILE)).unwrap();
            assert!(is_of(&original) && !is_of(&copy), "whoever runs there does not run here");
            let held = is_running.then_some(held);
            let text = std::fs::read(original.join(LOCK_FILE)).unwrap();
            let own = take_in(&copy);
            assert!(matches!(own, Taken::Lock(_)), "{own:?}");
            assert!(is_of(&copy));
            assert_eq!(std::fs::read(original.join(LOCK_FILE)).unwrap(), text);
            assert!(matches!(take_in(&copy), Taken::Held { pid: Some(_) }));
            assert_eq!(matches!(take_in(&original), Taken::Lock(_)), !is_running);
            drop(held);
        }
    }

    #[test]
    fn a_file_from_before_it_named_its_directory_is_respected() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join(LOCK_FILE), "77\n").unwrap();
        let other = File::open(temp.path().join(LOCK_FILE)).unwrap();
        assert!(lock(&other).unwrap() && is_of(temp.path()));
        assert!(matches!(take_in(temp.path()), Taken::Held { pid: Some(77) }));
    }

    #[test]
    fn many_that_come_at_once_get_it_once() {
        let temp = tempfile::tempdir().unwrap();
        let elsewhere = temp.path().join("elsewhere");
        std::fs::write(&elsewhere, "1\ndirectory 1\n").unwrap();
        for _ in 0..50 {
            let path = temp.path().join("reg");
            std::fs::create_dir(&path).unwrap();
            std::fs::hard_link(&elsewhere, path.join(LOCK_FILE)).unwrap();
            let taken: Vec<Taken> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| take_in(&path))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(taken.iter().filter(|taken| matches!(taken, Taken::Lock(_))).count(), 1, "{taken:?}");
            drop(taken);
            std::fs::remove_dir_all(&path).unwrap();
        }
    }
}
