//! Looks at the index that is there without changing it.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageError};

use super::{OpenError, Phase, Place};
use crate::domain::change::Setting;
use crate::storage::StoreError;
use crate::storage::fs::{Access, Stat};
use crate::storage::journal::header::Seal;
use crate::storage::journal::plan::IndexFacts;
use crate::storage::redb::backend::IndexFile;
use crate::storage::redb::gate::Gate;
use crate::storage::redb::seq::read_seq;
use crate::storage::redb::{METADATA_FILE, check_format, read_view};

/// The system's error for a part of the disk that can't be read.
const EIO: i32 = 5;

/// What the index is, and the index if it can be used.
pub(super) struct Looked {
    pub(super) facts: IndexFacts,
    pub(super) held: Option<Held>,
    /// Whether it is as the seal says, so that nobody checked it.
    pub(super) is_sealed: bool,
    /// Why it can't be used.
    pub(super) why: Option<String>,
}

/// An open index that nothing was written to so far.
pub(super) struct Held {
    pub(super) database: Database,
    pub(super) index: Arc<IndexFile>,
    gate: Arc<Gate>,
}

impl Held {
    /// Lets redb write to the file from now on.
    pub(super) fn take(self) -> Result<(Database, Arc<IndexFile>), OpenError> {
        let Self { database, index, gate } = self;
        gate.open().map_err(|error| StoreError::backend("using the index", error))?;
        Ok((database, index))
    }
}

impl Looked {
    /// What is known of an index that is not looked at.
    pub(super) fn away() -> Self {
        Self { facts: IndexFacts::Unusable, held: None, is_sealed: false, why: None }
    }

    fn missing() -> Self {
        Self { facts: IndexFacts::Missing, ..Self::away() }
    }

    fn unusable(why: String) -> Self {
        tracing::warn!(why, "the index can't be used");
        Self { why: Some(why), ..Self::away() }
    }
}

/// Opens the index, page by page checked unless it is as `seal` says, and reads where it stands.
///
/// # Errors
/// When the disk fails, or the index is of a newer program. Damage is no error: it is what the index is.
pub(super) fn look(place: &Place<'_>, seal: Option<&Seal>) -> Result<Looked, OpenError> {
    let path = place.data.join(METADATA_FILE);
    let stat = match place.fs.open(&path, Access::Read).and_then(|file| place.fs.stat(&file)) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::missing()),
        Err(error) => return Err(OpenError::io("look at it", &path)(error)),
    };
    if stat.size == 0 {
        // redb would take it for a file in which it may begin.
        return Ok(Looked::unusable("it is empty".to_owned()));
    }
    let is_sealed = seal.is_some_and(|seal| is_as_sealed(seal, &stat));
    if !is_sealed {
        place.tell(Phase::Check, 0, None)?;
    }
    let (fs, disk) = (Arc::clone(place.fs), Arc::clone(&place.options.disk));
    let index = IndexFile::open(fs, &path, disk).map_err(OpenError::io("open it", &path))?;
    let gate = Gate::closed(index.backend()).map_err(OpenError::io("look at it", &path))?;
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<_, OpenError> {
        let database = open(place, &gate, is_sealed)?;
        let facts = facts(&database)?;
        Ok((database, facts))
    }));
    match opened {
        Ok(Ok((_, IndexFacts::Missing))) => Ok(Looked::missing()),
        Ok(Ok((database, facts))) => {
            Ok(Looked { facts, held: Some(Held { database, index, gate }), is_sealed, why: None })
        }
        Ok(Err(error)) if error.is_damage() => Ok(Looked::unusable(error.to_string())),
        Ok(Err(error)) => Err(error),
        Err(panic) => Ok(Looked::unusable(format!("its reader panicked: {}", panic_text(&*panic)))),
    }
}

/// Where the index stands. One that is as its seal says is opened for reading alone, so that it stays as that says.
///
/// # Errors
/// As [`look`].
pub(super) fn peek(place: &Place<'_>, seal: Option<&Seal>) -> Result<IndexFacts, OpenError> {
    let path = place.data.join(METADATA_FILE);
    let stat = place.fs.open(&path, Access::Read).and_then(|file| place.fs.stat(&file));
    let is_sealed = seal.zip(stat.ok()).is_some_and(|(seal, stat)| is_as_sealed(seal, &stat));
    if !is_sealed {
        return Ok(look(place, None)?.facts);
    }
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<_, OpenError> {
        let database =
            Builder::new().set_cache_size(place.options.cache_bytes).open_read_only(&path).map_err(failed)?;
        Ok(facts(&database)?)
    }));
    match opened {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(error)) if error.is_damage() => Ok(IndexFacts::Unusable),
        Ok(Err(error)) => Err(error),
        Err(_panic) => Ok(IndexFacts::Unusable),
    }
}

fn is_as_sealed(seal: &Seal, stat: &Stat) -> bool {
    (seal.inode, seal.size, seal.changed_ns) == (stat.inode, stat.size, stat.changed_ns)
}

fn open(place: &Place<'_>, gate: &Arc<Gate>, is_sealed: bool) -> Result<Database, OpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(place.options.cache_bytes).set_check_integrity_on_open(!is_sealed);
    let opened = builder.create_with_backend(gate.backend());
    opened.map_err(|error| failed(error).into())
}

/// Tells damage, which a new index mends, from everything else.
fn failed(error: DatabaseError) -> StoreError {
    let damaged = |what: String| StoreError::Corrupt { table: METADATA_FILE, what };
    let is_of_the_disk = if let DatabaseError::Storage(StorageError::Io(error)) = &error {
        let is_content = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        !is_content && error.raw_os_error() != Some(EIO)
    } else {
        matches!(error, DatabaseError::DatabaseAlreadyOpen)
    };
    if is_of_the_disk { StoreError::backend("opening the index", error) } else { damaged(error.to_string()) }
}

/// Where the index stands. One that has no history is what a first start leaves that was cut off before its first
/// frame: there is nothing in it.
fn facts(database: &impl ReadableDatabase) -> Result<IndexFacts, StoreError> {
    check_format(database)?;
    let read = database.begin_read().map_err(|error| StoreError::backend("beginning to read", error))?;
    if let Some(position) = read_seq(&read)? {
        return Ok(IndexFacts::At(position));
    }
    drop(read);
    let history = read_view(database, |view| view.setting(Setting::History))?;
    Ok(if history.is_some() { IndexFacts::Unnumbered } else { IndexFacts::Missing })
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
