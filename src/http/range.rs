//! Byte ranges (RFC 9110 section 14): what a `Range` header asks of a representation of known size, and the framing of
//! an answer in several parts.
//!
//! Pure: knows no files. Every length is known before the first byte is sent, so `Content-Length` always is too.

use bytes::Bytes;

/// More ranges than this get the whole representation.
pub const RANGES_MAX: usize = 16;

/// A run of bytes, both ends included; never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, at least `first`.
    pub last: u64,
}

impl Span {
    /// Count of bytes.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// The value of `Content-Range` for this part of a representation of `size` bytes.
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }
}

/// What to answer.
#[derive(PartialEq, Eq, Debug)]
pub enum Ranges {
    /// 200 with everything: no range, one that isn't understood, too many, or overlapping ones.
    Whole,
    /// 206 with one part.
    One(Span),
    /// 206 as `multipart/byteranges`, in the order that was asked for.
    Many(Vec<Span>),
    /// 416: well-formed, but no asked byte exists.
    Unsatisfiable,
}

/// Reads a `Range` header's value against a representation of `size` bytes.
///
/// What is not understood is ignored, as RFC 9110 section 14.2 has it: a wrong header costs bytes, never an error.
pub fn select(header: Option<&str>, size: u64) -> Ranges {
    let Some(specs) = header.and_then(bytes_unit) else { return Ranges::Whole };
    let mut spans = Vec::new();
    for (count, spec) in specs.split(',').map(str::trim).filter(|spec| !spec.is_empty()).enumerate() {
        if count >= RANGES_MAX {
            return Ranges::Whole;
        }
        match span(spec, size) {
            Ok(Some(span)) => spans.push(span),
            Ok(None) => {}
            Err(Malformed) => return Ranges::Whole,
        }
    }
    if overlap(&spans) {
        return Ranges::Whole;
    }
    match spans.as_slice() {
        [] if specs.chars().any(|c| c.is_ascii_digit()) => Ranges::Unsatisfiable,
        [] => Ranges::Whole,
        [span] => Ranges::One(*span),
        [_, _, ..] => Ranges::Many(spans),
    }
}

struct Malformed;

fn bytes_unit(header: &str) -> Option<&str> {
    let (unit, specs) = header.split_once('=')?;
    unit.trim().eq_ignore_ascii_case("bytes").then_some(specs)
}

/// `Ok(None)` is a well-formed range that holds no byte of the representation.
fn span(spec: &str, size: u64) -> Result<Option<Span>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    let (first, last) = (number(first)?, number(last)?);
    let end = size.saturating_sub(1);
    match (first, last) {
        (None, None) => Err(Malformed),
        (Some(first), Some(last)) if last < first => Err(Malformed),
        (Some(first), _) if first >= size => Ok(None),
        (Some(first), last) => Ok(Some(Span { first, last: last.unwrap_or(end).min(end) })),
        (None, Some(suffix)) if suffix == 0 || size == 0 => Ok(None),
        (None, Some(suffix)) => Ok(Some(Span { first: size.saturating_sub(suffix), last: end })),
    }
}

/// Digits alone; numbers beyond 64 bits count as the largest one.
fn number(text: &str) -> Result<Option<u64>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

fn overlap(spans: &[Span]) -> bool {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable_by_key(|span| span.first);
    sorted.windows(2).any(|pair| matches!(pair, [one, next] if next.first <= one.last))
}

/// The framing of a `multipart/byteranges` body: what to send before each part's bytes, and at the end.
#[derive(Debug)]
pub struct Framing {
    /// The answer's `Content-Type`.
    pub content_type: String,
    /// Each part's head and the bytes of the representation that follow it.
    pub parts: Vec<(Bytes, Span)>,
    /// What closes the body.
    pub tail: Bytes,
    /// Length of the whole body.
    pub length: u64,
}

