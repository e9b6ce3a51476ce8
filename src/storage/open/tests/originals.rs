//! Directories in which their journal was written, new ones, and those from before there was one.

use super::*;

#[test]
fn a_new_directory_has_an_empty_index_and_begins_a_history() {
    let temp = tempfile::tempdir().unwrap();
    for _cut_off_before_its_first_frame in 0..2 {
        let opened = open(temp.path()).unwrap();
        assert!(rows(&opened).is_empty());
        assert_eq!((opened.report.opened_as, opened.position.number), (OpenedAs::New, 0));
        assert_eq!((opened.start.next_generation, opened.start.continues, opened.is_copy), (1, None, false));
    }
}

#[test]
fn a_first_log_without_a_frame_is_a_registry_that_is_still_to_begin() {
    let mut scribe = Scribe::new();
    std::fs::remove_file(scribe.log()).unwrap();
    (scribe.last, scribe.tick) = (None, 0);
    scribe.rows.clear();
    scribe.begin_log();
    let opened = scribe.opens();
    assert_eq!((opened.report.opened_as, opened.position.number), (OpenedAs::Original, 0));
    assert_eq!((opened.start.next_generation, opened.start.history, opened.is_copy), (2, HISTORY, false));
}

#[test]
fn the_tail_of_the_journal_is_replayed_and_the_next_log_goes_on_from_it() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    drop(scribe.opens());
    for key in ["b", "c"] {
        scribe.write(key);
    }
    scribe.begin_log();
    scribe.write("d");
    let opened = scribe.opens();
    assert_eq!((opened.report.opened_as, opened.report.frames), (OpenedAs::Original, 3));
    assert_eq!(opened.report.rebuilt, None);
    let JournalStart { history, lineage, next_generation, continues, tick, retention } = opened.start;
    assert_eq!((next_generation, history, lineage.len()), (3, HISTORY, 0));
    assert_eq!((tick, retention, opened.is_copy), (scribe.at().tick, RETENTION, false));
    let continues = continues.unwrap();
    assert_eq!((continues.generation.number, continues.end, continues.length), (2, scribe.at().end, scribe.at().end));
    assert_eq!(scribe.opens().report.frames, 0);
}

#[test]
fn a_torn_tail_is_left_where_it_is_and_void() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    let good = std::fs::read(scribe.log()).unwrap();
    std::fs::write(scribe.log(), [good.as_slice(), &[7; 30]].concat()).unwrap();
    let opened = scribe.opens();
    let continues = opened.start.continues.unwrap();
    assert_eq!((continues.end, continues.length), (good.len() as u64, good.len() as u64 + 30));
    assert_eq!(std::fs::read(scribe.log()).unwrap().len(), good.len() + 30);
}

#[test]
fn an_index_as_its_seal_says_is_not_checked_and_any_other_is() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    drop(scribe.opens());
    scribe.seal();
    assert!(scribe.opens().report.is_sealed);
    let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    std::fs::File::open(scribe.data.join(METADATA_FILE)).unwrap().set_times(times).unwrap();
    assert!(!scribe.opens().report.is_sealed);
}

#[test]
fn an_index_that_is_no_good_is_set_aside_and_built_anew() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    scribe.begin_log();
    scribe.snapshot();
    scribe.write("b");
    let index = scribe.data.join(METADATA_FILE);
    for (at, broken) in [&b""[..], b"no rows", &[0; 9000]].iter().enumerate() {
        std::fs::write(&index, broken).unwrap();
        let opened = scribe.opens();
        assert!(opened.report.rebuilt.is_some());
        let aside = format!("quarantine/{}.{METADATA_FILE}", at + 1);
        assert_eq!(opened.report.aside, std::slice::from_ref(&aside));
        assert_eq!(&std::fs::read(scribe.data.join(aside)).unwrap(), broken);
    }
    for _ in 0..3 {
        std::fs::write(&index, "more").unwrap();
        scribe.opens();
    }
    let kept = ["4.meta.redb", "5.meta.redb", "6.meta.redb"];
    assert_eq!(names(&scribe.data.join("quarantine")), kept, "the newest three are kept");
    std::fs::remove_file(&index).unwrap();
    assert!(scribe.opens().report.aside.is_empty());
}

