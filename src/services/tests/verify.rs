//! Verifies whole directories: sound ones, and ones in which every kind of file is broken in turn.

use super::scrub::past;
use crate::storage::journal::name::{FileKind, Generation};
use crate::storage::redb::{METADATA_FILE, Options};
use crate::storage::rows::Row as _;
use crate::storage::scrub::fixture_tests::{CACHE_BYTES, Directory, Past, Shape};
use crate::storage::scrub::rebuild::{Rebuilt, rebuild};
use crate::storage::scrub::verify::VerifyReport;
use crate::storage::tables::{Counter, Table};

fn files(report: &VerifyReport) -> Vec<&str> {
    report.findings.list().iter().map(|finding| finding.file.as_str()).collect()
}

#[track_caller]
fn sound(report: &VerifyReport) {
    assert_eq!(report.findings.list(), []);
    assert!(report.state.is_some() && report.rows > 100 && report.blobs.blobs > 3, "{report:?}");
}

#[tokio::test]
async fn sound_directories_have_no_findings_wherever_logs_and_index_end() {
    let past = past().await;
    for rotate_every in [1, 2, 5, 100] {
        for (index_behind, sealed) in [(0, true), (0, false), (1, false), (3, false)] {
            let directory = Directory::write(&past, Shape { rotate_every, index_behind, sealed });
            let report = directory.verify();
            sound(&report);
            let states = past.states.len() as u64;
            assert_eq!(report.journal.frames, states + u64::from(sealed));
            assert_eq!(report.journal.snapshots + 1, report.journal.logs);
            assert_eq!(report.state.unwrap().number, states + u64::from(sealed));
            if index_behind == 0 {
                assert_eq!(report.compared, report.rows);
            }
            let copy = directory.copy().verify();
            sound(&copy);
            assert_eq!((copy.rows, copy.compared, copy.blobs), (report.rows, 0, report.blobs));
        }
    }
}

/// Writes an index with one row changed.
fn with_row(past: &Past, change: impl FnOnce(&mut Past)) -> VerifyReport {
    let directory = Directory::write(past, Shape::default());
    let mut other = past.clone();
    change(&mut other);
    directory.put_index(other.states.last().unwrap(), directory.positions.last().unwrap());
    directory.verify()
}

#[tokio::test]
async fn an_index_that_differs_from_the_journal_in_one_row_is_found() {
    let past = past().await;
    for table in Table::ALL {
        let last = past.states.last().unwrap().0[usize::from(*table as u8)].iter().next_back();
        let Some((key, value)) = last.map(|(key, value)| (key.clone(), value.clone())) else { continue };
        let row = |past: &mut Past| past.states.last_mut().unwrap().table(*table).remove(&key);
        let check = |report: &VerifyReport| {
            assert_eq!(files(report), [METADATA_FILE], "{table:?}");
            let what = &report.findings.list()[0].what;
            assert!(what.contains(table.name()) && what.contains("journal"), "{what}");
        };
        check(&with_row(&past, |past| drop(row(past))));
        let longer = [&value[..], b"x"].concat();
        check(&with_row(&past, |past| drop(past.states.last_mut().unwrap().table(*table).insert(key.clone(), longer))));
    }
}

#[tokio::test]
async fn an_index_that_is_missing_older_than_its_seal_or_ahead_is_found() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { index_behind: 2, ..Shape::default() });
    assert_eq!(files(&directory.verify()), [METADATA_FILE]);
    directory.remove(METADATA_FILE);
    let report = directory.verify();
    assert_eq!((files(&report), report.rows > 100), (vec![METADATA_FILE], true));
    directory.replace(METADATA_FILE, b"", 0o600);
    assert_eq!(files(&directory.verify()), [METADATA_FILE]);
    let mut ahead = *directory.positions.last().unwrap();
    ahead.number += 9;
    directory.remove(METADATA_FILE);
    directory.put_index(past.states.last().unwrap(), &ahead);
    assert_eq!(files(&directory.verify()), [METADATA_FILE]);
}

