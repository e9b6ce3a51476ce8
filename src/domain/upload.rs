//! Resumable uploads: bytes that arrive in parts before they are published by name.

use super::caller::Caller;
use super::digest::Sha256;
use super::id::Id;
use super::name::shown;
use super::refusal::{Reason, Refusal};
use super::time::Timestamp;
use super::user::UserId;

/// The id of an upload.
pub type UploadId = Id;

/// How far an upload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UploadState {
    /// Bytes may be appended.
    Open,
    /// Its digest was checked; it can be published.
    Complete,
}

/// An upload as it is kept; how many bytes it has is told by its file alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Its id, which names its file too.
    pub id: UploadId,
    /// Whose it is; nobody else can see it. None: somebody local.
    pub owner: Option<UserId>,
    /// The size announced at creation.
    pub size: Option<u64>,
    /// The digest announced at creation, or proven by finishing.
    pub sha256: Option<Sha256>,
    /// Open or complete.
    pub state: UploadState,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it ends unless more bytes arrive.
    pub expires_at: Timestamp,
}

/// What an operator allows uploads.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Largest artifact, in bytes.
    pub bytes_max: u64,
    /// Most open uploads of one user.
    pub open_max: usize,
    /// How long an upload lives after its last byte, in milliseconds.
    pub ttl_ms: i64,
}

/// What is announced when an upload is begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewUpload {
    /// How many bytes will come.
    pub size: Option<u64>,
    /// What they will hash to.
    pub sha256: Option<Sha256>,
}

/// The bytes that a part holds, counted from 0, both ends in: the value of its `Content-Range` (RFC 9110, 14.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// How many bytes the upload will have, unless that is left open (`*`).
    pub total: Option<u64>,
}

/// A part that is to be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where it belongs.
    pub range: ContentRange,
    /// How many bytes its sender announced to send.
    pub length: Option<u64>,
    /// What its bytes hash to.
    pub sha256: Option<Sha256>,
}

/// What is left to do to finish an upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// Nothing: it was finished with this digest before.
    Done,
    /// Its bytes are to be hashed.
    Hash,
}

impl ContentRange {
    /// Reads `bytes FIRST-LAST/TOTAL`, where TOTAL may be `*`.
    ///
    /// # Errors
    /// `invalid_field` for anything else, and for a range that holds no byte or ends behind its total.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let read = |text: &str| {
            let (first, rest) = text.strip_prefix("bytes ")?.split_once('-')?;
            let (last, total) = rest.split_once('/')?;
            let total = if total == "*" { None } else { Some(digits(total)?) };
            let (first, last) = (digits(first)?, digits(last)?);
            let fits = first <= last && last < u64::MAX && total.is_none_or(|total| last < total);
            fits.then_some(Self { first, last, total })
        };
        read(text).ok_or_else(|| {
            let message = format!(
                "`{}` is no range of an upload: write `bytes FIRST-LAST/TOTAL` such as `bytes 0-999/70000`, or `*` for a total that is not known.",
                shown(text)
            );
            Refusal::field(Reason::InvalidField, "content-range", message)
        })
    }

    /// How many bytes the part has.
    pub const fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// A number without sign, blanks or more digits than 64 bits hold.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Upload {
    /// Whether the upload can be seen at all: by its own user, until it expires.
    pub fn is_visible(&self, caller: &Caller, now: Timestamp) -> bool {
        let is_own = match caller {
            Caller::Anonymous => false,
            Caller::Local { .. } => self.owner.is_none(),
            Caller::Token(token) => self.owner == Some(token.user),
        };
        is_own && now < self.expires_at
    }
}

/// The refusal for an upload that is absent, expired or somebody else's.
pub fn upload_not_found(id: UploadId) -> Refusal {
    let message = format!("You have no upload `{id}`: it never was, has expired, or was published. Begin a new one.");
    Refusal::new(Reason::UploadNotFound, message)
}

/// The refusal of an artifact that is larger than the operator allows.
pub fn too_large(limit: u64) -> Refusal {
    let message = format!("The artifact is larger than the {limit} bytes that this registry takes: make it smaller.");
    Refusal::field(Reason::ArtifactTooLarge, "size", message).with_limit(limit)
}

