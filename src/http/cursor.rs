//! Cursors of lists: where the next page begins, as opaque text that belongs to one query.
//!
//! A cursor carries the position itself, so it survives inserts and restarts and nothing is kept for it. Its check ties
//! it to the route, the path and the filters. It is no secret and proves no right: each page decides anew what its
//! caller may see.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::digest::Blake3;
use crate::domain::refusal::{Reason, Refusal};

/// Longest position, in bytes.
pub const POSITION_BYTES_MAX: usize = 1024;

const FORMAT: u8 = 1;
const CHECK_BYTES: usize = 8;

/// The cursor for `position` (a key: whatever the list is ordered by) in the query that `subject` describes.
pub fn encode(subject: &str, position: &[u8]) -> String {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&check(subject, position));
    bytes.extend_from_slice(position);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position that a cursor of this query holds.
///
/// # Errors
/// `invalid_cursor` for any text that [`encode`] didn't make for the same subject.
pub fn decode(subject: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    read(subject, text).ok_or_else(|| {
        let message = "`cursor` does not belong to this query; leave it out to begin again, and keep the other \
                       parameters as they were from page to page";
        Refusal::field(Reason::InvalidCursor, "cursor", message)
    })
}

fn read(subject: &str, text: &str) -> Option<Vec<u8>> {
    if text.len() > POSITION_BYTES_MAX * 2 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (format, rest) = bytes.split_first()?;
    let (known, position) = rest.split_at_checked(CHECK_BYTES)?;
    (*format == FORMAT && known == check(subject, position)).then(|| position.to_vec())
}

fn check(subject: &str, position: &[u8]) -> [u8; CHECK_BYTES] {
    let mut input = format!("vix-registry cursor\0{}\0{subject}", subject.len()).into_bytes();
    input.extend_from_slice(position);
    let Blake3(hash) = Blake3::of(&input);
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_gives_its_position_back_to_its_own_query_alone() {
        let cursor = encode("versions gk/jwt", b"1.2.0");
        assert_eq!(decode("versions gk/jwt", &cursor), Ok(b"1.2.0".to_vec()));
        for (subject, text) in [("versions gk/jws", cursor.as_str()), ("versions gk/jwt", ""), ("versions gk/jwt", "x")]
        {
            assert_eq!(decode(subject, text).unwrap_err().reason, Reason::InvalidCursor);
        }
        for at in 0..cursor.len() {
            let mut typo: Vec<char> = cursor.chars().collect();
            typo[at] = if typo[at] == 'A' { 'B' } else { 'A' };
            assert!(decode("versions gk/jwt", &typo.into_iter().collect::<String>()).is_err(), "position {at}");
        }
    }
}
