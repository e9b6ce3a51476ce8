//! Content codings: which one a client named (RFC 9110 section 12.5.3), and compressing with it.
//!
//! Never used for artifacts, nor for an answer that holds a secret; that choice is made where replies are written out.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// Bodies up to this many bytes go out as they are: they fit one network packet anyway.
pub const COMPRESS_BYTES_MIN: usize = 860;

/// zstd's level: about as small as gzip's default at several times its speed.
const ZSTD_LEVEL: i32 = 3;

/// How a body's bytes are coded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// As they are.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

impl Coding {
    /// The value of `Content-Encoding`, and the suffix of an `ETag`; nothing for identity.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// An `ETag`'s text without the coding's suffix.
    pub(crate) fn strip_suffix(tag: &str) -> &str {
        tag.strip_suffix("-gzip").or_else(|| tag.strip_suffix("-zstd")).unwrap_or(tag)
    }
}

/// The best coding among those that the client *names*: the highest weight wins, zstd before gzip at equal weight.
/// `*` names nothing; `q=0` refuses.
pub fn negotiate(headers: &HeaderMap) -> Coding {
    let mut weights = [0_u16; 3];
    let members = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for member in members.flat_map(|value| value.split(',')) {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "identity" => 0,
            "gzip" | "x-gzip" => 1,
            "zstd" => 2,
            _ => continue,
        };
        weights[place] = weight(parameters);
    }
    let [identity, gzip, zstd] = weights;
    if zstd > 0 && zstd >= gzip && zstd >= identity {
        Coding::Zstd
    } else if gzip > 0 && gzip >= identity {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// A weight in thousandths; none is 1000, a malformed one 0.
fn weight(parameters: &str) -> u16 {
    let Some((name, value)) = parameters.split_once('=') else {
        return if parameters.trim().is_empty() { 1000 } else { 0 };
    };
    let value = value.trim();
    let (whole, thousandths) = value.split_once('.').unwrap_or((value, ""));
    let digits_ok = thousandths.len() <= 3 && thousandths.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = format!("{thousandths:0<3}").parse().unwrap_or(0);
    match whole {
        "0" | "1" if !name.trim().eq_ignore_ascii_case("q") || !digits_ok => 0,
        "0" => fraction,
        "1" => 1000,
        _ => 0,
    }
}

/// Compresses a body that is worth it; `None` when it is to go out as it is: short, not asked for, or no smaller.
pub fn compress(body: &[u8], coding: Coding) -> Option<Bytes> {
    if body.len() <= COMPRESS_BYTES_MIN {
        return None;
    }
    let coded = match coding {
        Coding::Identity => return None,
        Coding::Gzip => gzip(body)?,
        Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL).ok()?,
    };
    (coded.len() < body.len()).then(|| Bytes::from(coded))
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Coding) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
        }
        assert_eq!(negotiate(&headers), expected, "{values:?}");
    }

    #[test]
    fn only_what_is_named_is_used() {
        check(&[], Coding::Identity);
        check(&["*"], Coding::Identity);
        check(&["br, deflate"], Coding::Identity);
        check(&["gzip"], Coding::Gzip);
        check(&["GZIP;q=0.5"], Coding::Gzip);
        check(&["gzip, deflate, br, zstd"], Coding::Zstd);
        check(&["gzip", "zstd"], Coding::Zstd);
        check(&["gzip;q=1.0, zstd;q=0.9"], Coding::Gzip);
        check(&["gzip;q=0, zstd ; q=0.000"], Coding::Identity);
        check(&["gzip;q=0.5, identity"], Coding::Identity);
        check(&["gzip;q=2, zstd;x=1"], Coding::Identity);
    }

    #[test]
    fn compressed_bytes_come_back_and_short_ones_stay() {
        let text = "the same words again and again ".repeat(100);
        let gzip = compress(text.as_bytes(), Coding::Gzip).unwrap();
        let mut back = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        let zstd = compress(text.as_bytes(), Coding::Zstd).unwrap();
        assert_eq!(zstd::bulk::decompress(&zstd, text.len()).unwrap(), text.as_bytes());
        assert_eq!(compress(text.as_bytes(), Coding::Identity), None);
        assert_eq!(compress(&text.as_bytes()[..COMPRESS_BYTES_MIN], Coding::Gzip), None);
    }
}