/// A new upload, if the caller may have one more beside the `open` ones.
///
/// # Errors
/// `empty_artifact`, `artifact_too_large`, `too_many_uploads`.
pub fn decide_begin(
    id: UploadId,
    caller: &Caller,
    (announced, open): (&NewUpload, usize),
    limits: &UploadLimits,
    now: Timestamp,
) -> Result<Upload, Refusal> {
    if announced.size == Some(0) {
        return Err(empty("size"));
    }
    if announced.size.is_some_and(|size| size > limits.bytes_max) {
        return Err(too_large(limits.bytes_max));
    }
    if open >= limits.open_max {
        let message = format!("You have {open} open uploads, as many as one user may: finish or delete one first.");
        return Err(Refusal::field(Reason::TooManyUploads, "uploads", message).with_limit(limits.open_max as u64));
    }
    Ok(Upload {
        id,
        owner: caller.user(),
        size: announced.size,
        sha256: announced.sha256,
        state: UploadState::Open,
        created_at: now,
        expires_at: now.plus_ms(limits.ttl_ms),
    })
}

/// Whether a part belongs where the upload, which has `offset` bytes, now ends.
///
/// # Errors
/// `wrong_offset`, `artifact_too_large`, or `invalid_field` for a total that is not the announced one, bytes behind it,
/// and a length that is not the range's.
pub fn decide_append(upload: &Upload, offset: u64, part: &Part, bytes_max: u64) -> Result<(), Refusal> {
    let range = part.range;
    if range.first != offset {
        let message =
            format!("The upload has {offset} bytes: go on with byte {offset}, not with byte {}.", range.first);
        return Err(Refusal::field(Reason::WrongOffset, "offset", message).with_limit(offset));
    }
    if range.last >= bytes_max || range.total.is_some_and(|total| total > bytes_max) {
        return Err(too_large(bytes_max));
    }
    let refuse = |message| Err(Refusal::field(Reason::InvalidField, "content-range", message));
    if let Some(size) = upload.size {
        if range.total.is_some_and(|total| total != size) {
            let message = format!("The upload was announced with {size} bytes: its total can't be another number now.");
            return refuse(message).map_err(|refusal| refusal.with_limit(size));
        }
        if range.last >= size {
            let message = format!("The upload has {size} bytes in all and takes none behind them.");
            return refuse(message).map_err(|refusal| refusal.with_limit(size));
        }
    }
    if part.length.is_some_and(|length| length != range.length()) {
        return refuse(format!("The range holds {} bytes, and another number is announced.", range.length()));
    }
    Ok(())
}

/// What is left to do to finish an upload that has `offset` bytes.
///
/// # Errors
/// `digest_mismatch` when another digest was announced or proven; `upload_incomplete`; `empty_artifact`.
pub fn decide_finish(upload: &Upload, offset: u64, sha256: &Sha256) -> Result<Finish, Refusal> {
    match upload.state {
        UploadState::Complete if upload.sha256 == Some(*sha256) => return Ok(Finish::Done),
        UploadState::Complete | UploadState::Open => {}
    }
    if upload.size.is_some_and(|size| size != offset) {
        let size = upload.size.unwrap_or_default();
        let message = format!("The upload has {offset} of its {size} bytes: append the rest first.");
        return Err(Refusal::field(Reason::UploadIncomplete, "offset", message).with_limit(size));
    }
    if offset == 0 {
        return Err(empty("offset"));
    }
    match upload.sha256 {
        Some(announced) if announced != *sha256 => Err(mismatch(&announced, sha256)),
        Some(_) | None => Ok(Finish::Hash),
    }
}

/// The refusal of an upload that is to be published before it was finished.
pub fn unfinished(id: UploadId) -> Refusal {
    let message = format!("The upload `{id}` is not finished: finish it with its digest first.");
    Refusal::new(Reason::UploadIncomplete, message)
}

