//! Backups of directories written by hand: what is in them, what stops them, and what is restored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::scrub::past;
use crate::storage::backup::{BackupError, BackupOptions, BackupReport, create, restore};
use crate::storage::fs::RealFs;
use crate::storage::journal::name::FileKind;
use crate::storage::progress::{Advance, Cancelled, Progress, Unwatched};
use crate::storage::redb::METADATA_FILE;
use crate::storage::scrub::fixture_tests::{CACHE_BYTES, Directory, Shape, files_under, verify_copy};

const OPTIONS: BackupOptions = BackupOptions { copy: false, cache_bytes: CACHE_BYTES };

fn back_up(directory: &Directory, dest: &str, copy: bool) -> Result<BackupReport, BackupError> {
    let fs: Arc<dyn crate::storage::fs::Fs> = Arc::new(RealFs);
    create(&fs, directory.data(), &directory.path(dest), &BackupOptions { copy, ..OPTIONS }, &Unwatched)
}

#[tokio::test]
async fn a_backup_holds_one_snapshot_one_log_and_the_blobs_that_are_referred_to() {
    let past = past().await;
    for (rotate_every, sealed, copy) in [(4, true, false), (100, false, true)] {
        let directory = Directory::write(&past, Shape { rotate_every, index_behind: 0, sealed });
        directory.replace("config.toml", b"listen = \"127.0.0.1:1\"\n", 0o600);
        directory.replace("initial-admin-token", b"secret", 0o600);
        let before = directory.verify();
        let report = back_up(&directory, "scratch/backup", copy).unwrap();
        let dest = directory.path("scratch/backup");
        let found = verify_copy(&dest);
        assert_eq!((found.findings.list(), report.findings.list()), (&[][..], &[][..]));
        assert_eq!(found.state.unwrap().number, before.state.unwrap().number);
        assert_eq!((found.rows, found.journal.logs, found.journal.snapshots), (before.rows, 1, 1));
        let linked = report.linked;
        assert_eq!((report.rows, report.blobs, linked > 0), (before.rows, found.blobs.blobs, !copy));
        let files = files_under(&dest);
        assert!(files.contains(&"config.toml".to_owned()), "{files:?}");
        let is_part = |file: &String| ["journal/", "blobs/", "config.toml"].iter().any(|name| file.starts_with(name));
        assert!(files.iter().all(is_part), "{files:?}");
        assert!(found.blobs.blobs < past.blobs.len() as u64, "purged versions' blobs are left out");
        // A second one does not write over it, and a backup of the backup is the same.
        assert!(matches!(back_up(&directory, "scratch/backup", copy), Err(BackupError::Exists(_))));
        assert!(matches!(back_up(&directory, "scratch/no/backup", copy), Err(BackupError::NoFolder(_))));
        let fs: Arc<dyn crate::storage::fs::Fs> = Arc::new(RealFs);
        let again = create(&fs, &dest, &directory.path("scratch/again"), &OPTIONS, &Unwatched).unwrap();
        assert_eq!((again.rows, again.blobs), (report.rows, report.blobs));
        assert_eq!(again.state.generation.number, report.state.generation.number + 1);
    }
}

#[tokio::test]
async fn a_restore_copies_everything_into_an_empty_place_alone() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { rotate_every: 4, index_behind: 0, sealed: false });
    let report = back_up(&directory, "scratch/backup", false).unwrap();
    let fs: Arc<dyn crate::storage::fs::Fs> = Arc::new(RealFs);
    let put = |from: &str, to: &str| restore(&fs, &directory.path(from), &directory.path(to), CACHE_BYTES, &Unwatched);
    // Of a backup, and of a plain copy of the directory itself.
    let restored = put("scratch/backup", "scratch/one").unwrap();
    assert_eq!((restored.rows, restored.blobs), (report.rows, report.blobs));
    let copy = directory.copy();
    let whole = restore(&fs, copy.data(), &directory.path("scratch/two"), CACHE_BYTES, &Unwatched).unwrap();
    assert_eq!(whole.rows, report.rows);
    for dest in ["scratch/one", "scratch/two"] {
        assert_eq!(verify_copy(&directory.path(dest)).findings.list(), []);
        assert!(directory.links(dest).iter().all(|links| *links == 1), "{dest}");
        assert!(!files_under(&directory.path(dest)).contains(&METADATA_FILE.to_owned()));
    }
    assert!(matches!(put("scratch/backup", "scratch/one"), Err(BackupError::Exists(_))));
    assert!(matches!(put("run", "scratch/none"), Err(BackupError::NoRegistry(_))));
    assert_eq!(files_under(&directory.path("scratch/none")), [""; 0]);
}

