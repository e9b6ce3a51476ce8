//! What sound archives tell, in each packing.

use std::io::{Cursor, Write};

use super::builder::{gzip, tar, tar_gz};
use super::*;
use crate::domain::media::sniff;

const MANIFEST: &[u8] = b"{\"name\":\"jwt\"}";
const README: &[u8] = b"# jwt\n";

pub(super) fn look(bytes: &[u8]) -> Inspection {
    inspect(Cursor::new(bytes), sniff(bytes), &ArchiveLimits::default()).unwrap()
}

pub(super) fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub(super) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in files {
        writer.start_file(*path, ::zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn each_packing(files: &[(&str, &[u8])]) -> [Vec<u8>; 3] {
    [tar_gz(files), zst(&tar(files)), zip_of(files)]
}

#[track_caller]
fn check(bytes: &[u8], manifest: Option<&[u8]>, readme: Option<&[u8]>, warnings: &[&str]) {
    let seen = look(bytes);
    let reasons: Vec<_> = seen.warnings.iter().map(|warning| warning.reason).collect();
    assert_eq!(reasons, warnings, "{:?}", seen.warnings);
    assert_eq!((seen.manifest.as_deref(), seen.readme.as_deref()), (manifest, readme));
}

#[test]
fn both_files_are_found_at_the_root_and_in_the_single_top_folder() {
    let root: &[(&str, &[u8])] = &[("README.md", README), ("src/a.hpp", b"int a;"), ("vix.json", MANIFEST)];
    let folder: &[(&str, &[u8])] =
        &[("jwt-1.0/README.md", README), ("jwt-1.0/src/a.hpp", b"int a;"), ("jwt-1.0/vix.json", MANIFEST)];
    for files in [root, folder] {
        for bytes in each_packing(files) {
            check(&bytes, Some(MANIFEST), Some(README), &[]);
        }
    }
}

#[test]
fn archives_without_a_manifest_tell_nothing() {
    let scattered: &[(&str, &[u8])] = &[("a/vix.json", MANIFEST), ("b/x", b"")];
    let deep: &[(&str, &[u8])] = &[("a/b/vix.json", MANIFEST), ("a/README.md", README)];
    for files in [scattered, deep, &[], &[("README.md", README)]] {
        for bytes in each_packing(files) {
            check(&bytes, None, None, &[]);
        }
    }
}

#[test]
fn other_bytes_are_opaque() {
    for bytes in
        [&gzip(b"just text")[..], &gzip(b""), &gzip(&[7; 2000]), &zst(b"just text"), b"", b"\xfd7zXZ\0", MANIFEST]
    {
        check(bytes, None, None, &[]);
    }
}

#[test]
fn one_file_is_enough_and_the_root_wins() {
    let files: &[(&str, &[u8])] = &[("a/vix.json", b"inner"), ("a/README.md", README), ("vix.json", MANIFEST)];
    for bytes in each_packing(files) {
        check(&bytes, Some(MANIFEST), None, &[]);
    }
}

#[test]
fn readmes_that_cannot_be_kept_are_left_out() {
    let large = vec![b'a'; (256 << 10) + 1];
    for bytes in each_packing(&[("vix.json", MANIFEST), ("README.md", &large)]) {
        check(&bytes, Some(MANIFEST), None, &["readme_ignored"]);
    }
    for bytes in each_packing(&[("vix.json", MANIFEST), ("README.md", &large[1..])]) {
        check(&bytes, Some(MANIFEST), Some(&large[1..]), &[]);
    }
    for bytes in each_packing(&[("vix.json", MANIFEST), ("README.md", b"\xff\xfe")]) {
        check(&bytes, Some(MANIFEST), None, &["readme_ignored"]);
    }
}

#[test]
fn large_manifests_are_cut_one_byte_after_the_limit() {
    for size in [65_536, 65_537, 200_000] {
        let large = vec![b' '; size];
        for bytes in each_packing(&[("vix.json", &large)]) {
            check(&bytes, Some(&large[..size.min(65_537)]), None, &[]);
        }
    }
}

#[test]
fn long_paths_of_gnu_and_pax_are_read() {
    let folder = "d".repeat(150);
    let path = format!("{folder}/vix.json");
    check(&tar_gz(&[(&path, MANIFEST)]), Some(MANIFEST), None, &[]);
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_ustar();
    for (name, content) in [("vix.json", MANIFEST), ("README.md", README)] {
        let long = format!("{folder}/{name}");
        builder.append_pax_extensions([("mtime", &b"1.5"[..]), ("path", long.as_bytes())]).unwrap();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, "cut", content).unwrap();
    }
    check(&gzip(&builder.into_inner().unwrap()), Some(MANIFEST), Some(README), &[]);
}

#[test]
fn sizes_of_pax_headers_replace_those_of_tar() {
    let mut bytes = Vec::new();
    let mut builder = ::tar::Builder::new(&mut bytes);
    builder.append_pax_extensions([("size", &b"1000"[..])]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_path("filler").unwrap();
    header.set_size(0);
    header.set_cksum();
    drop(builder);
    bytes.truncate(1024);
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&[b'x'; 1024]);
    bytes.extend_from_slice(&tar(&[("vix.json", MANIFEST)]));
    check(&gzip(&bytes), Some(MANIFEST), None, &[]);
}

#[test]
fn streams_of_several_parts_and_tars_without_an_end_are_read() {
    let whole = tar(&[("README.md", README), ("vix.json", MANIFEST)]);
    let (first, second) = whole.split_at(700);
    check(&[gzip(first), gzip(second)].concat(), Some(MANIFEST), Some(README), &[]);
    check(&[zst(first), zst(second)].concat(), Some(MANIFEST), Some(README), &[]);
    check(&gzip(&whole[..2048]), Some(MANIFEST), Some(README), &[]);
}

#[test]
fn wide_zip_entries_are_read() {
    let mut writer = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.set_comment("PK\u{5}\u{6} is no end record here").unwrap();
    for (path, content) in [("p/vix.json", MANIFEST), ("p/readme.md", README)] {
        let options = ::zip::write::SimpleFileOptions::default().large_file(true);
        writer.start_file(path, options.compression_method(::zip::CompressionMethod::Stored)).unwrap();
        writer.write_all(content).unwrap();
    }
    check(&writer.finish().unwrap().into_inner(), Some(MANIFEST), Some(README), &[]);
}

#[test]
fn zip64_end_records_are_read() {
    let bytes = zip_of(&[("vix.json", MANIFEST)]);
    let end = bytes.len() - 22;
    let directory = u32::from_le_bytes(bytes[end + 16..end + 20].try_into().unwrap());
    let mut wide = bytes[..end].to_vec();
    wide.extend_from_slice(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
    for number in [1, 1, end as u64 - u64::from(directory), directory.into()] {
        wide.extend_from_slice(&number.to_le_bytes());
    }
    wide.extend_from_slice(b"PK\x06\x07\0\0\0\0");
    wide.extend_from_slice(&(end as u64).to_le_bytes());
    wide.extend_from_slice(b"\x01\0\0\0PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    check(&wide, Some(MANIFEST), None, &[]);
}
