//! Every kind of damage to files of blobs is told, and nothing sound is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::domain::digest::Blake3;
use crate::storage::fs::RealFs;
use crate::storage::progress::{Advance, Cancelled, Unwatched};

struct Bench {
    data: tempfile::TempDir,
    rows: BTreeMap<Sha256, BlobRow>,
    /// Rows that are gone once they are looked up again.
    swept: Vec<Sha256>,
}

impl BlobRows for Bench {
    fn shard(&self, first_byte: u8) -> Result<Vec<BlobRow>, ScrubError> {
        Ok(self.rows.values().filter(|row| row.sha256.0[0] == first_byte).copied().collect())
    }

    fn row(&self, sha256: &Sha256) -> Result<Option<BlobRow>, ScrubError> {
        Ok(self.rows.get(sha256).filter(|_| !self.swept.contains(sha256)).copied())
    }
}

impl Bench {
    /// Blobs of many sizes, each referred to once.
    fn new(count: u32) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut bench = Self { data, rows: BTreeMap::new(), swept: Vec::new() };
        for at in 0..count {
            let bytes = at.to_le_bytes().repeat(usize::try_from(at * at * 40 + 1).unwrap());
            bench.put(&bytes, 1);
        }
        bench
    }

    fn path(&self, sha256: &Sha256) -> PathBuf {
        self.data.path().join(blob_file(sha256))
    }

    fn put(&mut self, bytes: &[u8], count: u64) -> Sha256 {
        let sha256 = Sha256::of(bytes);
        self.write(&sha256, bytes);
        let (size, blake3) = (bytes.len() as u64, Blake3::of(bytes));
        let dropped_since = (count == 0).then_some(5);
        let row = BlobRow { count, size, sha256, blake3, referred_since: 1, dropped_since, damaged: false };
        self.rows.insert(sha256, row);
        sha256
    }

    fn write(&self, sha256: &Sha256, bytes: &[u8]) {
        let path = self.path(sha256);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        for folder in path.ancestors().skip(1).take(3) {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    fn scan(&self) -> BlobScan<'_> {
        BlobScan { fs: &RealFs, data: self.data.path(), bytes_per_second_max: None, bytes_expected: None }
    }

    fn check(&self) -> (BlobCounts, Vec<Finding>) {
        let mut findings = Findings::default();
        let counts = check_blobs(&self.scan(), self, &Unwatched, &mut findings).unwrap();
        (counts, findings.list().to_vec())
    }

    /// The one finding there is.
    #[track_caller]
    fn only(&self, file: &str, what: &str) -> Finding {
        let (_, found) = self.check();
        let [finding] = &found[..] else { panic!("{found:#?}") };
        assert!(finding.file == file && finding.what.contains(what) && !finding.fix.is_empty(), "{finding:?}");
        finding.clone()
    }

    fn bytes(&self, sha256: &Sha256) -> Vec<u8> {
        std::fs::read(self.path(sha256)).unwrap()
    }
}

#[test]
fn sound_blobs_are_all_read_and_nothing_is_told() {
    let bench = Bench::new(40);
    let (counts, found) = bench.check();
    assert_eq!(found, []);
    let bytes = bench.rows.values().map(|row| row.size).sum();
    assert_eq!(counts, BlobCounts { blobs: 40, bytes, litter: 0, notes: 0 });
    let empty = Bench::new(0);
    assert_eq!(empty.check(), (BlobCounts::default(), Vec::new()));
}

