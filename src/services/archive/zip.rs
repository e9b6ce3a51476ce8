//! Reading a zip's directory, and of its files the two that count.
//!
//! The walk is our own because the zip crate's stable reader keeps the whole directory in memory, in an allocation
//! sized by what the archive declares. Here an entry is read, judged and forgotten.
//! Source: PKWARE APPNOTE 6.3.10, 4.3.7 (local header), 4.3.12 (directory), 4.3.14-16 (end records), 4.5.3 (zip64).

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::finder::{Finder, Kind};
use super::source::{Source, Stop, Tally};
use super::unpack::{check_ratio, too_large};
use super::{ArchiveLimits, Found};

const END_BYTES: usize = 22;
const END64_BYTES: usize = 56;
const LOCATOR_BYTES: usize = 20;
const DIRECTORY_ENTRY_BYTES: usize = 46;
const LOCAL_HEADER_BYTES: usize = 30;
const COMMENT_BYTES_MAX: usize = u16::MAX as usize;

const BAD_DIRECTORY: Stop = Stop::Unreadable("its directory is damaged");
const BAD_FILE: Stop =
    Stop::Unreadable("its `vix.json` or readme is damaged, or packed by a method other than deflate");

/// Where the directory is, by the end records.
struct Directory {
    entries: u64,
    bytes: u64,
    offset: u64,
}

/// One file, by its entry in the directory.
#[derive(Clone, Copy)]
struct File {
    method: u16,
    crc32: u32,
    packed_bytes: u64,
    bytes: u64,
    offset: u64,
}

struct Zip<'a, R: Read + Seek> {
    reader: BufReader<Source<'a, R>>,
    tally: &'a Tally,
    limits: &'a ArchiveLimits,
    packed_bytes: u64,
}

/// Reads the directory entry by entry, then the two files.
pub(super) fn find<R: Read + Seek>(source: Source<'_, R>, limits: &ArchiveLimits) -> Result<Found, Stop> {
    let tally = source.tally();
    let mut reader = BufReader::new(source.with_budget(limits.zip_read_bytes_max));
    let packed_bytes = reader.seek(SeekFrom::End(0)).map_err(tally.or(BAD_DIRECTORY))?;
    let mut zip = Zip { reader, tally, limits, packed_bytes };
    let directory = zip.directory()?;
    let mut finder = Finder::new();
    zip.read_entries(&directory, &mut finder)?;
    let Some((manifest, readme)) = finder.choose() else {
        return Ok(None);
    };
    let manifest = zip.read_file(manifest, limits.manifest_bytes_max)?;
    let readme = readme.map(|readme| zip.read_file(readme, limits.readme_bytes_max)).transpose()?;
    Ok(Some((manifest, readme)))
}

