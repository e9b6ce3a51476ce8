//! Looking into an artifact for its `vix.json` and the `README.md` beside it.
//!
//! Owns which archives are looked into (tar.gz, tar.zst, zip), where the two files may stand (the root, or the single
//! top folder), and the limits under which they are looked for. It reads bytes that are handed in, keeps at most those
//! two files in memory, follows no link, writes nothing, and never makes a publish fail: whatever is odd about an
//! archive is a [`Warning`], and its bytes are stored all the same.
//!
//! An archive tells something only when it was read to its end, so that the answer never depends on the order of its
//! entries and a cut is always seen. The cost is one decompression of tar archives, about a second of CPU for each few
//! hundred MB unpacked and [`ArchiveLimits::unpacked_bytes_max`] at most; it blocks, so it belongs on a blocking
//! thread. Of a zip only the directory and the two files are read, so a
//! cut is seen there by its missing directory. Memory: about 400 KiB, and for zstd the frame's
//! window (8 MiB at `zstd -19`, at most `2^window_log_max`), so a caller bounds how many run at once.

mod finder;
mod source;
mod tar;
mod unpack;
mod zip;

#[cfg(test)]
#[path = "../../../tests/support/archive.rs"]
#[expect(unreachable_pub, reason = "the file is a public module of the integration tests")]
mod builder;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Seek};

use self::source::{Source, Stop, Tally};
use crate::domain::media::MediaType;

/// The bounds within which an archive is looked into. Sizes are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArchiveLimits {
    /// Entries, extension headers included.
    pub entries_max: u64,
    /// Everything unpacked, tar headers and padding included.
    pub unpacked_bytes_max: u64,
    /// Unpacked to packed size, from [`ArchiveLimits::ratio_floor_bytes`] on.
    pub ratio_max: u64,
    /// Below this unpacked size the ratio is not looked at: small files of one letter are no attack.
    pub ratio_floor_bytes: u64,
    /// An entry's path.
    pub path_bytes_max: usize,
    /// `vix.json`; a larger one is handed on cut one byte after this, for the reader of manifests to refuse.
    pub manifest_bytes_max: u64,
    /// `README.md`; a larger one is left out with a warning.
    pub readme_bytes_max: u64,
    /// What is read of a zip: its directory and the two files.
    pub zip_read_bytes_max: u64,
    /// The largest zstd window, as a power of two (27, 128 MiB, is what `zstd -d` takes by itself).
    pub window_log_max: u32,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            entries_max: 100_000,
            unpacked_bytes_max: 2 << 30,
            ratio_max: 200,
            ratio_floor_bytes: 32 << 20,
            path_bytes_max: 1024,
            manifest_bytes_max: 64 << 10,
            readme_bytes_max: 256 << 10,
            zip_read_bytes_max: 32 << 20,
            window_log_max: 27,
        }
    }
}

/// Something about an upload that its sender should know, though it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// For programs: one of `archive_limits`, `archive_truncated`, `archive_unreadable`, `readme_ignored`,
    /// `manifest_field_ignored`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What an archive told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inspection {
    /// The bytes of `vix.json`, not looked at yet; at most one more than [`ArchiveLimits::manifest_bytes_max`].
    pub manifest: Option<Vec<u8>>,
    /// The bytes of `README.md` beside it, which are UTF-8.
    pub readme: Option<Vec<u8>>,
    /// Why less was read than there may be.
    pub warnings: Vec<Warning>,
}

/// The two files, as far as they were found.
type Found = Option<(Vec<u8>, Option<Vec<u8>>)>;

/// Looks for `vix.json` and `README.md` in an artifact whose kind was told by [`crate::domain::media::sniff`].
///
/// # Errors
/// Only what `reader` itself fails with; nothing that stands in the bytes is an error.
pub fn inspect(reader: impl Read + Seek, media: MediaType, limits: &ArchiveLimits) -> io::Result<Inspection> {
    let tally = Tally::default();
    let source = Source::new(reader, &tally);
    let found = match media {
        MediaType::Gzip => tar::find(&mut unpack::gzip(source, limits), limits),
        MediaType::Zstd => unpack::zstd(source, limits).and_then(|mut bytes| tar::find(&mut bytes, limits)),
        MediaType::Zip => zip::find(source, limits),
        MediaType::Xz | MediaType::OctetStream => Ok(None),
    };
    match found {
        Ok(found) => Ok(conclude(found, limits)),
        Err(stop) => warning(stop).map(|warnings| Inspection { warnings, ..Inspection::default() }),
    }
}

fn conclude(found: Found, limits: &ArchiveLimits) -> Inspection {
    let Some((manifest, readme)) = found else {
        return Inspection::default();
    };
    let why = match &readme {
        Some(bytes) if bytes.len() as u64 > limits.readme_bytes_max => {
            Some(format!("it is larger than {} bytes", limits.readme_bytes_max))
        }
        Some(bytes) if std::str::from_utf8(bytes).is_err() => Some("it is not UTF-8".to_owned()),
        Some(_) | None => None,
    };
    let warnings = why
        .iter()
        .map(|why| Warning { reason: "readme_ignored", message: format!("the archive's readme was left out: {why}") });
    Inspection { manifest: Some(manifest), warnings: warnings.collect(), readme: readme.filter(|_| why.is_none()) }
}

fn warning(stop: Stop) -> io::Result<Vec<Warning>> {
    let (reason, why) = match stop {
        Stop::Io(error) => return Err(error),
        Stop::Opaque => return Ok(Vec::new()),
        Stop::Limit(why) => ("archive_limits", why),
        Stop::Truncated => ("archive_truncated", "it ends early".to_owned()),
        Stop::Unreadable(why) => ("archive_unreadable", why.to_owned()),
    };
    let message = format!(
        "the archive was stored, but nothing was read from it: {why}; \
         give the fields and the readme with the publish if it should have them"
    );
    Ok(vec![Warning { reason, message }])
}
