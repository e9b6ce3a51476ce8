//! What kind of bytes an artifact is, told from its first bytes and never from what a client says.

/// How many first bytes [`sniff`] looks at; fewer are fine.
pub const SNIFF_BYTES: usize = 8;

/// The kinds of artifact that the contract knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MediaType {
    /// RFC 1952; taken for a compressed tar when a file name is made up.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format 1.2.1; stored and served, but never looked into.
    Xz,
    /// PKWARE APPNOTE 4.3.7 (an entry first) or 4.3.16 (no entries at all).
    Zip,
    /// Everything else.
    OctetStream,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
            Self::Xz => "application/x-xz",
            Self::Zip => "application/zip",
            Self::OctetStream => "application/octet-stream",
        }
    }

    /// The end of a file name that was not given, without its dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "tar.gz",
            Self::Zstd => "tar.zst",
            Self::Xz => "tar.xz",
            Self::Zip => "zip",
            Self::OctetStream => "bin",
        }
    }
}

/// Tells the kind of an artifact from its first [`SNIFF_BYTES`] bytes.
pub fn sniff(head: &[u8]) -> MediaType {
    if head.starts_with(b"\x1f\x8b\x08") {
        MediaType::Gzip
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        MediaType::Zstd
    } else if head.starts_with(b"\xfd7zXZ\0") {
        MediaType::Xz
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        MediaType::Zip
    } else {
        MediaType::OctetStream
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], media_type: &str, extension: &str) {
        let sniffed = sniff(head);
        assert_eq!((sniffed.as_str(), sniffed.extension()), (media_type, extension), "{head:?}");
    }

    #[test]
    fn first_bytes_tell_the_kind() {
        check(b"\x1f\x8b\x08\0\0\0\0\0\0\xff", "application/gzip", "tar.gz");
        check(b"\x28\xb5\x2f\xfd\x04", "application/zstd", "tar.zst");
        check(b"\xfd7zXZ\0\0\x04", "application/x-xz", "tar.xz");
        check(b"PK\x03\x04\x14", "application/zip", "zip");
        check(b"PK\x05\x06\0", "application/zip", "zip");
    }

    #[test]
    fn too_few_or_other_bytes_are_opaque() {
        for head in [&b""[..], b"\x1f", b"\x1f\x8b", b"PK", b"PK\x01\x02", b"\xfd7zXZ", b"\x28\xb5\x2f", b"{\"a\":1}"] {
            check(head, "application/octet-stream", "bin");
        }
    }
}
