//! Where rows of blobs are looked up while blobs are read: in a replica, a running server, a database, or nowhere.

use super::ScrubError;
use super::blobs::BlobRows;
use super::replica::Replica;
use super::verify::LiveIndex;
use crate::domain::digest::Sha256;
use crate::storage::redb::inspect::read_rows;
use crate::storage::rows::{BlobRow, Row as _};
use crate::storage::tables::Table;
use crate::storage::view::{Direction, KeyRange, Rows, View};

/// The rows of the digests that begin with this byte, in their order.
///
/// # Errors
/// When they can't be read.
pub fn blob_rows(rows: &dyn Rows, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
    let mut found = Vec::new();
    rows.scan(Table::Blobs, KeyRange::prefix(&[first_byte], Direction::Up), &mut |_, value| {
        // A row that does not decode was told when the rows were checked.
        found.extend(BlobRow::from_row(Table::Blobs, value).ok());
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(found)
}

pub(super) struct ReplicaRows<'r>(pub(super) &'r Replica);

impl BlobRows for ReplicaRows<'_> {
    fn shard(&self, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
        self.0.read(|rows| blob_rows(rows, first_byte))
    }

    fn row(&self, sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError> {
        self.0.read(|rows| Ok(View::new(rows).blob(sha256)?))
    }
}

pub(super) struct LiveRows<'l>(pub(super) &'l dyn LiveIndex);

impl LiveRows<'_> {
    fn read<R: Default>(&self, query: impl Fn(&dyn Rows) -> Result<R, ScrubError>) -> Result<R, ScrubError> {
        let mut found = R::default();
        self.0.read(&mut |rows, _| {
            found = query(rows)?;
            Ok(())
        })?;
        Ok(found)
    }
}

impl BlobRows for LiveRows<'_> {
    fn shard(&self, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
        self.read(|rows| blob_rows(rows, first_byte))
    }

    fn row(&self, sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError> {
        self.read(|rows| Ok(View::new(rows).blob(sha256)?))
    }
}

pub(super) struct DatabaseRows<'d>(pub(super) &'d redb::Database);

impl BlobRows for DatabaseRows<'_> {
    fn shard(&self, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
        let mut found = Vec::new();
        read_rows(self.0, |rows, _| blob_rows(rows, first_byte).map(|rows| found = rows))?;
        Ok(found)
    }

    fn row(&self, sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError> {
        let mut found = None;
        read_rows(self.0, |rows, _| {
            found = View::new(rows).blob(sha256)?;
            Ok::<_, ScrubError>(())
        })?;
        Ok(found)
    }
}

pub(super) struct NoRows;

impl BlobRows for NoRows {
    fn shard(&self, _first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
        Ok(Vec::new())
    }

    fn row(&self, _sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError> {
        Ok(None)
    }
}