#[tokio::test]
async fn rows_that_contradict_each_other_are_found_though_journal_and_index_agree() {
    let mut past = past().await;
    let last = past.states.last_mut().unwrap();
    last.table(Table::Counters).insert(vec![Counter::Versions as u8], 77_u64.to_row());
    let report = Directory::write(&past, Shape::default()).verify();
    assert_eq!(files(&report), [METADATA_FILE]);
    assert!(report.findings.list()[0].what.contains("counter Versions says 77"));
}

/// The log or snapshot of a generation.
fn name(directory: &Directory, number: u64, kind: FileKind) -> String {
    let Generation { history, .. } = directory.positions[0].generation;
    Generation { number, history }.shown(kind)
}

#[tokio::test]
async fn a_copy_may_end_anywhere_and_lack_what_came_late() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { rotate_every: 4, index_behind: 0, sealed: false });
    let last = name(&directory, 3, FileKind::Log);
    let before = name(&directory, 2, FileKind::Log);
    let length = directory.read(&last).len();
    for cut in [1, 40, 200, length / 2] {
        let copy = directory.copy();
        copy.rot(&last, |bytes| bytes.truncate(length - cut));
        copy.rot(METADATA_FILE, |bytes| bytes.truncate(8192));
        sound(&copy.verify());
    }
    // The last log was not there yet when the folder was listed, and the one before was still growing.
    let copy = directory.copy();
    copy.remove(&last);
    copy.remove(&name(&directory, 3, FileKind::Snapshot));
    let length = directory.read(&before).len();
    copy.rot(&before, |bytes| bytes.truncate(length - 10));
    let report = copy.verify();
    assert_eq!(report.findings.list(), []);
    assert_eq!(report.state.unwrap().number, 7);
}

#[tokio::test]
async fn an_original_that_ends_too_early_is_found() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { rotate_every: 4, index_behind: 0, sealed: false });
    let last = name(&directory, 3, FileKind::Log);
    directory.rot(&last, |bytes| bytes.truncate(bytes.len() - 10));
    let report = directory.verify();
    assert_eq!(files(&report), [&last, METADATA_FILE]);
    directory.remove(&last);
    assert!(files(&directory.verify()).iter().any(|file| file.starts_with("journal/")));
}

#[tokio::test]
async fn a_rebuilt_index_is_right_and_the_old_one_is_kept_aside() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { rotate_every: 4, index_behind: 0, sealed: true });
    let (fs, options) = (directory.workshop().fs, Options { cache_bytes: CACHE_BYTES, ..Options::default() }.opening());
    let again = || rebuild(&fs, directory.data(), &options).unwrap();
    for broken in [&b"no database"[..], b""] {
        directory.replace(METADATA_FILE, broken, 0o600);
        assert_eq!(files(&directory.verify()), [METADATA_FILE]);
        let Rebuilt::Done(position) = again() else { panic!("it is an original with a journal") };
        assert_eq!(position.number, past.states.len() as u64 + 1);
        let report = directory.verify();
        sound(&report);
        assert_eq!(report.compared, report.rows);
    }
    assert_eq!(directory.read("quarantine/1.meta.redb"), b"no database");
    directory.remove(METADATA_FILE);
    assert!(matches!(again(), Rebuilt::Done(_)));
    sound(&directory.verify());
    let copy = directory.copy();
    assert_eq!(rebuild(&fs, copy.data(), &options).unwrap(), Rebuilt::NotNeeded);
}

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed tells the whole run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound as u64).unwrap()
    }
}

/// One way in which a disk can go bad.
#[derive(Clone, Copy, Debug)]
enum Rot {
    Flip { byte: usize, bit: u8 },
    Zero { page: usize },
    Cut { to: usize },
}

const PAGE: usize = 4096;

