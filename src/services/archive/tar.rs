//! Walking a tar: ustar, GNU and PAX headers, just as far as two files need it.
//!
//! The walk is our own because long names and PAX records must be bounded before they are read into memory.
//! Sources: POSIX.1-2024 `pax`, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".

use ::tar::{GnuExtSparseHeader, Header};

use super::finder::{Finder, Kind, Place, Wanted};
use super::source::Stop;
use super::unpack::Unpacked;
use super::{ArchiveLimits, Found};

const BLOCK_BYTES: usize = 512;

/// The largest PAX header that is read; they hold times, long names and extended attributes.
const PAX_BYTES_MAX: u64 = 256 << 10;

const BAD_HEADER: Stop = Stop::Unreadable("one of its headers is damaged");

/// What extension headers say about the entry that follows them.
#[derive(Default)]
struct Pending {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// What a header is to the walk.
enum HeaderRole {
    LongName,
    Pax,
    /// Long link names and global PAX records, which say nothing about where files stand.
    Ignored,
    Entry,
}

fn role(header: &Header) -> HeaderRole {
    let of = header.entry_type();
    if of.is_gnu_longname() {
        HeaderRole::LongName
    } else if of.is_pax_local_extensions() {
        HeaderRole::Pax
    } else if of.is_gnu_longlink() || of.is_pax_global_extensions() {
        HeaderRole::Ignored
    } else {
        HeaderRole::Entry
    }
}

struct Entry {
    path: Vec<u8>,
    size: u64,
    kind: Kind,
}

/// Walks a whole tar and returns the two files.
pub(super) fn find(bytes: &mut Unpacked<'_>, limits: &ArchiveLimits) -> Result<Found, Stop> {
    let mut finder = Finder::new();
    let mut walk = Walk { bytes, limits, headers: 0 };
    while let Some(entry) = walk.next_entry()? {
        match finder.note(&entry.path, entry.kind) {
            Some(place) => {
                let content = walk.read_content(place, entry.size)?;
                finder.keep(place, content);
            }
            None => walk.pass_content(entry.size, 0)?,
        }
    }
    walk.bytes.drain()?;
    Ok(finder.choose())
}

struct Walk<'w, 'a> {
    bytes: &'w mut Unpacked<'a>,
    limits: &'w ArchiveLimits,
    headers: u64,
}

impl Walk<'_, '_> {
    /// Reads on to the content of the next entry; `None` at the end of the archive.
    fn next_entry(&mut self) -> Result<Option<Entry>, Stop> {
        let mut pending = Pending::default();
        while let Some(header) = self.next_header()? {
            let size = header.entry_size().ok().ok_or(BAD_HEADER)?;
            match role(&header) {
                HeaderRole::LongName => {
                    let limit = self.limits.path_bytes_max as u64;
                    let mut path = self.read_extension(size, limit + 1, too_long("a path", limit))?;
                    path.truncate(path.iter().position(|&b| b == 0).unwrap_or(path.len()));
                    pending.path = Some(path);
                }
                HeaderRole::Pax => {
                    let records = self.read_extension(size, PAX_BYTES_MAX, too_long("a PAX header", PAX_BYTES_MAX))?;
                    pending.apply(&records)?;
                }
                HeaderRole::Ignored => self.pass_content(size, 0)?,
                HeaderRole::Entry => return self.entry(&header, size, pending).map(Some),
            }
        }
        Ok(None)
    }

    fn entry(&mut self, header: &Header, size: u64, pending: Pending) -> Result<Entry, Stop> {
        let path = pending.path.unwrap_or_else(|| header.path_bytes().into_owned());
        if path.len() > self.limits.path_bytes_max {
            return Err(too_long("a path", self.limits.path_bytes_max as u64));
        }
        let of = header.entry_type();
        let regular = of.is_file() || of.is_contiguous();
        let kind = if of.is_dir() || (regular && path.ends_with(b"/")) {
            Kind::Folder
        } else if regular && !pending.sparse {
            Kind::File
        } else {
            Kind::Other
        };
        // Old writers give a hard link the size of what it names, though nothing follows.
        let own_size = if of.is_hard_link() { 0 } else { size };
        if header.as_gnu().is_some_and(|gnu| of.is_gnu_sparse() && gnu.is_extended()) {
            self.pass_sparse_headers()?;
        }
        Ok(Entry { path, size: pending.size.unwrap_or(own_size), kind })
    }

