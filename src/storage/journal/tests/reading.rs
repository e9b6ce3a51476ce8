//! Logs as they are found: whole, cut off, flipped, copied, retired, and while they are written.

use super::*;
use proptest::prelude::*;

#[test]
fn a_log_is_read_back_with_every_position_that_somebody_refers_to() {
    let data = directory();
    let first = write_log(data.path(), 1, None, &some_frames(6));
    let second = write_log(data.path(), 2, Some((first[4], first[6].end)), &some_frames(3));
    let facts = survey(&RealFs, data.path(), Some(first[2])).unwrap();
    let [one, two] = facts.logs.as_slice() else { panic!("{facts:?}") };
    assert_eq!(one.positions, [first[0], first[2], first[4], first[6]]);
    assert_eq!(two.positions, [second[0], second[3]]);
    assert_eq!((second[0].number, second[0].hash), (4, first[4].hash));
    assert!([one, two].iter().all(|log| log.is_original && log.tail == Tail::Clean && log.seal.is_none()));
    let read = frames(data.path(), 1, 0..first[6].end).unwrap();
    assert_eq!(read.iter().map(|(_, at)| *at).collect::<Vec<_>>(), first[1..]);
    assert_eq!(decode_ops(&read[3].0.payload).unwrap(), [put("package-3", &[b'v'; 21])]);
    assert_eq!(frames(data.path(), 1, first[2].end..first[4].end).unwrap(), read[2..4]);
    assert_eq!(frames(data.path(), 1, first[0].end..first[1].end).unwrap(), read[..1]);
    assert!(frames(data.path(), 1, first[6].end..first[6].end).unwrap().is_empty());
    for (from, until) in [(0, first[6].end + 1), (0, first[6].end - 1), (first[2].end + 1, first[6].end)] {
        assert!(matches!(frames(data.path(), 1, from..until), Err(JournalError::Damaged { .. })), "{from}..{until}");
    }
}

#[test]
fn no_journal_and_an_empty_one_say_nothing() {
    let data = tempfile::tempdir().unwrap();
    assert!(look(data.path()).logs.is_empty());
    fs::create_dir(data.path().join(JOURNAL_FOLDER)).unwrap();
    fs::write(data.path().join(JOURNAL_FOLDER).join("notes.txt"), "no name of ours").unwrap();
    let facts = look(data.path());
    assert!(facts.logs.is_empty() && facts.unreadable.is_empty());
}

#[test]
fn a_log_cut_off_anywhere_is_clean_or_torn_and_never_damaged() {
    let data = directory();
    let positions = write_log(data.path(), 1, None, &some_frames(5));
    let path = log_path(data.path(), 1);
    let bytes = fs::read(&path).unwrap();
    for length in positions[0].end..=positions[5].end {
        fs::write(&path, &bytes[..usize::try_from(length).unwrap()]).unwrap();
        let log = only_log(data.path());
        let last = positions.iter().rfind(|at| at.end <= length).unwrap();
        assert_eq!(log.last(), *last, "cut off at {length}");
        let tail = if last.end == length { Tail::Clean } else { Tail::Torn };
        assert_eq!((log.tail, log.length), (tail, length), "cut off at {length}");
        assert_eq!(frames(data.path(), 1, 0..last.end).unwrap().len() as u64, last.number);
    }
    for length in 0..usize::try_from(positions[0].end).unwrap() {
        fs::write(&path, &bytes[..length]).unwrap();
        let facts = look(data.path());
        assert_eq!((facts.logs.len(), facts.unreadable.len()), (0, 1), "cut off at {length}");
    }
}

#[test]
fn a_flipped_bit_is_damage_before_the_last_frame_and_a_torn_tail_in_it() {
    let data = directory();
    let positions = write_log(data.path(), 1, None, &some_frames(4));
    let path = log_path(data.path(), 1);
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        fs::write(&path, flipped(&bytes, at)).unwrap();
        if (at as u64) < positions[0].end {
            assert_eq!(look(data.path()).unreadable.len(), 1, "flipped at {at}");
            continue;
        }
        let log = only_log(data.path());
        let before = positions.iter().rposition(|position| position.end <= at as u64).unwrap();
        assert_eq!(log.last(), positions[before], "flipped at {at}");
        let tail = match positions.get(before + 1) {
            Some(next) if before + 2 < positions.len() => Tail::Damaged { next_good: next.end },
            _ => Tail::Torn,
        };
        assert_eq!(log.tail, tail, "flipped at {at}");
        assert!(frames(data.path(), 1, 0..positions[4].end).is_err(), "flipped at {at}");
    }
}

#[test]
fn a_zeroed_sector_or_a_whole_zeroed_frame_is_damage_when_a_frame_follows() {
    let data = directory();
    let big = vec![(FrameKind::Rows, vec![7; 400_000]), (FrameKind::Rows, vec![8; 300_000])];
    let positions = write_log(data.path(), 1, None, &big);
    let path = log_path(data.path(), 1);
    let bytes = fs::read(&path).unwrap();
    let (begin, middle) = (usize::try_from(positions[0].end).unwrap(), usize::try_from(positions[1].end).unwrap());
    for (from, to) in [(begin, begin + 512), (begin, middle), (middle - 40, middle), (begin + 9, begin + 300_000)] {
        let mut zeroed = bytes.clone();
        zeroed[from..to].fill(0);
        fs::write(&path, zeroed).unwrap();
        assert_eq!(only_log(data.path()).tail, Tail::Damaged { next_good: positions[1].end }, "{from}..{to}");
    }
}

