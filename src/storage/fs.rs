//! The one seam between storage and the disk.
//!
//! Owns every system call by which storage changes or reads files, so that tests can fail, tear or reorder each one.
//! Must never decide anything: no retries, no clean-up, no paths of its own. Whoever calls it says what a failure means.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::fs::{Advice, AtFlags, CWD, FallocateFlags, Mode, OFlags};

/// The unit in which `stat` counts blocks, whatever the file system's own is.
const STAT_BLOCK_BYTES: u64 = 512;

/// How a file that exists is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only for reading.
    Read,
    /// For reading and writing.
    ReadWrite,
}

/// What the file system tells about one open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Device that the file is on.
    pub device: u64,
    /// Inode number, unique on its device while the file exists.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// Bytes of the blocks that it has, those past its end too.
    pub allocated: u64,
    /// Permission bits.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// Last change of content, name count or permissions, in nanoseconds since 1970; nothing sets it back.
    pub changed_ns: i64,
    /// When the inode was made, in nanoseconds since 1970; none where the file system does not tell.
    pub born_ns: Option<i64>,
}

/// The calls that storage makes to the disk; all block, all are one system call or a loop over one.
///
/// The second implementation is the tests', which breaks the disk.
pub trait Fs: fmt::Debug + Send + Sync + 'static {
    /// Makes a file without a name (`O_TMPFILE`, 0600) on the device of `dir`; it is gone with its last descriptor.
    fn create_unnamed(&self, dir: &Path) -> io::Result<File>;
    /// Makes a new file for reading and writing (0600); `AlreadyExists` when the name is taken.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Opens a file that exists; a symbolic link in the last place is refused.
    fn open(&self, path: &Path, access: Access) -> io::Result<File>;
    /// Reads up to `buf.len()` bytes at `offset`; 0 is the end of the file.
    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; on failure any part of them may be there.
    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file to `size` bytes.
    fn set_len(&self, file: &File, size: u64) -> io::Result<()>;
    /// Gives the file the blocks of `offset..offset + len` and leaves its length as it is (`FALLOC_FL_KEEP_SIZE`); blocks
    /// that it has already cost nothing. On `StorageFull` some of them may have come; `Unsupported` where there is no such
    /// call. Growing the file later keeps blocks past its end; any other change of its length gives them back.
    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()>;
    /// Takes away every permission but the owner's to read (0400).
    fn set_read_only(&self, file: &File) -> io::Result<()>;
    /// Makes content and length durable (fdatasync). After a failure the file must not be trusted, nor synced again.
    fn sync_data(&self, file: &File) -> io::Result<()>;
    /// Forgets what memory holds of the file, so that the next read shows what the disk has (`POSIX_FADV_DONTNEED`; only
    /// what was written to the disk, or failed to be, is forgotten). Where a sync failed, memory shows bytes that are on
    /// no disk.
    fn drop_cached(&self, file: &File) -> io::Result<()>;
    /// Makes content and all metadata durable (fsync). After a failure as with [`Fs::sync_data`].
    fn sync_all(&self, file: &File) -> io::Result<()>;
    /// Makes everything durable that anybody wrote to the file system of `dir` (syncfs), whatever it is.
    fn sync_device(&self, dir: &File) -> io::Result<()>;
    /// Opens a directory for [`Fs::sync_dir`].
    fn open_dir(&self, path: &Path) -> io::Result<File>;
    /// Makes the names in a directory durable. After a failure nothing in it may be acknowledged until a restart.
    fn sync_dir(&self, dir: &File) -> io::Result<()>;
    /// Gives an open file, unnamed or not, the name `to`, through `/proc`; `AlreadyExists` when it is taken.
    fn link_file(&self, file: &File, to: &Path) -> io::Result<()>;
    /// Gives the file at `from` the second name `to`; `AlreadyExists` when it is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames, replacing what was at `to` without a moment in which the name is free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away.
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory (0700); `AlreadyExists` when the name is taken.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;
    /// Identity, size and permissions of an open file.
    fn stat(&self, file: &File) -> io::Result<Stat>;
    /// Bytes that this process may still write on the device of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Seconds since the machine started, sleep included; no one sets this clock.
    fn ticks(&self) -> u64;
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