/// Frames `spans` of a representation of `size` bytes; `boundary` must not occur in it (make it random).
pub fn frame(spans: &[Span], size: u64, media_type: &str, boundary: &str) -> Framing {
    let mut parts = Vec::with_capacity(spans.len());
    let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    let mut length = tail.len() as u64;
    for span in spans {
        let lead = if parts.is_empty() { "" } else { "\r\n" };
        let range = span.content_range(size);
        let head = format!("{lead}--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {range}\r\n\r\n");
        length += head.len() as u64 + span.length();
        parts.push((Bytes::from(head), *span));
    }
    Framing { content_type: format!("multipart/byteranges; boundary={boundary}"), parts, tail, length }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &Ranges) {
        assert_eq!(&select(Some(header), 10), expected, "{header}");
    }

    fn one(first: u64, last: u64) -> Ranges {
        Ranges::One(Span { first, last })
    }

    #[test]
    fn single_ranges_are_cut_to_the_size() {
        check("bytes=0-0", &one(0, 0));
        check("bytes=2-5", &one(2, 5));
        check("Bytes=2-", &one(2, 9));
        check("bytes=2-99", &one(2, 9));
        check("bytes=2-99999999999999999999999", &one(2, 9));
        check("bytes=-3", &one(7, 9));
        check("bytes=-30", &one(0, 9));
        check("bytes= 1-2 , ", &one(1, 2));
        check("bytes=1-2,50-60", &one(1, 2));
        assert_eq!(select(None, 10), Ranges::Whole);
    }

    #[test]
    fn what_no_byte_fits_is_unsatisfiable() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=11-,99-", "bytes=99999999999999999999999-"] {
            check(header, &Ranges::Unsatisfiable);
        }
        assert_eq!(select(Some("bytes=0-"), 0), Ranges::Unsatisfiable);
        assert_eq!(select(Some("bytes=-1"), 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for header in
            ["bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=+1-2", "items=0-1", "bytes=-", "bytes=1", "bytes=,"]
        {
            check(header, &Ranges::Whole);
        }
    }

    #[test]
    fn several_ranges_keep_their_order_and_overlapping_or_many_get_the_whole() {
        let spans = vec![Span { first: 8, last: 9 }, Span { first: 0, last: 1 }];
        check("bytes=8-9,0-1", &Ranges::Many(spans));
        check("bytes=0-5,5-6", &Ranges::Whole);
        check("bytes=0-,-1", &Ranges::Whole);
        let many = |count: u64| {
            format!("bytes={}", (0..count).map(|n| format!("{0}-{0}", n * 2)).collect::<Vec<_>>().join(","))
        };
        assert!(matches!(select(Some(&many(16)), 100), Ranges::Many(spans) if spans.len() == 16));
        assert_eq!(select(Some(&many(17)), 100), Ranges::Whole);
    }

    #[test]
    fn framed_parts_have_the_length_that_was_announced() {
        let data = b"0123456789";
        let framing = frame(&[Span { first: 8, last: 9 }, Span { first: 0, last: 1 }], 10, "text/plain", "B");
        let mut body = Vec::new();
        for (head, span) in &framing.parts {
            body.extend_from_slice(head);
            body.extend(
                data.iter().skip(usize::try_from(span.first).unwrap()).take(usize::try_from(span.length()).unwrap()),
            );
        }
        body.extend_from_slice(&framing.tail);
        assert_eq!(body.len() as u64, framing.length);
        let expected = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n\
                        --B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn selected_spans_lie_within_the_representation(header in "bytes=[-0-9, ]{0,30}", size in 0_u64..50) {
            let spans = match select(Some(&header), size) {
                Ranges::One(span) => vec![span],
                Ranges::Many(spans) => spans,
                Ranges::Whole | Ranges::Unsatisfiable => Vec::new(),
            };
            for span in spans {
                prop_assert!(span.first <= span.last && span.last < size);
            }
        }
    }
}