    /// Reads a header block; `None` at the end of the archive, with or without its blocks of zeros.
    fn next_header(&mut self) -> Result<Option<Header>, Stop> {
        let first = self.headers == 0;
        let mut block = [0; BLOCK_BYTES];
        match self.bytes.fill(&mut block)? {
            0 if first => return Err(Stop::Opaque),
            0 => return Ok(None),
            BLOCK_BYTES => {}
            _ if first => return Err(Stop::Opaque),
            _ => return Err(Stop::Truncated),
        }
        if block.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        let mut header = Header::new_old();
        *header.as_mut_bytes() = block;
        if header.cksum().ok() != Some(checksum(&block)) {
            return Err(if first { Stop::Opaque } else { BAD_HEADER });
        }
        self.headers += 1;
        if self.headers > self.limits.entries_max {
            return Err(Stop::Limit(format!("it has more than {} entries", self.limits.entries_max)));
        }
        Ok(Some(header))
    }

    fn read_extension(&mut self, size: u64, limit: u64, past_limit: Stop) -> Result<Vec<u8>, Stop> {
        let bytes = usize::try_from(size).ok().filter(|_| size <= limit);
        let content = self.bytes.take(bytes.ok_or(past_limit)?)?;
        self.pass_content(size, size)?;
        Ok(content)
    }

    /// Reads one of the two files, cut one byte after its limit.
    fn read_content(&mut self, place: Place, size: u64) -> Result<Vec<u8>, Stop> {
        let limit = match place.file {
            Wanted::Manifest => self.limits.manifest_bytes_max,
            Wanted::Readme => self.limits.readme_bytes_max,
        };
        let kept = size.min(limit.saturating_add(1));
        let content = self.bytes.take(usize::try_from(kept).unwrap_or(usize::MAX))?;
        self.pass_content(size, kept)?;
        Ok(content)
    }

    /// Passes over what was not read yet of a content, and the padding after it.
    fn pass_content(&mut self, size: u64, read: u64) -> Result<(), Stop> {
        let padded = size.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or(BAD_HEADER)?;
        self.bytes.skip(padded - read)
    }

    fn pass_sparse_headers(&mut self) -> Result<(), Stop> {
        let mut sparse = GnuExtSparseHeader::new();
        loop {
            if self.bytes.fill(sparse.as_mut_bytes())? < BLOCK_BYTES {
                return Err(Stop::Truncated);
            }
            if !sparse.is_extended() {
                return Ok(());
            }
        }
    }
}

impl Pending {
    /// Reads PAX records, each `LENGTH KEY=VALUE\n` where the length counts the whole record.
    fn apply(&mut self, mut records: &[u8]) -> Result<(), Stop> {
        while !records.is_empty() {
            let blank = records.iter().position(|&b| b == b' ').ok_or(BAD_HEADER)?;
            let length = decimal(&records[..blank]).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|&length| length > blank + 1 && length <= records.len()).ok_or(BAD_HEADER)?;
            let record = records[blank + 1..length].strip_suffix(b"\n").ok_or(BAD_HEADER)?;
            let equals = record.iter().position(|&b| b == b'=').ok_or(BAD_HEADER)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
                b"size" => self.size = Some(decimal(value).ok_or(BAD_HEADER)?),
                _ => self.sparse |= key.starts_with(b"GNU.sparse."),
            }
            records = &records[length..];
        }
        Ok(())
    }
}

fn too_long(what: &str, limit: u64) -> Stop {
    Stop::Limit(format!("{what} in it is longer than {limit} bytes"))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok()
}

/// The sum of a header's bytes with its checksum field taken as blanks.
fn checksum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let blanks = 8 * u32::from(b' ');
    block[..148].iter().chain(&block[156..]).fold(blanks, |sum, &byte| sum + u32::from(byte))
}
