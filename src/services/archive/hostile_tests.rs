//! What broken and hostile archives do: bring a warning, and nothing else.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::builder::{gzip, tar, tar_gz};
use super::tests::{look, zip_of, zst};
use super::*;
use crate::domain::media::sniff;
use ::tar::{EntryType, Header};
use proptest::prelude::*;

const MANIFEST: &[u8] = b"{\"name\":\"jwt\"}";

#[track_caller]
fn check(seen: &Inspection, reason: &str, text: &str) {
    assert_eq!((&seen.manifest, &seen.readme), (&None, &None));
    let [warning] = &seen.warnings[..] else { panic!("one warning, not {:?}", seen.warnings) };
    assert_eq!(warning.reason, reason);
    assert!(warning.message.contains(text), "{}", warning.message);
}

fn look_within(bytes: &[u8], limits: &ArchiveLimits) -> Inspection {
    inspect(Cursor::new(bytes), sniff(bytes), limits).unwrap()
}

/// A tar entry as it is written, unsafe paths and all.
fn entry(path: &str, of: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(of);
    header.set_size(content.len() as u64);
    header.as_old_mut().linkname[..8].copy_from_slice(b"/etc/pwd");
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn header_of_size(size: u64) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path("big").unwrap();
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A first part, then one part over and over: terabytes in a few kilobytes of memory.
struct Endless {
    head: Vec<u8>,
    part: Vec<u8>,
    repeats: u64,
    at: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (head, part) = (self.head.len() as u64, self.part.len() as u64);
        let rest = if self.at < head {
            &self.head[usize::try_from(self.at).unwrap()..]
        } else if (self.at - head) / part < self.repeats {
            &self.part[usize::try_from((self.at - head) % part).unwrap()..]
        } else {
            &[]
        };
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Endless {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn bombs_of_ten_gibibytes_stop_early() {
    let zeros = vec![0; 16 << 20];
    let mut heads = vec![entry("vix.json", EntryType::Regular, MANIFEST)];
    heads.push([heads[0].clone(), vec![0; 1024]].concat());
    for head in heads {
        for (media, pack) in [(MediaType::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (MediaType::Zstd, zst)] {
            let mut bomb = Endless { head: pack(&head), part: pack(&zeros), repeats: 640, at: 0 };
            let seen = inspect(&mut bomb, media, &ArchiveLimits::default()).unwrap();
            check(&seen, "archive_limits", "200 times");
            assert!(bomb.at < 1 << 20, "read {} packed bytes", bomb.at);
        }
    }
}

#[test]
fn declared_sizes_past_the_limit_stop_at_once() {
    for size in [3 << 30, u64::from(u32::MAX) * 4096, (1 << 62) - 1] {
        check(&look(&gzip(&header_of_size(size))), "archive_limits", "2147483648 bytes");
    }
    check(&look(&gzip(&header_of_size(u64::MAX >> 1))), "archive_limits", "2147483648 bytes");
}

#[test]
fn unpacked_size_is_bounded_without_a_bad_ratio_too() {
    let limits = ArchiveLimits { unpacked_bytes_max: 4096, ..ArchiveLimits::default() };
    let files: &[(&str, &[u8])] = &[("vix.json", MANIFEST), ("x", &[7; 4096])];
    for bytes in [tar_gz(files), zst(&tar(files))] {
        check(&look_within(&bytes, &limits), "archive_limits", "4096 bytes");
    }
    let limits = ArchiveLimits { unpacked_bytes_max: 100, ..limits };
    check(&look_within(&zip_of(files), &limits), "archive_limits", "100 bytes");
    let limits = ArchiveLimits { ratio_floor_bytes: 0, ratio_max: 2, ..ArchiveLimits::default() };
    check(&look_within(&zip_of(files), &limits), "archive_limits", "2 times");
}

#[test]
fn too_many_entries_stop_the_walk() {
    let mut bytes = Vec::new();
    let mut random = 1_u64;
    for _ in 0..200_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let blurred = random ^ (random >> 29);
        bytes.extend(entry(
            &format!("{random:016x}{blurred:016x}{:016x}", blurred.rotate_left(17)),
            EntryType::Regular,
            b"",
        ));
    }
    check(&look(&gzip(&bytes)), "archive_limits", "100000 entries");
    let limits = ArchiveLimits { entries_max: 2, ..ArchiveLimits::default() };
    let zip = zip_of(&[("a", b""), ("b", b""), ("vix.json", MANIFEST)]);
    check(&look_within(&zip, &limits), "archive_limits", "2 entries");
}

#[test]
fn long_paths_stop_the_walk() {
    let long = "d/".repeat(600) + "x";
    for bytes in [tar_gz(&[(&long, b"")]), zip_of(&[(&long, b"")])] {
        check(&look(&bytes), "archive_limits", "1024 bytes");
    }
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", long.as_bytes())]).unwrap();
    let pax = [builder.into_inner().unwrap()[..2048].to_vec(), entry("a", EntryType::Regular, b"")].concat();
    check(&look(&gzip(&pax)), "archive_limits", "1024 bytes");
    let pax = entry("pax", EntryType::XHeader, &vec![b'1'; (256 << 10) + 1]);
    check(&look(&gzip(&pax)), "archive_limits", "262144 bytes");
}

#[test]
fn unsafe_entries_are_passed_over() {
    let hostile = [
        entry("../vix.json", EntryType::Regular, MANIFEST),
        entry("/vix.json", EntryType::Regular, MANIFEST),
        entry("a/../vix.json", EntryType::Regular, MANIFEST),
        entry("vix.json", EntryType::Symlink, b""),
        entry("vix.json", EntryType::Link, b""),
        entry("vix.json", EntryType::Char, b""),
        entry("vix.json", EntryType::Fifo, b""),
        entry("vix.json/", EntryType::Regular, b""),
        entry("vix.json", EntryType::Directory, b""),
        entry("README.md", EntryType::Symlink, b""),
    ];
    assert_eq!(look(&gzip(&hostile.concat())), Inspection::default());
    let zip = zip_of(&[("../vix.json", MANIFEST), ("/vix.json", MANIFEST), ("a/../vix.json", MANIFEST)]);
    assert_eq!(look(&zip), Inspection::default());
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("vix.json", "/etc/passwd", ::zip::write::SimpleFileOptions::default()).unwrap();
    assert_eq!(look(&writer.finish().unwrap().into_inner()), Inspection::default());
}

#[test]
fn hard_links_with_a_size_are_followed_by_no_content() {
    let mut link = entry("b", EntryType::Link, &[0; 700]);
    link.truncate(512);
    let bytes = [entry("vix.json", EntryType::Regular, MANIFEST), link, entry("c", EntryType::Regular, b"c")].concat();
    assert_eq!(look(&gzip(&bytes)).manifest.as_deref(), Some(MANIFEST));
}

#[test]
fn archives_cut_anywhere_are_told() {
    let files: &[(&str, &[u8])] = &[("README.md", b"# jwt\n"), ("vix.json", MANIFEST), ("src/a.hpp", b"int a;")];
    for whole in [tar_gz(files), zst(&tar(files)), zip_of(files)] {
        let media = sniff(&whole);
        for cut in 1..whole.len() {
            let seen = inspect(Cursor::new(&whole[..cut]), media, &ArchiveLimits::default()).unwrap();
            check(&seen, "archive_truncated", "ends early");
        }
    }
    let mut tar = tar(files);
    tar.truncate(1500);
    check(&look(&gzip(&tar)), "archive_truncated", "ends early");
}

#[test]
fn damaged_archives_are_told() {
    let sound = tar_gz(&[("vix.json", MANIFEST)]);
    let mut wrong_sum = sound.clone();
    let sum = wrong_sum.len() - 8;
    wrong_sum[sum] ^= 1;
    check(&look(&wrong_sum), "archive_unreadable", "damaged");
    check(&look(&[&sound[..], b"and no other gzip member"].concat()), "archive_unreadable", "damaged");
    let mut tar = tar(&[("a", b"a"), ("vix.json", MANIFEST)]);
    tar[1024] ^= 1;
    check(&look(&gzip(&tar)), "archive_unreadable", "header");
    let mut zip = zip_of(&[("vix.json", MANIFEST)]);
    let content = 30 + "vix.json".len();
    zip[content] ^= 0xff;
    check(&look(&zip), "archive_unreadable", "vix.json");
    let mut zip = zip_of(&[("vix.json", MANIFEST)]);
    let directory = zip.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    zip[directory + 42..directory + 46].copy_from_slice(&0xfffe_ffff_u32.to_le_bytes());
    check(&look(&zip), "archive_unreadable", "directory");
}

#[test]
fn zip_directories_that_lie_are_told() {
    let sound = zip_of(&[("vix.json", MANIFEST)]);
    let end = sound.len() - 22;
    for (at, value) in [(10, 0xfff0_u16), (12, 0xfff0), (16, 0xfff0)] {
        let mut lying = sound.clone();
        lying[end + at..end + at + 2].copy_from_slice(&value.to_le_bytes());
        check(&look(&lying), "archive_unreadable", "directory");
    }
    let limits = ArchiveLimits { zip_read_bytes_max: 16, ..ArchiveLimits::default() };
    check(&look_within(&sound, &limits), "archive_limits", "too much");
}

#[test]
fn zstd_windows_past_the_limit_are_refused() {
    let window_of = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0, 0, 0];
    check(&look(&window_of(28)), "archive_limits", "window");
    check(&look(&window_of(41)), "archive_limits", "window");
}

#[test]
fn a_failing_reader_is_an_error_and_no_warning() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the disk went away")),
                read => Ok(read),
            }
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    for mut bytes in [tar_gz(&[("vix.json", MANIFEST)]), zst(&tar(&[("vix.json", MANIFEST)]))] {
        let media = sniff(&bytes);
        bytes.truncate(60);
        let error = inspect(Failing(Cursor::new(bytes)), media, &ArchiveLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "the disk went away");
    }
}

