//! The store of artifacts.

use std::sync::Arc;

use vix_registry::domain::digest::Sha256;
use vix_registry::storage::blobs::{BlobError, BlobStore, Kept, Soundness, Stored};

use crate::random::{Random, is_long, seed};
use crate::sim::Disk;
use crate::sim::explore::{Effort, Moment, Outcome, Scratch, explore};
use crate::sim::fault::{Fault, Lie};

/// An artifact that spans several sectors and ends within one.
fn artifact(number: u8) -> Vec<u8> {
    (0..2300 + usize::from(number)).map(|at| u8::try_from(at % 251).expect("small") ^ number).collect()
}

fn keep(store: &Arc<BlobStore>, number: u8) -> Result<Kept, BlobError> {
    let bytes = artifact(number);
    let mut staging = store.stage()?;
    for chunk in bytes.chunks(1000) {
        staging.write(chunk)?;
    }
    staging.finish()?.keep()
}

/// Stores, stores again, removes; each mark is an artifact that is acknowledged from there on, plus 100: removed.
fn run(disk: &Arc<Disk>) {
    let root = disk.root().to_owned();
    let store = BlobStore::open(&root, Arc::<Disk>::clone(disk)).expect("a sound disk");
    let acknowledged = |number: u8| {
        keep(&store, number).expect("a sound disk");
        disk.mark(number.into());
    };
    acknowledged(1);
    acknowledged(1);
    // A link whose folder was not synced yet: whoever finds it there must not rely on the one who made it.
    disk.fail(Fault::None);
    let staged = {
        let mut staging = store.stage().expect("room");
        staging.write(&artifact(2)).expect("room");
        staging.finish().expect("room")
    };
    let calls = disk.calls().0;
    disk.fail(Fault::Once { at: calls_until_folder_is_opened(&store, disk) });
    assert!(calls > 0 && staged.keep().is_err());
    disk.fail(Fault::None);
    assert_eq!(keep(&store, 2).expect("a sound disk").stored, Stored::Present);
    disk.mark(2);
    acknowledged(3);
    assert!(store.remove(&Sha256::of(&artifact(1))).expect("a sound disk"));
    disk.mark(101);
    acknowledged(1);
    drop(store);
    let store = BlobStore::open(&root, Arc::<Disk>::clone(disk)).expect("a sound disk");
    keep(&store, 4).expect("a sound disk");
    disk.mark(4);
}

/// How many calls a keep makes until it opens its folder, found out on another artifact.
fn calls_until_folder_is_opened(store: &Arc<BlobStore>, disk: &Arc<Disk>) -> usize {
    let staged = {
        let mut staging = store.stage().expect("room");
        staging.write(&artifact(9)).expect("room");
        staging.finish().expect("room")
    };
    disk.fail(Fault::None);
    staged.keep().expect("a sound disk");
    disk.mark(9);
    // The last two open the folder and sync it.
    disk.calls().0 - 1
}

fn check(moment: &mut Moment<'_>, scratch: &Scratch) -> Result<usize, String> {
    let dir = scratch.fresh();
    let disk = moment.image.place(&dir.path(), moment.look);
    let store = BlobStore::open(&dir.path(), Arc::<Disk>::clone(&disk)).map_err(|error| format!("open: {error}"))?;
    for byte in 0..=u8::MAX {
        for digest in store.list(byte).map_err(|error| format!("list: {error}"))? {
            let size = (1..=9).map(artifact).find(|bytes| Sha256::of(bytes) == digest).map(|bytes| bytes.len() as u64);
            let size = size.ok_or_else(|| format!("{digest} was never stored"))?;
            if store.verify(&digest, size, None).map_err(|error| error.to_string())? != Soundness::Sound {
                return Err(format!("{digest} has its name and is not whole"));
            }
        }
    }
    for number in 1..=9_u8 {
        let last = moment.marks.iter().rev().find(|mark| **mark % 100 == u64::from(number));
        let digest = Sha256::of(&artifact(number));
        let size = artifact(number).len() as u64;
        let found = store.verify(&digest, size, None).map_err(|error| error.to_string())?;
        if last.is_some_and(|mark| *mark < 100) && found != Soundness::Sound && !may_be_removed(moment, number) {
            return Err(format!("artifact {number} was acknowledged: {found:?}"));
        }
        keep(&store, number).map_err(|error| format!("artifact {number} can't be stored again: {error}"))?;
    }
    Ok(0)
}

/// Whether a removal was begun and not acknowledged: the last step was.
fn may_be_removed(moment: &Moment<'_>, number: u8) -> bool {
    number == 1 && moment.marks.last() == Some(&3)
}

fn explore_blobs(lie: Lie, random: &mut Random, effort: Effort) -> Outcome {
    let scratch = Scratch::new();
    let dir = scratch.fresh();
    let disk = Disk::new(&dir.path());
    disk.lie(lie);
    run(&disk);
    explore(&disk.trace(), effort, random, |moment| check(moment, &scratch))
}

#[test]
fn no_artifact_is_lost_or_half_there_when_the_power_goes() {
    let seed = seed("blobs without power");
    let random_images = if is_long() { 100 } else { 2 };
    let effort = Effort { calls_percent: 100, fixed_percent: 100, random: random_images };
    let outcome = explore_blobs(Lie::None, &mut Random::new(seed), effort);
    eprintln!("blobs: {} images", outcome.images);
    outcome.expect_none();
    assert!(outcome.images > 80, "{}", outcome.images);
}

#[test]
fn a_missing_sync_around_artifacts_is_caught() {
    let seed = seed("blobs on a disk that lies");
    let effort = Effort { calls_percent: 100, fixed_percent: 100, random: 2 };
    for lie in [Lie::Files, Lie::Folders, Lie::FoldersOfTakenNames] {
        let outcome = explore_blobs(lie, &mut Random::new(seed), effort);
        assert!(!outcome.failures.is_empty(), "{lie:?} went unseen in {} images", outcome.images);
    }
}