#[test]
fn each_flipped_page_of_the_index_is_found_or_does_no_harm() {
    let mut scribe = Scribe::new();
    for key in 0..400 {
        scribe.write(&format!("user-{key}"));
    }
    drop(scribe.opens());
    let index = scribe.data.join(METADATA_FILE);
    let whole = std::fs::read(&index).unwrap();
    for at in (100..whole.len().min(300_000)).step_by(4096) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&index, flipped).unwrap();
        scribe.opens();
        drop(std::fs::remove_dir_all(scribe.data.join("quarantine")));
    }
}

#[test]
fn an_index_of_another_history_is_not_trusted() {
    let mut other = Scribe::new();
    other.write("x");
    drop(other.opens());
    let mut scribe = Scribe::new();
    scribe.write("a");
    std::fs::copy(other.data.join(METADATA_FILE), scribe.data.join(METADATA_FILE)).unwrap();
    let opened = scribe.opens();
    assert!(opened.report.rebuilt.is_some(), "{:?}", opened.report);
}

#[test]
fn an_older_index_catches_up() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    drop(scribe.opens());
    let index = scribe.data.join(METADATA_FILE);
    let old = std::fs::read(&index).unwrap();
    for key in ["b", "c", "d"] {
        scribe.write(key);
    }
    drop(scribe.opens());
    std::fs::write(&index, old).unwrap();
    let opened = scribe.opens();
    assert_eq!((opened.report.frames, opened.report.rebuilt), (3, None));
}

#[test]
fn a_journal_that_ends_before_the_index_is_damage() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    let short = std::fs::read(scribe.log()).unwrap();
    scribe.write("b");
    drop(scribe.opens());
    std::fs::write(scribe.log(), short).unwrap();
    let refusal = scribe.refused(RefusalKind::Damaged, "0000000001.");
    assert_eq!(refusal.offset, Some(std::fs::metadata(scribe.log()).unwrap().len()));
}

#[test]
fn a_damaged_middle_frame_is_damage_and_says_what_could_be_saved() {
    let mut scribe = Scribe::new();
    for key in ["a", "b", "c"] {
        scribe.write(key);
    }
    let good = std::fs::read(scribe.log()).unwrap();
    let middle = good.len() / 2;
    let mut bad = good;
    bad[middle] ^= 1;
    std::fs::write(scribe.log(), bad).unwrap();
    let refusal = scribe.refused(RefusalKind::Damaged, "0000000001.");
    assert!(refusal.offset.is_some() && refusal.to_string().contains("--salvage"), "{refusal}");
}

#[test]
fn lost_logs_are_damage() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    let first = scribe.log();
    scribe.begin_log();
    scribe.write("b");
    drop(scribe.opens());
    let elsewhere = scribe.temp.path().join("elsewhere");
    std::fs::rename(&first, &elsewhere).unwrap();
    scribe.refused(RefusalKind::Damaged, "0000000001.");
    std::fs::rename(&elsewhere, &first).unwrap();
    std::fs::remove_file(scribe.log()).unwrap();
    let refusal = scribe.refused(RefusalKind::Damaged, "000000000");
    assert!(refusal.what.contains("index"), "{refusal}");
    std::fs::remove_file(&first).unwrap();
    scribe.refused(RefusalKind::Damaged, JOURNAL_FOLDER);
}

#[test]
fn a_rotten_snapshot_is_passed_over_when_an_older_state_leads_to_the_same_end() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    scribe.begin_log();
    scribe.snapshot();
    scribe.write("b");
    let path = scribe.at().generation.path(&scribe.data, FileKind::Snapshot);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let opened = scribe.opens();
    assert_eq!(opened.report.findings.len(), 1);
    assert!(path.ends_with(&opened.report.findings[0].file));
    drop(opened);
    std::fs::remove_file(scribe.data.join(METADATA_FILE)).unwrap();
    std::fs::remove_file(Generation { number: 1, history: HISTORY }.path(&scribe.data, FileKind::Log)).unwrap();
    scribe.refused(RefusalKind::Damaged, "000000000");
}

