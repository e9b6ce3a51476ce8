//! The unpacked bytes of a compressed stream, bounded in size and in ratio while they are made.

use std::io::{self, BufReader, Read};

use super::ArchiveLimits;
use super::source::{Source, Stop, Tally};

const PACKED_BUFFER_BYTES: usize = 64 << 10;
const SKIP_BUFFER_BYTES: usize = 64 << 10;

/// A decoder that stops at the limits.
pub(super) struct Unpacked<'a> {
    decoder: Box<dyn Read + 'a>,
    tally: &'a Tally,
    limits: &'a ArchiveLimits,
    made: u64,
    skipped: Box<[u8]>,
}

/// Unpacks RFC 1952, all members of it one after the other.
pub(super) fn gzip<'a, R: Read + 'a>(source: Source<'a, R>, limits: &'a ArchiveLimits) -> Unpacked<'a> {
    let tally = source.tally();
    let packed = BufReader::with_capacity(PACKED_BUFFER_BYTES, source);
    Unpacked::new(Box::new(flate2::bufread::MultiGzDecoder::new(packed)), tally, limits)
}

/// Unpacks RFC 8878, all frames of it one after the other.
pub(super) fn zstd<'a, R: Read + 'a>(source: Source<'a, R>, limits: &'a ArchiveLimits) -> Result<Unpacked<'a>, Stop> {
    let tally = source.tally();
    let packed = BufReader::with_capacity(PACKED_BUFFER_BYTES, source);
    let decoder = zstd::Decoder::with_buffer(packed).and_then(|mut decoder| {
        decoder.window_log_max(limits.window_log_max)?;
        Ok(decoder)
    });
    let decoder = decoder.map_err(|error| tally.stop(&error))?;
    Ok(Unpacked::new(Box::new(decoder), tally, limits))
}

impl<'a> Unpacked<'a> {
    fn new(decoder: Box<dyn Read + 'a>, tally: &'a Tally, limits: &'a ArchiveLimits) -> Self {
        let skipped = vec![0; SKIP_BUFFER_BYTES].into_boxed_slice();
        Self { decoder, tally, limits, made: 0, skipped }
    }

    /// Reads until the buffer is full or the stream ends, and says how much that was.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Stop> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = match self.decoder.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.tally.stop(&error)),
            };
            filled += read;
            self.made += read as u64;
            self.check()?;
        }
        Ok(filled)
    }

    /// Reads exactly so many bytes into memory; the caller has bounded them.
    pub(super) fn take(&mut self, bytes: usize) -> Result<Vec<u8>, Stop> {
        let mut taken = vec![0; bytes];
        if self.fill(&mut taken)? < bytes { Err(Stop::Truncated) } else { Ok(taken) }
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Stop> {
        if bytes > self.limits.unpacked_bytes_max - self.made.min(self.limits.unpacked_bytes_max) {
            return Err(self.too_large());
        }
        let mut left = bytes;
        while left > 0 {
            let chunk = usize::try_from(left).unwrap_or(usize::MAX).min(SKIP_BUFFER_BYTES);
            if self.pass(chunk)? < chunk {
                return Err(Stop::Truncated);
            }
            left -= chunk as u64;
        }
        Ok(())
    }

    /// Reads to the end of the stream, so that its checksum is checked and a cut is seen.
    pub(super) fn drain(&mut self) -> Result<(), Stop> {
        while self.pass(SKIP_BUFFER_BYTES)? > 0 {}
        Ok(())
    }

    fn pass(&mut self, bytes: usize) -> Result<usize, Stop> {
        let mut buffer = std::mem::take(&mut self.skipped);
        let filled = self.fill(&mut buffer[..bytes]);
        self.skipped = buffer;
        filled
    }

    fn check(&self) -> Result<(), Stop> {
        if self.made > self.limits.unpacked_bytes_max {
            return Err(self.too_large());
        }
        check_ratio(self.made, self.tally.read(), self.limits)
    }

    fn too_large(&self) -> Stop {
        too_large(self.limits)
    }
}

/// The stop of an archive that unpacks to too much.
pub(super) fn too_large(limits: &ArchiveLimits) -> Stop {
    Stop::Limit(format!("it unpacks to more than {} bytes", limits.unpacked_bytes_max))
}

/// Refuses what unpacks to a suspicious multiple of its size.
pub(super) fn check_ratio(unpacked: u64, packed: u64, limits: &ArchiveLimits) -> Result<(), Stop> {
    if unpacked > limits.ratio_floor_bytes && unpacked / limits.ratio_max.max(1) > packed {
        return Err(Stop::Limit(format!("it unpacks to more than {} times its size", limits.ratio_max)));
    }
    Ok(())
}