#[tokio::test]
async fn what_is_damaged_in_the_registry_is_named_and_the_rest_is_backed_up() {
    let past = past().await;
    let directory = Directory::write(&past, Shape::default());
    let blobs: Vec<String> = directory.files().into_iter().filter(|file| file.starts_with("blobs/")).collect();
    let before = back_up(&directory, "scratch/first", false).unwrap();
    let in_backup = files_under(&directory.path("scratch/first"));
    let named = blobs.iter().find(|blob| in_backup.contains(blob)).unwrap();
    directory.replace(named, b"something else", 0o400);
    let report = back_up(&directory, "scratch/second", true).unwrap();
    let [finding] = report.findings.list() else { panic!("{report:?}") };
    assert!(finding.file == *named && finding.blob.is_some());
    assert_eq!(report.rows, before.rows);
}

#[tokio::test]
async fn a_blob_that_was_swept_meanwhile_stops_the_backup_and_leaves_nothing() {
    let past = past().await;
    let directory = Directory::write(&past, Shape::default());
    back_up(&directory, "scratch/first", false).unwrap();
    let in_backup = files_under(&directory.path("scratch/first"));
    let blob = in_backup.iter().find(|file| file.starts_with("blobs/")).unwrap();
    for note in [Some("VIXRGONE dropped at tick 999999999999, swept at tick 9999999999999\n"), None] {
        directory.remove(blob);
        if let Some(note) = note {
            directory.replace(blob, note.as_bytes(), 0o600);
        }
        let refused = back_up(&directory, "scratch/second", false).unwrap_err();
        assert!(matches!(&refused, BackupError::Outlasted { file } if file == blob), "{refused}");
        assert_eq!(files_under(&directory.path("scratch/second.partial")), [""; 0]);
        assert!(!directory.path("scratch/second").exists());
    }
}

#[tokio::test]
async fn what_an_interrupted_backup_left_is_taken_up_and_nothing_else_is_removed() {
    struct Stop(AtomicU64, u64);
    impl Progress for Stop {
        fn advance(&self, _at: Advance) -> Result<(), Cancelled> {
            if self.0.fetch_add(1, Ordering::Relaxed) < self.1 { Ok(()) } else { Err(Cancelled) }
        }
    }
    let past = past().await;
    let directory = Directory::write(&past, Shape::default());
    let fs: Arc<dyn crate::storage::fs::Fs> = Arc::new(RealFs);
    let dest = directory.path("scratch/backup");
    let mut stopped = 0;
    for calls in 0..100 {
        match create(&fs, directory.data(), &dest, &OPTIONS, &Stop(AtomicU64::new(0), calls)) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, BackupError::Cancelled(_)), "{error}"),
        }
        assert!(!dest.exists());
        stopped += 1;
    }
    assert!(stopped > 2, "{stopped}");
    assert_eq!(verify_copy(&dest).findings.list(), []);
    // What a kill leaves: some files, no lock.
    directory.make("scratch/other.partial/journal/x", b"cut off");
    back_up(&directory, "scratch/other", false).unwrap();
    directory.make("scratch/mine.partial/thesis.txt", b"mine");
    assert!(matches!(back_up(&directory, "scratch/mine", false), Err(BackupError::Foreign { .. })));
    assert_eq!(files_under(&directory.path("scratch/mine.partial")), ["thesis.txt"]);
}

#[tokio::test]
async fn a_journal_that_would_not_open_is_not_backed_up() {
    let past = past().await;
    let directory = Directory::write(&past, Shape { rotate_every: 4, index_behind: 0, sealed: false });
    let history = directory.positions[0].generation;
    let log = crate::storage::journal::name::Generation { number: 3, ..history }.shown(FileKind::Log);
    directory.rot(&log, |bytes| bytes[40] ^= 1);
    let refused = back_up(&directory, "scratch/backup", false).unwrap_err();
    assert!(matches!(refused, BackupError::Refused(_)), "{refused}");
    let empty = Directory::write(&past, Shape::default());
    assert!(matches!(
        create(&empty.workshop().fs, &empty.path("run"), &empty.path("scratch/x"), &OPTIONS, &Unwatched),
        Err(BackupError::NoRegistry(_))
    ));
}