#[test]
fn junk_of_frame_beginnings_is_refused_rather_than_searched_for_ever() {
    let data = directory();
    let positions = write_log(data.path(), 1, None, &some_frames(2));
    let path = log_path(data.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let number = positions[2].number + 1;
    let front = [300_000_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat();
    let front = [front.as_slice(), &number.to_le_bytes()].concat();
    for _ in 0..40_000 {
        bytes.extend_from_slice(&front);
    }
    fs::write(&path, bytes).unwrap();
    assert!(matches!(only_log(data.path()).tail, Tail::Damaged { .. }));
}

#[test]
fn another_log_s_frames_and_a_frame_out_of_order_are_not_taken() {
    let data = directory();
    let first = write_log(data.path(), 1, None, &some_frames(3));
    let bytes = fs::read(log_path(data.path(), 1)).unwrap();
    let part = |from: u64, to: u64| &bytes[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
    let (head, one) = (part(0, first[0].end), part(first[0].end, first[1].end));
    let (two, three) = (part(first[1].end, first[2].end), part(first[2].end, first[3].end));
    fs::write(log_path(data.path(), 1), [head, one, three, two].concat()).unwrap();
    let log = only_log(data.path());
    assert_eq!((log.last(), log.tail), (first[1], Tail::Damaged { next_good: first[1].end + three.len() as u64 }));
    let name = data.path().join(JOURNAL_FOLDER).join(generation(9).file_name(FileKind::Log));
    fs::rename(log_path(data.path(), 1), name).unwrap();
    assert!(look(data.path()).unreadable[0].what.contains("0000000001"), "a log under another's name");
}

#[test]
fn a_seal_is_told_while_it_is_the_last_frame() {
    let data = directory();
    let seal = Seal { inode: 12, size: 1 << 20, changed_ns: 77 };
    let mut some = some_frames(2);
    some.push((FrameKind::Seal, encode_seal(&seal)));
    write_log(data.path(), 1, None, &some);
    assert_eq!(only_log(data.path()).seal, Some(seal));
    some.push((FrameKind::Rows, Vec::new()));
    write_log(data.path(), 1, None, &some);
    assert_eq!(only_log(data.path()).seal, None);
}

#[test]
fn a_copied_file_and_a_linked_one_in_another_directory_are_no_originals() {
    let (data, copy) = (directory(), directory());
    write_log(data.path(), 1, None, &some_frames(2));
    let (from, to) = (log_path(data.path(), 1), log_path(copy.path(), 1));
    fs::copy(&from, &to).unwrap();
    assert!(!only_log(copy.path()).is_original);
    fs::remove_file(&to).unwrap();
    fs::hard_link(&from, &to).unwrap();
    assert!(!only_log(copy.path()).is_original);
    assert!(only_log(data.path()).is_original);
    let bytes = fs::read(&from).unwrap();
    fs::rename(&from, data.path().join("kept")).unwrap();
    fs::write(&from, bytes).unwrap();
    assert!(!only_log(data.path()).is_original, "a copy in place of the original file");
}

#[test]
fn a_note_stands_for_a_retired_file_and_any_other_text_is_unreadable() {
    let data = directory();
    let note = retired::Note::Retired { at: 9 }.to_text();
    for kind in [FileKind::Log, FileKind::Snapshot] {
        fs::write(generation(3).path(data.path(), kind), &note).unwrap();
        fs::write(generation(4).path(data.path(), kind), note.replace("VIXR", "VIXS")).unwrap();
    }
    let facts = look(data.path());
    assert_eq!(facts.retired, [(generation(3), FileKind::Log), (generation(3), FileKind::Snapshot)]);
    assert_eq!(facts.unreadable.len(), 2);
}

#[test]
fn a_reader_beside_the_writer_finds_a_clean_prefix() {
    use std::io::Write as _;
    let data = directory();
    let positions = write_log(data.path(), 1, None, &some_frames(40));
    let path = log_path(data.path(), 1);
    let bytes = fs::read(&path).unwrap();
    let begin = usize::try_from(positions[0].end).unwrap();
    fs::write(&path, &bytes[..begin]).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
            bytes[begin..].chunks(3).for_each(|part| file.write_all(part).unwrap());
        });
        let mut seen = 0;
        while seen < 40 {
            let is_over = writer.is_finished();
            let log = only_log(data.path());
            assert!(!matches!(log.tail, Tail::Damaged { .. }));
            let last = log.last();
            assert!(positions.contains(&last) && last.number >= seen);
            assert_eq!(frames(data.path(), 1, 0..last.end).unwrap().len() as u64, last.number);
            seen = last.number;
            assert!(!is_over || seen == 40);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_junk_at_the_end_leaves_what_is_good(junk in proptest::collection::vec(any::<u8>(), 1..600), cut in 0_usize..200) {
        let data = directory();
        let positions = write_log(data.path(), 1, None, &some_frames(3));
        let path = log_path(data.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len().saturating_sub(cut).max(usize::try_from(positions[0].end).unwrap()));
        let length = bytes.len() as u64;
        bytes.extend_from_slice(&junk);
        fs::write(&path, &bytes).unwrap();
        let log = only_log(data.path());
        prop_assert_eq!(log.tail, Tail::Torn);
        prop_assert_eq!(log.last(), *positions.iter().rfind(|at| at.end <= length).unwrap());
    }
}
