//! Keeps what redb writes while it opens a file in memory, until it is decided that the file is to be used.
//!
//! redb repairs what a crash left, and marks a file as being in use, before anybody can look at a row. A directory that
//! is refused has to stay as it is, so these writes reach the file only when [`Gate::open`] is called; from then on
//! this is redb's backend and nothing more.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

use super::backend::IndexBackend;

/// The unit in which writes are kept; redb's pages are as large.
const BLOCK_BYTES: usize = 4096;
/// The most that is kept; a repair writes a few pages.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// What is between redb and its file.
pub struct Gate<B = IndexBackend> {
    inner: B,
    kept: Mutex<Option<Kept>>,
    is_open: AtomicBool,
}

/// redb's end of a gate.
#[derive(Debug)]
pub struct GatedBackend<B: StorageBackend = IndexBackend>(Arc<Gate<B>>);

/// What the file would be, where it differs from what it is.
struct Kept {
    blocks: BTreeMap<u64, Box<[u8]>>,
    length: u64,
    /// How much of the file is still seen: what was cut off once is zeros when it grows again.
    seen: u64,
}

impl<B: StorageBackend> fmt::Debug for Gate<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<B: StorageBackend> Gate<B> {
    /// A closed gate before the file.
    ///
    /// # Errors
    /// When the file's length is not told.
    pub fn closed(inner: B) -> io::Result<Arc<Self>> {
        let length = inner.len()?;
        let kept = Kept { blocks: BTreeMap::new(), length, seen: length };
        Ok(Arc::new(Self { inner, kept: Mutex::new(Some(kept)), is_open: AtomicBool::new(false) }))
    }

    /// redb's end of it.
    pub fn backend(self: &Arc<Self>) -> GatedBackend<B> {
        GatedBackend(Arc::clone(self))
    }

    /// Lets everything through that was kept, and from now on everything.
    ///
    /// The block that says where the others are is written once those are durable, as redb itself does it.
    ///
    /// # Errors
    /// When the disk fails; what the file holds then is for the next opening to find out.
    pub fn open(&self) -> io::Result<()> {
        let mut guard = self.lock();
        let Some(kept) = guard.take() else { return Ok(()) };
        // What was cut off in between has to go before the file grows again over it.
        for length in [kept.seen, kept.length] {
            if length != self.inner.len()? {
                self.inner.set_len(length)?;
            }
        }
        for (index, block) in kept.blocks.range(1..) {
            self.write_block(*index, block, kept.length)?;
        }
        if let Some(first) = kept.blocks.get(&0) {
            self.inner.sync_data()?;
            self.write_block(0, first, kept.length)?;
        }
        if !kept.blocks.is_empty() {
            self.inner.sync_data()?;
        }
        self.is_open.store(true, Ordering::Release);
        Ok(())
    }

    fn write_block(&self, index: u64, block: &[u8], length: u64) -> io::Result<()> {
        let at = index * BLOCK_BYTES as u64;
        let count = usize::try_from(length.saturating_sub(at)).unwrap_or(usize::MAX).min(block.len());
        if count == 0 { Ok(()) } else { self.inner.write(at, &block[..count]) }
    }

    /// What is kept, unless the gate is open: then nobody waits for anybody here.
    fn kept(&self) -> Option<MutexGuard<'_, Option<Kept>>> {
        (!self.is_open.load(Ordering::Acquire)).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pieces of a range, one for each block: its index, the place in it, and the place in the range.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let begin = usize::try_from(at % BLOCK_BYTES as u64).unwrap_or(0);
        let count = (BLOCK_BYTES - begin).min(length - done);
        let piece = (at / BLOCK_BYTES as u64, begin..begin + count, done..done + count);
        done += count;
        (count > 0).then_some(piece)
    })
}

impl Kept {
    fn read(&self, inner: &impl StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let last = end.saturating_sub(1) / BLOCK_BYTES as u64;
        let is_plain = self.blocks.range(offset / BLOCK_BYTES as u64..=last).next().is_none();
        if is_plain && end <= self.seen {
            return inner.read(offset, out);
        }
        for (index, within, of_out) in pieces(offset, out.len()) {
            let piece = &mut out[of_out];
            match self.blocks.get(&index) {
                Some(block) => piece.copy_from_slice(&block[within]),
                None => self.read_file(inner, index * BLOCK_BYTES as u64 + within.start as u64, piece)?,
            }
        }
        Ok(())
    }

    /// Bytes of the file itself, zeros where it ends.
    fn read_file(&self, inner: &impl StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(self.seen.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (file, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if file.is_empty() { Ok(()) } else { inner.read(offset, file) }
    }

    fn write(&mut self, inner: &impl StorageBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        for (index, within, of_data) in pieces(offset, data.len()) {
            if !self.blocks.contains_key(&index) {
                if (self.blocks.len() + 1) * BLOCK_BYTES > KEPT_BYTES_MAX {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "opening meta.redb would rewrite too much of it",
                    ));
                }
                let mut block = vec![0; BLOCK_BYTES].into_boxed_slice();
                self.read_file(inner, index * BLOCK_BYTES as u64, &mut block)?;
                self.blocks.insert(index, block);
            }
            if let Some(block) = self.blocks.get_mut(&index) {
                block[within].copy_from_slice(&data[of_data]);
            }
        }
        self.length = self.length.max(offset + data.len() as u64);
        Ok(())
    }