impl Rot {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
            Self::Zero { page } => {
                let end = bytes.len().min((page + 1) * PAGE);
                bytes[page * PAGE..end].fill(0);
            }
            Self::Cut { to } => bytes.truncate(to),
        }
    }

    /// One flipped bit in each page, each page zeroed, and a cut in each page.
    fn all(length: usize, random: &mut Random) -> Vec<Self> {
        let mut all = Vec::new();
        for page in 0..length.div_ceil(PAGE) {
            let room = PAGE.min(length - page * PAGE);
            let byte = page * PAGE + random.below(room);
            let bit = u8::try_from(random.below(8)).unwrap();
            all.extend([Self::Flip { byte, bit }, Self::Zero { page }]);
            all.push(Self::Cut { to: page * PAGE + random.below(room) });
        }
        all
    }
}

#[tokio::test]
async fn every_rotten_byte_of_journal_and_blobs_is_found_and_its_file_named() {
    let (seed, long) = budget("bit rot");
    let mut random = Random(seed);
    let past = past().await;
    let shapes = [(4, true), (3, false), (100, true)];
    for (rotate_every, sealed) in shapes.into_iter().take(if long { 3 } else { 1 }) {
        let directory = Directory::write(&past, Shape { rotate_every, index_behind: 0, sealed });
        for file in directory.files() {
            let sound = directory.read(&file);
            for rot in Rot::all(sound.len(), &mut random) {
                let mut bytes = sound.clone();
                rot.apply(&mut bytes);
                if bytes == sound {
                    continue;
                }
                directory.rot(&file, |all| *all = bytes);
                let report = directory.verify();
                assert!(files(&report).contains(&file.as_str()), "{file} {rot:?} of {}: {report:#?}", sound.len());
                assert!(
                    report.findings.list().iter().all(|finding| !finding.fix.is_empty() && !finding.what.is_empty())
                );
            }
            directory.rot(&file, |all| *all = sound);
        }
        sound(&directory.verify());
    }
}

#[tokio::test]
async fn every_rotten_byte_of_the_index_is_found_or_in_a_page_that_nothing_reads() {
    let (seed, long) = budget("bit rot of the index");
    let mut random = Random(seed);
    let past = past().await;
    let directory = Directory::write(&past, Shape::default());
    let sound = directory.read(METADATA_FILE);
    let mut rots = Rot::all(sound.len(), &mut random);
    let tried = if long { rots.len() } else { 60 };
    let (mut found, mut unused) = (0, 0);
    for _ in 0..tried {
        let rot = rots.swap_remove(random.below(rots.len()));
        let mut bytes = sound.clone();
        rot.apply(&mut bytes);
        directory.rot(METADATA_FILE, |all| *all = bytes);
        let report = directory.verify();
        // What has no finding was read row by row all the same, and is what the journal says.
        match &files(&report)[..] {
            [] => unused += usize::from(report.compared == report.rows),
            names => {
                assert!(names.iter().all(|name| *name == METADATA_FILE), "{rot:?}: {names:?}");
                found += 1;
            }
        }
        assert!(report.rows > 100 && report.journal.frames > 8, "{rot:?}: the journal was not read");
    }
    assert_eq!(found + unused, tried);
    assert!(found > tried / 10, "{found} of {tried} found");
}

#[tokio::test]
async fn swapped_blobs_are_both_found() {
    let past = past().await;
    let directory = Directory::write(&past, Shape::default());
    let blobs: Vec<String> = directory.files().into_iter().filter(|file| file.starts_with("blobs/")).collect();
    let (one, other) = (directory.read(&blobs[0]), directory.read(&blobs[1]));
    directory.replace(&blobs[0], &other, 0o400);
    directory.replace(&blobs[1], &one, 0o400);
    assert_eq!(files(&directory.verify()), [&blobs[0], &blobs[1]]);
}

/// The seed of this run, and whether it is a campaign; both are printed.
#[expect(clippy::print_stderr, reason = "a seed is told")]
fn budget(what: &str) -> (u64, bool) {
    let long = std::env::var("VIXR_TEST_BUDGET").is_ok_and(|budget| budget == "long");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed: Option<u64> = std::env::var("VIXR_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| now.subsec_nanos().into()).max(1);
    eprintln!("{what}: VIXR_TEST_SEED={seed} (VIXR_TEST_BUDGET=long for more)");
    (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, long)
}
