//! Copies.

use super::*;

/// Opens a copy of everything that was written.
#[track_caller]
fn opens(scribe: &Scribe, data: &Path) -> OpenedIndex {
    let opened = open(data).unwrap();
    assert_eq!(opened.report.opened_as, OpenedAs::Copy);
    assert_eq!((opened.position.number, opened.position.hash), (scribe.at().number, scribe.at().hash));
    assert!(rows(&opened) == scribe.rows, "{:?}", opened.report);
    opened
}

#[test]
fn a_copy_gets_an_index_of_its_own_and_goes_on_as_a_history_of_its_own() {
    let mut scribe = Scribe::new();
    scribe.publish(b"one");
    drop(scribe.opens());
    let copy = scribe.copy("copy", false);
    std::fs::write(copy.join(METADATA_FILE), "torn").unwrap();
    for name in ["uploads/tmp-1", "run/next-0.log", "run/admin.sock"] {
        std::fs::write(copy.join(name), "the original's").unwrap();
    }
    std::fs::create_dir(copy.join("run/reports")).unwrap();
    std::fs::write(copy.join("run/reports/gc.json"), "the original's").unwrap();
    let opened = opens(&scribe, &copy);
    let JournalStart { history, lineage, next_generation, continues, .. } = opened.start;
    assert_eq!((next_generation, opened.is_copy), (2, true));
    assert_ne!(history, HISTORY);
    assert_eq!(lineage, [Ancestor { history: HISTORY, number: 2, hash: scribe.at().hash }]);
    assert_eq!(continues.map(|from| (from.end, from.length)), Some((scribe.at().end, scribe.at().end)));
    assert!(names(&copy.join("uploads")).is_empty());
    assert_eq!(names(&copy.join("run")), ["admin.sock", "reports"]);
    assert!(names(&copy.join("run/reports")).is_empty());
    assert!(!copy.join("quarantine").exists(), "an index that is not looked at is not kept either");
}

#[test]
fn a_copy_reaches_as_far_as_its_blobs_are_there() {
    let mut scribe = Scribe::new();
    scribe.publish(b"one");
    let before = (scribe.at(), scribe.rows.clone());
    let late = scribe.publish(b"two");
    scribe.write("a");
    scribe.begin_log();
    scribe.write("b");
    let copy = scribe.copy("copy", false);
    std::fs::remove_file(blob_path(&copy, &late)).unwrap();
    let opened = open(&copy).unwrap();
    assert_eq!(opened.position, before.0);
    assert!(rows(&opened) == before.1);
    assert!(opened.report.cut.as_ref().is_some_and(|cut| cut.contains("3 changes")), "{:?}", opened.report);
    let later = Generation { number: 2, history: HISTORY };
    assert_eq!(opened.report.aside, [format!("quarantine/1.{}", later.file_name(FileKind::Log))]);
    assert_eq!(
        opened.start.continues.unwrap().length,
        std::fs::metadata(
            copy.join(JOURNAL_FOLDER).join(Generation { number: 1, history: HISTORY }.file_name(FileKind::Log))
        )
        .unwrap()
        .len()
    );
    drop(opened);
    assert_eq!(open(&copy).unwrap().position, before.0, "until its first write it is opened the same way again");
}

#[test]
fn a_blob_lost_long_before_the_copy_is_named_and_cuts_nothing() {
    let mut scribe = Scribe::new();
    let lost = scribe.publish(b"lost");
    std::fs::remove_file(blob_path(&scribe.data, &lost)).unwrap();
    scribe.tick += 2 * RETENTION;
    scribe.publish(b"new");
    let copy = scribe.copy("copy", false);
    let opened = opens(&scribe, &copy);
    assert_eq!((opened.report.missing, opened.report.cut), (vec![lost], None));
}

#[test]
fn a_copy_that_outlasted_the_retention_is_refused_and_left_as_it_is() {
    let mut scribe = Scribe::new();
    let blob = scribe.publish(b"one");
    std::fs::write(blob_path(&scribe.data, &blob), "VIXRGONE dropped at tick 9, swept at tick 99\n").unwrap();
    let copy = scribe.copy("copy", false);
    let before = content(&copy);
    let Err(OpenError::Refused(refusal)) = open(&copy) else { panic!("it took too long") };
    assert_eq!(refusal.kind, RefusalKind::Outlasted);
    assert!(content(&copy) == before);
}

#[test]
fn bytes_that_read_like_a_note_can_be_published() {
    let mut scribe = Scribe::new();
    scribe.publish(b"VIXRGONE dropped at tick 9, swept at tick 99\n");
    let copy = scribe.copy("copy", false);
    opens(&scribe, &copy);
}

#[test]
fn a_copy_whose_newest_snapshot_is_rotten_is_built_on_an_older_state() {
    let mut scribe = Scribe::new();
    scribe.publish(b"one");
    scribe.begin_log();
    scribe.snapshot();
    scribe.write("a");
    let copy = scribe.copy("copy", false);
    let path = scribe.at().generation.path(&copy, FileKind::Snapshot);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(opens(&scribe, &copy).report.findings.len(), 1);
}

#[test]
fn a_hard_link_copy_writes_into_nothing_that_it_shares() {
    let mut scribe = Scribe::new();
    scribe.publish(b"one");
    drop(scribe.opens());
    std::fs::write(scribe.data.join("uploads/tmp-1"), "half").unwrap();
    let copy = scribe.copy("copy", true);
    // The original goes on while and after the copy is opened.
    scribe.write("after the copy");
    let before = content(&scribe.data);
    let opened = open(&copy).unwrap();
    let (at, continues) = (opened.position, opened.start.continues.unwrap());
    assert_eq!(at.number, 3, "its log is the original's until it is opened");
    assert!(content(&scribe.data) == before);
    drop(opened);
    scribe.write("after the opening");
    let copied = std::fs::metadata(at.generation.path(&copy, FileKind::Log)).unwrap().len();
    assert_eq!((copied, continues.length), (at.end, at.end), "the log that is gone on from grows no more");
    scribe.opens();
    assert_eq!(users(&open(&copy).unwrap().database), 1);
}

#[test]
fn two_directories_over_one_another_are_refused() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    let copy = scribe.copy("copy", false);
    // The copy was opened and written to, then the original, which had gone on too, was copied over it.
    let mut own = Scribe { data: copy, ..Scribe::new() };
    (own.last, own.rows, own.tick) = (scribe.last, scribe.rows.clone(), scribe.tick);
    let Position { number, hash, .. } = scribe.at();
    (own.history, own.lineage) = (Id(2 << 90), vec![Ancestor { history: HISTORY, number, hash }]);
    own.begin_log();
    own.write("b");
    own.opens();
    scribe.write("c");
    std::fs::copy(scribe.log(), own.data.join(JOURNAL_FOLDER).join(scribe.log().file_name().unwrap())).unwrap();
    let refusal = own.refused(RefusalKind::Forked, "0000000001.");
    assert!(refusal.files.iter().any(|file| file.contains("0000000002.")), "both are named: {refusal}");
}
