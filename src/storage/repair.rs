//! What can be done about the data of a directory that is damaged, by whoever holds its lock.

use std::path::Path;

use super::directory::{DataDirectory, StoreOptions};
use super::open::Watch;
use super::open::salvage::{Deed, SalvageError, SalvageReport, salvage};
use super::scrub::ScrubError;
use super::scrub::rebuild::{Rebuilt, rebuild};

impl DataDirectory {
    /// Builds the index anew from the journal; blocks.
    ///
    /// # Errors
    /// As [`rebuild`].
    pub fn rebuild_index(&self, options: StoreOptions) -> Result<Rebuilt, ScrubError> {
        let options = options.alone();
        rebuild(&options.fs, self.path(), &options.opening())
    }

    /// Saves what can be saved of a directory that is refused into `dest`, or shows it; blocks.
    ///
    /// # Errors
    /// As [`salvage`].
    pub fn salvage(
        &self,
        dest: &Path,
        deed: Deed,
        options: StoreOptions,
        watch: Watch<'_>,
    ) -> Result<SalvageReport, SalvageError> {
        let options = options.alone();
        salvage(&options.fs, (self.path(), dest), deed, &options.opening(), watch)
    }
}