fn open(path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    Ok(File::from(rustix::fs::open(path, flags | OFlags::CLOEXEC, mode)?))
}

impl Fs for RealFs {
    fn create_unnamed(&self, dir: &Path) -> io::Result<File> {
        open(dir, OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR | Mode::WUSR)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        open(path, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        open(path, flags | OFlags::NOFOLLOW, Mode::empty())
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buf, offset)
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }

    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, offset, len)?)
    }

    fn set_read_only(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fchmod(file, Mode::RUSR)?)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn drop_cached(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_device(&self, dir: &File) -> io::Result<()> {
        Ok(rustix::fs::syncfs(dir)?)
    }

    fn open_dir(&self, path: &Path) -> io::Result<File> {
        open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    fn sync_dir(&self, dir: &File) -> io::Result<()> {
        dir.sync_all()
    }

    fn link_file(&self, file: &File, to: &Path) -> io::Result<()> {
        // AT_EMPTY_PATH would spare the detour through /proc but needs CAP_DAC_READ_SEARCH (linkat(2)).
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, from, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn stat(&self, file: &File) -> io::Result<Stat> {
        let metadata = file.metadata()?;
        let born = metadata.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Ok(Stat {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            allocated: metadata.blocks().saturating_mul(STAT_BLOCK_BYTES),
            mode: metadata.mode() & 0o7777,
            links: metadata.nlink(),
            changed_ns: metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec()),
            born_ns: born.and_then(|born| i64::try_from(born.as_nanos()).ok()),
        })
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn ticks(&self) -> u64 {
        let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        u64::try_from(since_boot.tv_sec).unwrap_or(0)
    }
}

/// Reads at `offset` until `buf` is full or the file ends; returns how many bytes came.
pub(crate) fn read_full(fs: &dyn Fs, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match fs.read_at(file, &mut buf[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unnamed_file_gets_a_name_once_and_keeps_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("name");
        let file = RealFs.create_unnamed(dir.path()).unwrap();
        RealFs.write_all_at(&file, b"bytes", 0).unwrap();
        RealFs.set_read_only(&file).unwrap();
        RealFs.link_file(&file, &name).unwrap();
        assert_eq!(RealFs.link_file(&file, &name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let opened = RealFs.open(&name, Access::Read).unwrap();
        let stat = RealFs.stat(&opened).unwrap();
        assert_eq!((stat.size, stat.mode, stat.inode), (5, 0o400, RealFs.stat(&file).unwrap().inode));
        let mut buf = [0; 9];
        assert_eq!(read_full(&RealFs, &opened, &mut buf, 1).unwrap(), 4);
        assert_eq!(&buf[..4], b"ytes");
    }

    #[test]
    fn blocks_are_given_without_a_longer_file_and_a_birth_outlasts_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs.create(&dir.path().join("file")).unwrap();
        let born = RealFs.stat(&file).unwrap();
        RealFs.allocate(&file, 0, 1 << 20).unwrap();
        RealFs.write_all_at(&file, b"bytes", 0).unwrap();
        RealFs.link_file(&file, &dir.path().join("other")).unwrap();
        let stat = RealFs.stat(&file).unwrap();
        assert_eq!((stat.size, stat.links, born.links, stat.born_ns), (5, 2, 1, born.born_ns));
        assert!(stat.allocated >= 1 << 20);
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/hostname", &link).unwrap();
        assert!(RealFs.open(&link, Access::Read).is_err());
    }

    #[test]
    fn free_space_and_ticks_are_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(RealFs.free_bytes(dir.path()).unwrap() > 0);
        assert!(RealFs.ticks() > 0);
    }
}