/// The refusal of bytes that are not those that were announced.
pub fn mismatch(found: &Sha256, announced: &Sha256) -> Refusal {
    let message =
        format!("The bytes' SHA-256 is `{found}`, not `{announced}`: check what was sent, and send it again.");
    Refusal::field(Reason::DigestMismatch, "sha256", message)
}

fn empty(field: &str) -> Refusal {
    Refusal::field(Reason::EmptyArtifact, field, "An artifact has at least one byte: append its bytes.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: UploadLimits = UploadLimits { bytes_max: 100, open_max: 2, ttl_ms: 10 };

    fn begin(size: Option<u64>, open: usize) -> Result<Upload, Refusal> {
        let announced = NewUpload { size, sha256: None };
        decide_begin(Id(1), &Caller::Local { uid: 0 }, (&announced, open), &LIMITS, Timestamp(0))
    }

    #[test]
    fn ranges_are_read_to_the_letter() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        for (text, expected) in [
            ("bytes 0-9/10", range(0, 9, Some(10))),
            ("bytes 5-5/*", range(5, 5, None)),
            ("bytes 0-10/10", None),
            ("bytes 2-1/10", None),
            ("bytes */10", None),
            ("bytes 0-/10", None),
            ("bytes -1/10", None),
            ("bytes 0-9", None),
            ("bytes +0-9/10", None),
            ("bytes 0-18446744073709551615/*", None),
            ("bytes 0-18446744073709551616/*", None),
            ("Bytes 0-9/10", None),
            ("", None),
        ] {
            assert_eq!(ContentRange::parse(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn beginning_is_bounded() {
        assert!(begin(Some(100), 1).is_ok() && begin(None, 0).is_ok());
        for (size, open, reason) in [
            (Some(0), 0, Reason::EmptyArtifact),
            (Some(101), 0, Reason::ArtifactTooLarge),
            (None, 2, Reason::TooManyUploads),
        ] {
            assert_eq!(begin(size, open).unwrap_err().reason, reason);
        }
    }

    #[track_caller]
    fn check(size: Option<u64>, offset: u64, range: &str, expected: Option<Reason>) {
        let part = Part { range: ContentRange::parse(range).unwrap(), length: None, sha256: None };
        let upload = begin(size, 0).unwrap();
        let refusal = decide_append(&upload, offset, &part, LIMITS.bytes_max).err();
        assert_eq!(refusal.map(|refusal| refusal.reason), expected, "{range}");
    }

    #[test]
    fn a_part_belongs_at_the_end() {
        check(None, 0, "bytes 0-99/*", None);
        check(None, 0, "bytes 0-100/*", Some(Reason::ArtifactTooLarge));
        check(None, 0, "bytes 0-9/101", Some(Reason::ArtifactTooLarge));
        check(Some(10), 4, "bytes 4-9/10", None);
        check(Some(10), 4, "bytes 4-9/*", None);
        check(Some(10), 4, "bytes 0-9/10", Some(Reason::WrongOffset));
        check(Some(10), 4, "bytes 5-9/10", Some(Reason::WrongOffset));
        check(Some(10), 4, "bytes 4-9/11", Some(Reason::InvalidField));
        check(Some(10), 4, "bytes 4-10/*", Some(Reason::InvalidField));
    }

    #[test]
    fn finishing_is_repeatable_with_the_same_digest_alone() {
        let (right, wrong) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let open = begin(Some(10), 0).unwrap();
        assert_eq!(decide_finish(&open, 10, &right), Ok(Finish::Hash));
        assert_eq!(decide_finish(&open, 9, &right).unwrap_err().reason, Reason::UploadIncomplete);
        let announced = Upload { sha256: Some(right), size: None, ..open };
        assert_eq!(decide_finish(&announced, 0, &right).unwrap_err().reason, Reason::EmptyArtifact);
        assert_eq!(decide_finish(&announced, 9, &wrong).unwrap_err().reason, Reason::DigestMismatch);
        let complete = Upload { state: UploadState::Complete, size: Some(10), ..announced };
        assert_eq!(decide_finish(&complete, 10, &right), Ok(Finish::Done));
        assert_eq!(decide_finish(&complete, 10, &wrong).unwrap_err().reason, Reason::DigestMismatch);
    }
}
