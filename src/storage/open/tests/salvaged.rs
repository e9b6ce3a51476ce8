//! What is saved of directories that are refused.

use super::*;
use crate::storage::open::salvage::{Deed, SalvageError, SalvageReport, salvage};

fn save(scribe: &Scribe, deed: Deed) -> (PathBuf, Result<SalvageReport, SalvageError>) {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let dest = scribe.temp.path().join("saved");
    let before = content(&scribe.data);
    let saved = salvage(&fs, (&scribe.data, &dest), deed, &options(), &unwatched);
    assert!(content(&scribe.data) == before, "the directory is left as it is");
    assert!(!scribe.temp.path().join("saved.partial").exists());
    (dest, saved)
}

/// Shows what would be saved, saves it, and opens that: it has to be what was shown.
#[track_caller]
fn saves(scribe: &Scribe) -> (SalvageReport, OpenedIndex) {
    scribe.refused(RefusalKind::Damaged, "");
    let (dest, shown) = save(scribe, Deed::Show);
    assert!(!dest.exists());
    let (dest, saved) = save(scribe, Deed::Save);
    let saved = saved.unwrap();
    assert_eq!(saved, shown.unwrap());
    let opened = open(&dest).unwrap();
    assert_eq!((opened.report.opened_as, opened.is_copy), (OpenedAs::Copy, true));
    assert_eq!((opened.position.number, opened.position.tick), (saved.change, saved.tick));
    (saved, opened)
}

fn break_middle(scribe: &Scribe, at: u64) {
    let mut bytes = std::fs::read(scribe.log()).unwrap();
    bytes[usize::try_from(at).unwrap() + 60] ^= 1;
    std::fs::write(scribe.log(), bytes).unwrap();
}

#[test]
fn what_stands_before_a_damaged_frame_is_saved_and_opens_as_a_copy() {
    let mut scribe = Scribe::new();
    let kept = scribe.publish(b"kept");
    let (at, expected) = (scribe.at(), scribe.rows.clone());
    let gone = scribe.publish(b"gone");
    scribe.write("a");
    break_middle(&scribe, at.end);
    let (saved, opened) = saves(&scribe);
    assert_eq!((saved.change, saved.from_index, saved.lost_blobs), (at.number, false, 0));
    assert!(saved.lost[0].contains("0000000001."), "{saved:?}");
    assert!(rows(&opened) == expected);
    let dest = scribe.temp.path().join("saved");
    assert!(blob_path(&dest, &kept).exists() && !blob_path(&dest, &gone).exists());
    assert!(matches!(save(&scribe, Deed::Save).1, Err(SalvageError::Exists(_))));
}

#[test]
fn an_index_that_holds_more_than_the_journal_is_what_is_saved() {
    let mut scribe = Scribe::new();
    scribe.publish(b"one");
    let short = std::fs::read(scribe.log()).unwrap();
    scribe.publish(b"two");
    drop(scribe.opens());
    std::fs::write(scribe.log(), short).unwrap();
    let (saved, opened) = saves(&scribe);
    assert_eq!((saved.change, saved.from_index), (scribe.at().number, true));
    assert!(saved.lost.is_empty() && rows(&opened) == scribe.rows);
}

#[test]
fn lost_blobs_are_told_and_flagged_so_that_the_rest_opens() {
    let mut scribe = Scribe::new();
    let lost = scribe.publish(b"lost");
    scribe.publish(b"kept");
    std::fs::remove_file(blob_path(&scribe.data, &lost)).unwrap();
    let at = scribe.at();
    scribe.write("a");
    scribe.write("b");
    break_middle(&scribe, at.end);
    let (saved, opened) = saves(&scribe);
    assert_eq!((saved.lost_blobs, saved.lost_blobs_named), (1, vec![lost]));
    let row = rows(&opened)[&(Table::Blobs as u8, lost.0.to_vec())].clone();
    assert!(BlobRow::from_row(Table::Blobs, &row).unwrap().damaged);
    assert!(opened.report.missing.is_empty(), "it is known already");
}

#[test]
fn there_is_nothing_to_save_of_a_directory_that_opens_or_holds_nothing() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    drop(scribe.opens());
    assert!(matches!(save(&scribe, Deed::Save).1, Err(SalvageError::Sound)));
    let mut bytes = std::fs::read(scribe.log()).unwrap();
    bytes[30] ^= 1;
    std::fs::write(scribe.log(), bytes).unwrap();
    std::fs::write(scribe.data.join(METADATA_FILE), "no rows").unwrap();
    assert!(matches!(save(&scribe, Deed::Save).1, Err(SalvageError::Nothing(_))));
}
