//! Files under `blobs/` against their rows: every byte of every file is read.
//!
//! A file with a row is compared with the row's BLAKE3, one without with the SHA-256 that is its name. One directory
//! of the 256 at a time, its names and its rows side by side; two threads hash. Beside a running server rows and files
//! change meanwhile, so whatever looks wrong is looked up once more before it is told.

mod readers;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use self::readers::{Job, Readers, Verdict};
use super::ScrubError;
use super::findings::{Finding, Findings};
use crate::domain::digest::Sha256;
use crate::storage::fs::Fs;
use crate::storage::progress::Progress;
use crate::storage::rows::BlobRow;

/// Folders of blobs, one for each first byte of a digest.
pub const SHARDS: u16 = 256;
/// Permission bits of a blob's file.
const BLOB_MODE: u32 = 0o400;
/// Permission bits that a folder must not have: others could put files into it.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The rows of blobs, as they stand when they are asked for.
pub trait BlobRows {
    /// The rows of the digests that begin with this byte, in their order.
    ///
    /// # Errors
    /// When they can't be read.
    fn shard(&self, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError>;

    /// The row of one digest.
    ///
    /// # Errors
    /// When it can't be read.
    fn row(&self, sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError>;
}

/// Which files are read, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct BlobScan<'s> {
    /// The disk.
    pub fs: &'s dyn Fs,
    /// The data directory.
    pub data: &'s Path,
    /// The most that is read in a second, for a scrub beside other work; none: as fast as the disk is.
    pub bytes_per_second_max: Option<u64>,
    /// About how many bytes there are, to tell how far the work is.
    pub bytes_expected: Option<u64>,
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlobCounts {
    /// Files that hold a blob with a row.
    pub blobs: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Sound files that have no row: what a crash left, which `gc` removes.
    pub litter: u64,
    /// Notes that stand for a blob that was removed.
    pub notes: u64,
}

/// Reads every file under `blobs/`.
///
/// # Errors
/// When a folder or the rows can't be read, or the work was told to stop.
pub fn check_blobs(
    scan: &BlobScan<'_>,
    rows: &dyn BlobRows,
    progress: &dyn Progress,
    findings: &mut Findings,
) -> Result<BlobCounts, ScrubError> {
    std::thread::scope(|scope| {
        let mut check = BlobCheck {
            scan,
            rows,
            findings,
            readers: Readers::start(scope, scan, progress),
            counts: BlobCounts::default(),
        };
        check.top_names()?;
        for first_byte in 0..=u8::MAX {
            check.shard(first_byte)?;
        }
        let BlobCheck { readers, counts, rows, findings, .. } = check;
        let mut ended = Judge { scan, rows, findings, counts };
        readers.finish(&mut |job, verdict| ended.judge(&job, verdict))?;
        Ok(ended.counts)
    })
}

struct BlobCheck<'c, 's> {
    scan: &'c BlobScan<'s>,
    rows: &'c dyn BlobRows,
    findings: &'c mut Findings,
    readers: Readers<'c>,
    counts: BlobCounts,
}

/// Where the blob is, relative to the data directory.
pub fn blob_file(sha256: &Sha256) -> String {
    format!("blobs/sha256/{:02x}/{}", sha256.0[0], sha256.to_hex())
}

impl BlobCheck<'_, '_> {
    /// Names beside the folders of blobs.
    fn top_names(&mut self) -> Result<(), ScrubError> {
        self.names("blobs", |name| name == "sha256")?;
        let is_shard = |name: &str| name.len() == 2 && name.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        self.names("blobs/sha256", is_shard).map(drop)
    }

    /// The expected names of a folder; a finding for each other one, and for a folder that others can write to.
    fn names(&mut self, folder: &str, expected: impl Fn(&str) -> bool) -> Result<Vec<String>, ScrubError> {
        let path = self.scan.data.join(folder);
        let listed = match self.scan.fs.list(&path) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(ScrubError::Io { path, op: "read it", source }),
        };
        let stat = self.scan.fs.open_dir(&path).and_then(|dir| self.scan.fs.stat(&dir));
        if let Ok(stat) = stat
            && stat.mode & WRITABLE_BY_OTHERS != 0
        {
            let what = format!("others can write to it (mode {:03o})", stat.mode);
            self.findings.file(folder, what, format!("type `chmod 0700 {}`", path.display()));
        }
        let mut names = Vec::new();
        for name in listed {
            if let Some(name) = name.to_str().filter(|name| expected(name)) {
                names.push(name.to_owned());
            } else {
                let file = format!("{folder}/{}", name.to_string_lossy());
                let fix = "move it elsewhere: nothing here refers to it";
                self.findings.file(file, "a registry puts no file of this name here", fix);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Names and rows of one folder, side by side.
    fn shard(&mut self, first_byte: u8) -> Result<(), ScrubError> {
        // Rows first: a blob that comes between the two looks like litter, which is looked up again, not like a loss.
        let rows = self.rows.shard(first_byte)?;
        let digest = |name: &str| Sha256::parse(name).filter(|digest| digest.0[0] == first_byte);
        let names = self.names(&format!("blobs/sha256/{first_byte:02x}"), |name| digest(name).is_some())?;
        let mut files = names.iter().filter_map(|name| digest(name)).peekable();
        let mut rows = rows.into_iter().peekable();
        loop {
            let job = match (files.peek(), rows.peek()) {
                (None, None) => return Ok(()),
                (Some(file), Some(row)) if *file == row.sha256 => {
                    files.next();
                    Job { sha256: row.sha256, row: rows.next() }
                }
                (Some(file), row) if row.is_none_or(|row| *file < row.sha256) => {
                    let job = Job { sha256: *file, row: None };
                    files.next();
                    job
                }
                (_, _) => match rows.next() {
                    Some(row) => Job { sha256: row.sha256, row: Some(row) },
                    None => return Ok(()),
                },
            };
            let Self { readers, scan, rows, findings, counts } = self;
            let mut judge = Judge { scan, rows: *rows, findings, counts: *counts };
            readers.take(job, &mut |job, verdict| judge.judge(&job, verdict))?;
            *counts = judge.counts;
        }
    }
}

/// Makes findings of what the readers saw.
struct Judge<'j, 's> {
    scan: &'j BlobScan<'s>,
    rows: &'j dyn BlobRows,
    findings: &'j mut Findings,
    counts: BlobCounts,
}

impl Judge<'_, '_> {
    fn judge(&mut self, job: &Job, verdict: Verdict) -> Result<(), ScrubError> {
        match (verdict, &job.row) {
            (Verdict::Sound { bytes, mode }, row) => {
                self.counts.bytes = self.counts.bytes.saturating_add(bytes);
                match row {
                    Some(row) => {
                        self.counts.blobs += 1;
                        self.sound(row)?;
                    }
                    None => self.counts.litter += 1,
                }
                if mode != BLOB_MODE {
                    self.mode(job, mode);
                }
            }
            (Verdict::Note, None) => self.counts.notes += 1,
            (Verdict::Missing, None) => {}
            (Verdict::Note | Verdict::Missing, Some(_)) => self.missing(job)?,
            (Verdict::Damaged { bytes }, Some(row)) => {
                self.counts.bytes = self.counts.bytes.saturating_add(bytes);
                self.damaged(job, &format!("its {bytes} bytes are not the {} that were stored", row.size))?;
            }
            (Verdict::Damaged { .. }, None) => {
                if self.rows.row(&job.sha256)?.is_none() {
                    let what = "its bytes don't hash to its name, and nothing refers to it";
                    self.findings.file(blob_file(&job.sha256), what, "type `vix-registry gc --yes`, which removes it");
                }
            }
            (Verdict::Unreadable(kind), _) => self.damaged(job, &format!("it can't be read: {kind}"))?,
        }
        Ok(())
    }

    fn path(&self, job: &Job) -> PathBuf {
        self.scan.data.join(blob_file(&job.sha256))
    }

    fn mode(&mut self, job: &Job, mode: u32) {
        let what = format!("its mode is {mode:03o}, not {BLOB_MODE:03o}");
        let fix = format!("type `chmod {BLOB_MODE:04o} {}`", self.path(job).display());
        self.findings.file(blob_file(&job.sha256), what, fix);
    }

    /// A blob that is marked as damaged and whose bytes are right again was put back by hand.
    fn sound(&mut self, row: &BlobRow) -> Result<(), ScrubError> {
        // Damaged litter has a row that holds what its bytes are.
        if row.damaged && row.count > 0 && self.rows.row(&row.sha256)?.is_some_and(|row| row.damaged) {
            let what = "its bytes are right again, but it is marked as damaged and not served";
            let fix = "type `vix-registry verify` beside the running server, which clears the mark";
            let file = blob_file(&row.sha256);
            let (what, fix) = (what.to_owned(), fix.to_owned());
            self.findings.add(Finding { file, what, fix, blob: Some(row.sha256) });
        }
        Ok(())
    }

    fn missing(&mut self, job: &Job) -> Result<(), ScrubError> {
        // Swept meanwhile: the row goes before the file. One that nothing refers to is in no backup.
        if let Some(BlobRow { count: 1.., .. }) = self.rows.row(&job.sha256)? {
            let count = job.row.map_or(0, |row| row.count);
            self.finding(&job.sha256, format!("it is missing, and {count} versions refer to it"));
        }
        Ok(())
    }

    fn damaged(&mut self, job: &Job, what: &str) -> Result<(), ScrubError> {
        let refers = match self.rows.row(&job.sha256)? {
            Some(row) if row.count > 0 => format!("{} versions refer to it", row.count),
            Some(_) | None => "nothing refers to it".to_owned(),
        };
        self.finding(&job.sha256, format!("{what}; {refers}"));
        Ok(())
    }

    fn finding(&mut self, sha256: &Sha256, what: String) {
        let file = blob_file(sha256);
        let fix = format!("publish the same bytes again, or copy `{file}` from a backup");
        self.findings.add(Finding { file, what, fix, blob: Some(*sha256) });
    }
}
