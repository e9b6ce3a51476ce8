//! How a disk fails while it runs, and how it lies.

use std::io;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// One call of the seam.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Call {
    CreateUnnamed,
    Create,
    Open,
    Read,
    Write,
    SetLen,
    Allocate,
    SetReadOnly,
    SyncData,
    DropCached,
    SyncAll,
    SyncDevice,
    OpenDir,
    SyncDir,
    LinkFile,
    Link,
    Rename,
    Unlink,
    CreateDir,
    List,
    Stat,
}

impl Call {
    fn only_looks(self) -> bool {
        matches!(self, Self::Open | Self::Read | Self::OpenDir | Self::List | Self::Stat)
    }

    /// Whether it may need blocks that are not there yet. Names fit into the blocks that their folder has.
    fn needs_room(self) -> bool {
        matches!(self, Self::CreateUnnamed | Self::Create | Self::CreateDir)
    }
}

/// How the disk fails. Calls are counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The call of this number fails once, and does nothing.
    Once { at: usize },
    /// The call of this number writes half of its bytes and fails; if it is no write, it fails.
    Short { at: usize },
    /// From the call of this number on nothing can be changed or synced; what is there can be read.
    Dead { from: usize },
    /// From the call of this number on no file gets a block that it has not got.
    Full { from: usize },
}

/// What a disk says is durable while it is not; the code over it then has the mistake that it doesn't ask at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Lie {
    #[default]
    None,
    /// No sync of a file does anything.
    Files,
    /// No sync of a folder does anything.
    Folders,
    /// A folder's sync does nothing when the last name asked for there was taken already.
    FoldersOfTakenNames,
    /// A sync of a log does its work only when the log is used next: the answer came before.
    LogsLate,
}

/// The calls so far, and those that fail.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) fault: Fault,
    pub(super) calls: usize,
    /// The call that failed first, and the file it was for.
    pub(super) hit: Option<(Call, String)>,
}

impl Faults {
    /// Counts a call on a file, or on a path at which there is one, and lets it fail. A write that is to be short goes on
    /// with `Ok(true)`.
    pub(super) fn count(&mut self, call: Call, what: &str, is_there: bool) -> io::Result<bool> {
        self.calls += 1;
        let errno = match self.fault {
            Fault::Once { at } if at == self.calls => EIO,
            Fault::Short { at } if at == self.calls && call == Call::Write => {
                self.hit = Some((call, what.to_owned()));
                return Ok(true);
            }
            Fault::Short { at } if at == self.calls => EIO,
            Fault::Full { from } if self.calls >= from && call.needs_room() && !is_there => ENOSPC,
            Fault::Dead { from } if self.calls >= from && !call.only_looks() => EIO,
            Fault::None | Fault::Once { .. } | Fault::Short { .. } | Fault::Dead { .. } | Fault::Full { .. } => {
                return Ok(false);
            }
        };
        self.hit.get_or_insert((call, what.to_owned()));
        Err(io::Error::from_raw_os_error(errno))
    }

    /// Whether there is room for a file of so many bytes with blocks, which has some already.
    pub(super) fn room(&mut self, has: u64, wants: u64, what: &str) -> io::Result<()> {
        match self.fault {
            Fault::Full { from } if self.calls >= from && wants > has => {
                self.hit.get_or_insert((Call::Write, what.to_owned()));
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Fault::None | Fault::Once { .. } | Fault::Short { .. } | Fault::Dead { .. } | Fault::Full { .. } => Ok(()),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.fault, Fault::Full { from } if self.calls >= from)
    }

    pub(super) fn io_error() -> io::Error {
        io::Error::from_raw_os_error(EIO)
    }
}