    fn set_len(&mut self, length: u64) {
        if length < self.length {
            self.seen = self.seen.min(length);
            self.blocks.split_off(&length.div_ceil(BLOCK_BYTES as u64));
            let within = usize::try_from(length % BLOCK_BYTES as u64).unwrap_or(0);
            if let Some(block) = self.blocks.get_mut(&(length / BLOCK_BYTES as u64)) {
                block[within..].fill(0);
            }
        }
        self.length = length;
    }
}

impl<B: StorageBackend> StorageBackend for GatedBackend<B> {
    fn len(&self) -> io::Result<u64> {
        match self.0.kept().as_deref() {
            Some(Some(kept)) => Ok(kept.length),
            Some(None) | None => self.0.inner.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.0.kept().as_deref() {
            Some(Some(kept)) => kept.read(&self.0.inner, offset, out),
            Some(None) | None => self.0.inner.read(offset, out),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        match self.0.kept().as_deref_mut() {
            Some(Some(kept)) => {
                kept.set_len(length);
                Ok(())
            }
            Some(None) | None => self.0.inner.set_len(length),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.0.kept().as_deref() {
            Some(Some(_kept)) => Ok(()),
            Some(None) | None => self.0.inner.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.0.kept().as_deref_mut() {
            Some(Some(kept)) => kept.write(&self.0.inner, offset, data),
            Some(None) | None => self.0.inner.write(offset, data),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.0.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.inner.try_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fs::RealFs;
    use crate::storage::redb::backend::IndexFile;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use redb::{Builder, Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
    use std::path::Path;

    const ROWS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("rows");

    fn gate(path: &Path) -> (Arc<IndexFile>, Arc<Gate>) {
        let index = IndexFile::open(Arc::new(RealFs), path, Arc::default()).unwrap();
        let gate = Gate::closed(index.backend()).unwrap();
        (index, gate)
    }

    fn put(database: &Database, keys: std::ops::Range<u64>) {
        let transaction = database.begin_write().unwrap();
        for key in keys {
            transaction.open_table(ROWS).unwrap().insert(key, [7; 300].as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }

    fn count(database: &Database) -> u64 {
        database.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap()
    }

    #[test]
    fn a_file_that_a_crash_left_is_looked_at_without_a_change_and_then_used() {
        let temp = tempfile::tempdir().unwrap();
        let (live, path) = (temp.path().join("live"), temp.path().join("crashed"));
        let database = Database::create(&live).unwrap();
        put(&database, 0..2000);
        std::fs::copy(&live, &path).unwrap();
        drop(database);
        let before = std::fs::read(&path).unwrap();
        for is_kept in [false, true] {
            let (_index, gate) = gate(&path);
            let checked = Builder::new().set_check_integrity_on_open(true).create_with_backend(gate.backend());
            let database = checked.unwrap();
            assert_eq!(count(&database), 2000);
            assert!(std::fs::read(&path).unwrap() == before, "looking changes nothing");
            if is_kept {
                gate.open().unwrap();
                assert!(std::fs::read(&path).unwrap() != before);
                put(&database, 2000..2500);
            }
            drop(database);
            assert_eq!(std::fs::read(&path).unwrap() == before, !is_kept);
        }
        assert_eq!(count(&Database::open(&path).unwrap()), 2500);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let write = (0..30_000_u64, vec(any::<u8>(), 1..9000)).prop_map(|(at, data)| Step::Write(at, data));
        prop_oneof![write, (0..40_000_u64).prop_map(Step::SetLen)]
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_as_a_file_would_and_becomes_it(before in vec(any::<u8>(), 0..20_000), steps in vec(any_step(), 0..12)) {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("file");
            std::fs::write(&path, &before).unwrap();
            let (_index, gate) = gate(&path);
            let (backend, mut model) = (gate.backend(), before.clone());
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        let at = at.min(model.len() as u64);
                        backend.write(at, &data).unwrap();
                        let end = usize::try_from(at).unwrap() + data.len();
                        model.resize(model.len().max(end), 0);
                        model[end - data.len()..end].copy_from_slice(&data);
                    }
                    Step::SetLen(length) => {
                        backend.set_len(length).unwrap();
                        model.resize(usize::try_from(length).unwrap(), 0);
                    }
                }
                let mut read = vec![1; model.len()];
                backend.read(0, &mut read).unwrap();
                prop_assert!(read == model && backend.len().unwrap() == model.len() as u64);
            }
            prop_assert!(std::fs::read(&path).unwrap() == before);
            gate.open().unwrap();
            prop_assert!(std::fs::read(&path).unwrap() == model);
        }
    }
}