#[test]
fn missing_blobs_of_an_original_are_named_and_nothing_is_cut() {
    let mut scribe = Scribe::new();
    let (lost, _kept) = (scribe.publish(b"lost"), scribe.publish(b"kept"));
    std::fs::remove_file(blob_path(&scribe.data, &lost)).unwrap();
    assert_eq!(scribe.opens().report.missing, [lost]);
    assert_eq!(scribe.opens().report.missing, [lost], "also when the index was not built anew");
}

/// An index as a program from before the journal left it.
fn old_directory() -> (TempDir, AllRows) {
    let temp = tempfile::tempdir().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let options = options();
    let place = Place { fs: &fs, data: temp.path(), options: &options, watch: &unwatched };
    let mut build = place.begin_build(&Build::place(temp.path())).unwrap();
    build.put(Table::Settings, &[Setting::History as u8], &HISTORY.to_bytes()).unwrap();
    build.put(Table::Users, b"pia", b"1").unwrap();
    build.put(Table::Counters, &[crate::storage::tables::Counter::Ticks as u8], &77_u64.to_row()).unwrap();
    drop(build.finish(None).unwrap().install(&RealFs, temp.path()).unwrap());
    let format: redb::TableDefinition<'static, &str, u32> = redb::TableDefinition::new("format");
    let gone: redb::TableDefinition<'static, &[u8], &[u8]> = redb::TableDefinition::new(Table::Snapshots.name());
    let database = Database::open(temp.path().join(METADATA_FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(format).unwrap().insert("data", 1).unwrap();
    transaction.delete_table(gone).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let rows = [
        ((Table::Settings as u8, vec![Setting::History as u8]), HISTORY.to_bytes().to_vec()),
        ((Table::Users as u8, b"pia".to_vec()), b"1".to_vec()),
        ((Table::Counters as u8, vec![crate::storage::tables::Counter::Ticks as u8]), 77_u64.to_row()),
    ];
    (temp, rows.into_iter().collect())
}

#[test]
fn a_directory_from_before_the_journal_is_taken_in_as_often_as_it_takes() {
    let (temp, expected) = old_directory();
    for _cut_off_before_its_first_frame in 0..2 {
        let opened = open(temp.path()).unwrap();
        assert_eq!((opened.report.opened_as, opened.position.tick), (OpenedAs::Intake, 77));
        assert!(rows(&opened) == expected);
        let generation = Generation { number: 1, history: HISTORY };
        assert_eq!(opened.start.continues, Some(Continues::before_the_journal(HISTORY)));
        assert_eq!((opened.start.next_generation, opened.start.history), (1, HISTORY));
        assert_eq!(names(&temp.path().join(JOURNAL_FOLDER)), [generation.file_name(FileKind::Snapshot)]);
    }
    // The first frame was durable when the power went, and the index did not say so yet.
    let mut scribe = Scribe::new();
    std::fs::remove_dir_all(&scribe.data).unwrap();
    copy(temp.path(), &scribe.data, false);
    scribe.rows = expected;
    scribe.tick = 77;
    let generation = Generation { number: 1, history: HISTORY };
    scribe.log_of(generation, Some(Continues::before_the_journal(HISTORY)));
    scribe.write("a");
    let opened = scribe.opens();
    assert_eq!(opened.report.opened_as, OpenedAs::Original);
    assert!(opened.report.rebuilt.is_some());
}

#[test]
fn an_index_with_a_place_in_a_journal_that_is_not_there_is_damage() {
    let mut scribe = Scribe::new();
    scribe.write("a");
    drop(scribe.opens());
    std::fs::remove_dir_all(scribe.data.join(JOURNAL_FOLDER)).unwrap();
    scribe.refused(RefusalKind::Damaged, JOURNAL_FOLDER);
}

#[test]
fn an_opening_that_is_told_to_stop_leaves_and_another_one_goes_on() {
    let mut scribe = Scribe::new();
    for key in 0..50 {
        scribe.write(&format!("user-{key}"));
    }
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    for at in 0.. {
        let left = std::sync::atomic::AtomicUsize::new(at);
        let stop = |_: Opening| {
            use std::sync::atomic::Ordering::Relaxed;
            left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).map(drop).map_err(|_none_left| Cancelled)
        };
        match open_data(&fs, &scribe.data, &options(), &stop) {
            Err(OpenError::Cancelled(_)) => {}
            Ok(_) if at > 2 => break,
            other => panic!("{other:?}"),
        }
    }
    scribe.opens();
}