#[test]
fn one_flipped_bit_a_cut_and_a_swap_are_found_and_named() {
    let bench = Bench::new(30);
    let digests: Vec<Sha256> = bench.rows.keys().copied().collect();
    for (at, digest) in digests.iter().enumerate() {
        let sound = bench.bytes(digest);
        let mut flipped = sound.clone();
        let place = at * 977 % sound.len();
        flipped[place] ^= 1 << (at % 8);
        let other = bench.bytes(&digests[(at + 1) % digests.len()]);
        let zeroed = vec![0; sound.len()];
        for wrong in [&flipped[..], &sound[1..], &[&sound[..], b"x"].concat(), &other] {
            bench.write(digest, wrong);
            let finding = bench.only(&blob_file(digest), "1 versions refer to it");
            assert_eq!(finding.blob, Some(*digest));
        }
        if zeroed != sound {
            bench.write(digest, &zeroed);
            bench.only(&blob_file(digest), "are not the");
        }
        bench.write(digest, &sound);
    }
    assert_eq!(bench.check().1, []);
}

#[test]
fn a_missing_blob_is_found_unless_it_was_swept_meanwhile() {
    let mut bench = Bench::new(3);
    let digest = *bench.rows.keys().next().unwrap();
    std::fs::remove_file(bench.path(&digest)).unwrap();
    assert_eq!(bench.only(&blob_file(&digest), "it is missing, and 1 versions").blob, Some(digest));
    bench.write(&digest, b"VIXRGONE dropped at tick 5, swept at tick 9\n");
    bench.only(&blob_file(&digest), "it is missing");
    bench.swept.push(digest);
    assert_eq!(bench.check().1, []);
    bench.rows.remove(&digest);
    let (counts, found) = bench.check();
    assert_eq!((counts.blobs, counts.notes, found), (2, 1, Vec::new()));
}

#[test]
fn files_without_a_row_are_litter_or_named() {
    let mut bench = Bench::new(2);
    let litter = bench.put(b"litter", 1);
    let torn = bench.put(b"torn", 1);
    bench.rows.remove(&litter);
    bench.rows.remove(&torn);
    bench.write(&torn, b"other");
    bench.only(&blob_file(&torn), "its bytes don't hash to its name");
    std::fs::remove_file(bench.path(&torn)).unwrap();
    let (counts, found) = bench.check();
    assert_eq!((counts.blobs, counts.litter, found), (2, 1, Vec::new()));
    for name in ["blobs/x", "blobs/sha256/AB", "blobs/sha256/zz", &format!("{}~", blob_file(&litter))] {
        let path = bench.data.path().join(name);
        std::fs::write(&path, "").unwrap();
        bench.only(name, "no file of this name");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn modes_that_let_others_in_are_told() {
    let bench = Bench::new(1);
    let digest = *bench.rows.keys().next().unwrap();
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chmod(&bench.path(&digest), 0o644);
    bench.only(&blob_file(&digest), "mode is 644");
    chmod(&bench.path(&digest), 0o400);
    chmod(&bench.data.path().join("blobs/sha256"), 0o777);
    bench.only("blobs/sha256", "others can write");
}

#[test]
fn a_blob_that_is_marked_as_damaged_is_told_also_when_it_is_right_again() {
    let mut bench = Bench::new(1);
    let digest = *bench.rows.keys().next().unwrap();
    bench.rows.get_mut(&digest).unwrap().damaged = true;
    let finding = bench.only(&blob_file(&digest), "right again");
    assert_eq!(finding.blob, Some(digest));
}

#[test]
fn it_stops_when_it_is_told_to() {
    struct Impatient(AtomicU64);
    impl Progress for Impatient {
        fn advance(&self, _at: Advance) -> Result<(), Cancelled> {
            if self.0.fetch_add(1, Ordering::Relaxed) < 2 { Ok(()) } else { Err(Cancelled) }
        }
    }
    let mut bench = Bench::new(0);
    bench.put(&vec![7; 4 << 20], 1);
    // At this pace the file takes half an hour.
    let scan = BlobScan { bytes_per_second_max: Some(2048), ..bench.scan() };
    let stopped = check_blobs(&scan, &bench, &Impatient(AtomicU64::new(0)), &mut Findings::default());
    assert!(matches!(stopped, Err(ScrubError::Cancelled(_))), "{stopped:?}");
}