fn samples() -> Vec<Vec<u8>> {
    let files: &[(&str, &[u8])] = &[("p/README.md", b"# jwt\n"), ("p/vix.json", MANIFEST)];
    vec![tar_gz(files), zst(&tar(files)), zip_of(files), gzip(&entry("x", EntryType::GNUSparse, b"abc"))]
}

proptest! {
    #[test]
    fn no_bytes_panic_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for media in [MediaType::Gzip, MediaType::Zstd, MediaType::Zip] {
            prop_assert!(inspect(Cursor::new(&bytes), media, &ArchiveLimits::default()).is_ok());
        }
    }

    #[test]
    fn no_change_of_an_archive_panics_or_fails(changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        for mut bytes in samples() {
            let media = sniff(&bytes);
            for &(at, value) in &changes {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            prop_assert!(inspect(Cursor::new(&bytes), media, &ArchiveLimits::default()).is_ok());
        }
    }

    #[test]
    fn no_change_of_a_tar_panics_or_fails(changes in prop::collection::vec((0..2048_usize, any::<u8>()), 1..8)) {
        let mut bytes = tar(&[("p/README.md", b"# jwt\n"), ("p/vix.json", MANIFEST)]);
        for &(at, value) in &changes {
            bytes[at] = value;
        }
        prop_assert!(inspect(Cursor::new(gzip(&bytes)), MediaType::Gzip, &ArchiveLimits::default()).is_ok());
    }
}
