//! Small files in `run/reports/`: how the last backup, verify and gc went.
//!
//! Owns how they are written: whole or not at all, for the directory's owner alone, whoever writes (root does, when it
//! runs a verb beside a server). They are no part of the data: nothing rests on them, a copy leaves them out, and so
//! they go past the [`Fs`](super::fs::Fs) seam and are not synced. Must never follow a symbolic link.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

use super::directory::RUN_FOLDER;

/// The folder of the files, in `run/`.
pub const REPORTS_FOLDER: &str = "reports";
/// The largest file that is read.
const REPORT_BYTES_MAX: u64 = 64 << 10;

/// The reports of one data directory.
#[derive(Clone, Debug)]
pub struct ReportFiles {
    data: PathBuf,
}

impl ReportFiles {
    /// Those of the directory at `data`; nothing is looked at yet.
    pub fn of(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// What was last written under `name`, unless it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let folder = match self.folder(Missing::Left) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder?,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, file_name(name), flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            file => File::from(file?),
        };
        let mut bytes = Vec::new();
        file.take(REPORT_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes `bytes` under `name`, over what was there.
    ///
    /// # Errors
    /// The system's; what was there before is then there still.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = self.folder(Missing::Made)?;
        let temporary = format!("{name}.{}.new", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&folder, &temporary, flags, Mode::RUSR | Mode::WUSR)?);
        let written = self.give_to_owner(&file).and_then(|()| file.write_all(bytes));
        let renamed =
            written.and_then(|()| Ok(rustix::fs::renameat(&folder, temporary.as_str(), &folder, file_name(name))?));
        if renamed.is_err()
            && let Err(error) = rustix::fs::unlinkat(&folder, temporary.as_str(), AtFlags::empty())
        {
            // Nobody takes it for a report under this name.
            tracing::debug!(%error, "a half-written report stays");
        }
        renamed
    }

    fn folder(&self, missing: Missing) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The directory itself may be reached through a link: that one is its operator's.
        let mut folder = File::open(&self.data)?;
        for name in [RUN_FOLDER, REPORTS_FOLDER] {
            let opened = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
                Err(rustix::io::Errno::NOENT) if missing == Missing::Made => {
                    match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
                        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    let made = File::from(rustix::fs::openat(&folder, name, flags, Mode::empty())?);
                    self.give_to_owner(&made)?;
                    made
                }
                opened => File::from(opened?),
            };
            folder = opened;
        }
        Ok(folder)
    }

    /// What root makes here belongs to whom the directory belongs to: the server could not replace it otherwise.
    fn give_to_owner(&self, made: &File) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let owner = std::fs::metadata(&self.data)?;
        let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        Ok(rustix::fs::fchown(made, Some(user), Some(group))?)
    }
}

/// What becomes of a folder that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Left,
    Made,
}

fn file_name(name: &str) -> String {
    format!("{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_is_its_owners_alone() {
        let data = tempfile::tempdir().unwrap();
        let reports = ReportFiles::of(data.path());
        assert_eq!(reports.read("gc").unwrap(), None);
        assert!(!data.path().join("run").exists(), "reading makes nothing");
        reports.write("gc", b"first").unwrap();
        reports.write("gc", b"second").unwrap();
        assert_eq!(reports.read("gc").unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(reports.read("verify").unwrap(), None);
        let folder = data.path().join("run/reports");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("gc.json"))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_directory() {
        let data = tempfile::tempdir().unwrap();
        if std::os::unix::fs::chown(data.path(), Some(1234), Some(1234)).is_err() {
            // Only root can give a directory away, and only then there is something to see.
            return;
        }
        ReportFiles::of(data.path()).write("gc", b"report").unwrap();
        for made in ["run", "run/reports", "run/reports/gc.json"] {
            let found = std::fs::metadata(data.path().join(made)).unwrap();
            assert_eq!((found.uid(), found.gid()), (1234, 1234), "{made}");
        }
    }

    #[test]
    fn links_in_place_of_the_folders_or_of_a_report_lead_nowhere() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let reports = ReportFiles::of(data.path());
        std::os::unix::fs::symlink(other.path(), data.path().join("run")).unwrap();
        assert!(reports.write("gc", b"report").is_err());
        std::fs::remove_file(data.path().join("run")).unwrap();
        std::fs::create_dir_all(data.path().join("run/reports")).unwrap();
        std::fs::write(other.path().join("secret"), "mine").unwrap();
        std::os::unix::fs::symlink(other.path().join("secret"), data.path().join("run/reports/gc.json")).unwrap();
        assert!(reports.read("gc").is_err());
        reports.write("gc", b"report").unwrap();
        assert_eq!(std::fs::read_to_string(other.path().join("secret")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
    }
}