impl<R: Read + Seek> Zip<'_, R> {
    /// Finds the last end record; without one the end of the archive is missing.
    fn directory(&mut self) -> Result<Directory, Stop> {
        let tail_bytes = self.packed_bytes.min((END_BYTES + COMMENT_BYTES_MAX) as u64);
        let mut tail = vec![0; usize::try_from(tail_bytes).unwrap_or_default()];
        let tail_offset = self.packed_bytes - tail_bytes;
        self.read_at(tail_offset, &mut tail)?;
        let at = tail.windows(END_BYTES).enumerate().rev().find_map(|(at, record)| {
            let comment_bytes = usize::from(u16_at(record, 20));
            (record.starts_with(b"PK\x05\x06") && at + END_BYTES + comment_bytes <= tail.len()).then_some(at)
        });
        let at = at.ok_or(Stop::Truncated)?;
        let record = &tail[at..at + END_BYTES];
        let mut directory = Directory {
            entries: u16_at(record, 10).into(),
            bytes: u32_at(record, 12).into(),
            offset: u32_at(record, 16).into(),
        };
        let end = tail_offset + at as u64;
        if let Some(directory64) = self.directory64(end)? {
            directory = directory64;
        } else if u16_at(record, 4) != 0 || u16_at(record, 6) != 0 {
            return Err(Stop::Unreadable("it is spread over several files"));
        }
        if directory.entries > self.limits.entries_max {
            return Err(Stop::Limit(format!("it has more than {} entries", self.limits.entries_max)));
        }
        match directory.offset.checked_add(directory.bytes) {
            Some(directory_end) if directory_end <= end => Ok(directory),
            Some(_) | None => Err(BAD_DIRECTORY),
        }
    }

    /// Reads the zip64 end record, if a locator before the plain one (at `end`) leads to it.
    fn directory64(&mut self, end: u64) -> Result<Option<Directory>, Stop> {
        let Some(locator_offset) = end.checked_sub(LOCATOR_BYTES as u64) else {
            return Ok(None);
        };
        let mut locator = [0; LOCATOR_BYTES];
        self.read_at(locator_offset, &mut locator)?;
        if !locator.starts_with(b"PK\x06\x07") {
            return Ok(None);
        }
        let mut record = [0; END64_BYTES];
        let offset = u64_at(&locator, 8);
        if offset.checked_add(END64_BYTES as u64).is_none_or(|record_end| record_end > locator_offset) {
            return Err(BAD_DIRECTORY);
        }
        self.read_at(offset, &mut record)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(BAD_DIRECTORY);
        }
        Ok(Some(Directory { entries: u64_at(&record, 32), bytes: u64_at(&record, 40), offset: u64_at(&record, 48) }))
    }

    fn read_entries(&mut self, directory: &Directory, finder: &mut Finder<File>) -> Result<(), Stop> {
        self.seek_to(directory.offset)?;
        let mut declared_bytes = 0_u64;
        for _ in 0..directory.entries {
            let mut entry = [0; DIRECTORY_ENTRY_BYTES];
            self.read(&mut entry)?;
            if !entry.starts_with(b"PK\x01\x02") {
                return Err(BAD_DIRECTORY);
            }
            let mut path = vec![0; usize::from(u16_at(&entry, 28))];
            let mut extra = vec![0; usize::from(u16_at(&entry, 30))];
            self.read(&mut path)?;
            self.read(&mut extra)?;
            self.skip(u16_at(&entry, 32))?;
            if path.len() > self.limits.path_bytes_max {
                let limit = self.limits.path_bytes_max;
                return Err(Stop::Limit(format!("a path in it is longer than {limit} bytes")));
            }
            let file = file(&entry, &extra).ok_or(BAD_DIRECTORY)?;
            declared_bytes = declared_bytes.saturating_add(file.bytes);
            if let Some(place) = finder.note(&path, kind(&entry, &path)) {
                finder.keep(place, file);
            }
        }
        if declared_bytes > self.limits.unpacked_bytes_max {
            return Err(too_large(self.limits));
        }
        check_ratio(declared_bytes, self.packed_bytes, self.limits)
    }

    /// Unpacks one file, cut one byte after its limit, and checks it when it is whole.
    fn read_file(&mut self, file: File, limit: u64) -> Result<Vec<u8>, Stop> {
        let mut header = [0; LOCAL_HEADER_BYTES];
        self.seek_to(file.offset)?;
        self.read(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(BAD_FILE);
        }
        self.skip(u16_at(&header, 26))?;
        self.skip(u16_at(&header, 28))?;
        let packed = self.reader.by_ref().take(file.packed_bytes);
        let mut content = Vec::new();
        let kept = limit.saturating_add(1);
        let unpacked = match file.method {
            0 => packed.take(kept).read_to_end(&mut content),
            8 => flate2::bufread::DeflateDecoder::new(packed).take(kept).read_to_end(&mut content),
            _ => return Err(BAD_FILE),
        };
        unpacked.map_err(self.tally.or(BAD_FILE))?;
        let whole = content.len() as u64 == file.bytes && crc32fast::hash(&content) == file.crc32;
        if whole || content.len() as u64 == kept { Ok(content) } else { Err(BAD_FILE) }
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<(), Stop> {
        self.seek_to(offset)?;
        self.read(buffer)
    }

    fn seek_to(&mut self, offset: u64) -> Result<(), Stop> {
        if offset > self.packed_bytes {
            return Err(BAD_DIRECTORY);
        }
        self.reader.seek(SeekFrom::Start(offset)).map(drop).map_err(self.tally.or(BAD_DIRECTORY))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), Stop> {
        self.reader.read_exact(buffer).map_err(self.tally.or(BAD_DIRECTORY))
    }

    fn skip(&mut self, bytes: u16) -> Result<(), Stop> {
        self.reader.seek_relative(bytes.into()).map_err(self.tally.or(BAD_DIRECTORY))
    }
}

fn kind(entry: &[u8], path: &[u8]) -> Kind {
    const MADE_BY_UNIX: u8 = 3;
    const FILE_TYPE: u32 = 0o170_000;
    const REGULAR_FILE: u32 = 0o100_000;
    let encrypted = u16_at(entry, 8) & 1 != 0;
    let file_type = if entry[5] == MADE_BY_UNIX { (u32_at(entry, 38) >> 16) & FILE_TYPE } else { 0 };
    if path.ends_with(b"/") {
        Kind::Folder
    } else if encrypted || (file_type != 0 && file_type != REGULAR_FILE) {
        Kind::Other
    } else {
        Kind::File
    }
}

/// Reads an entry, taking from its zip64 field what does not fit in 32 bits; `None` when that field is too short.
fn file(entry: &[u8], extra: &[u8]) -> Option<File> {
    let mut wide = zip64_field(extra).unwrap_or_default().chunks_exact(8).map(|chunk| u64_at(chunk, 0));
    let mut widen = |short: u32| if short == u32::MAX { wide.next() } else { Some(short.into()) };
    let bytes = widen(u32_at(entry, 24))?;
    let packed_bytes = widen(u32_at(entry, 20))?;
    let offset = widen(u32_at(entry, 42))?;
    Some(File { method: u16_at(entry, 10), crc32: u32_at(entry, 16), packed_bytes, bytes, offset })
}

fn zip64_field(mut extra: &[u8]) -> Option<&[u8]> {
    const ZIP64: u16 = 1;
    while extra.len() >= 4 {
        let end = 4 + usize::from(u16_at(extra, 2));
        let field = extra.get(4..end)?;
        if u16_at(extra, 0) == ZIP64 {
            return Some(field);
        }
        extra = &extra[end..];
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
