//! What may be found on the disk after the power was lost: one of the many outcomes that the rules allow.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use super::Disk;
use super::world::{Birth, Kind, Node, NodeId, ROOT, Unsynced, World, pieces, put};
use crate::random::Random;

/// What becomes of bytes that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bytes {
    /// All are lost.
    Lost,
    /// All survive, as after `kill -9`.
    Kept,
    /// Lengths survive, and zeros stand where the bytes should.
    Zeros,
    /// All survive, but of the last write of each file only some sectors.
    Torn,
    /// Each sector survives with so many chances in a hundred.
    Some(u8),
}

/// What becomes of names that were not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Names {
    /// All changes are lost.
    Lost,
    /// All survive.
    Kept,
    /// Each survives with so many chances in a hundred, if those before it of the same name did.
    Some(u8),
}

/// How an image comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loss {
    pub(crate) bytes: Bytes,
    pub(crate) names: Names,
}

/// Whether the opened directory is the one that was written, or a copy: other inodes, born later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    Original,
    Copy,
    /// A copy by a tool that left it to the system when the bytes reach the disk.
    UnsyncedCopy,
}

/// The losses that are tried at each call, before the random ones.
pub(crate) const LOSSES: [Loss; 7] = [
    Loss { bytes: Bytes::Lost, names: Names::Lost },
    Loss { bytes: Bytes::Kept, names: Names::Kept },
    Loss { bytes: Bytes::Lost, names: Names::Kept },
    Loss { bytes: Bytes::Kept, names: Names::Lost },
    Loss { bytes: Bytes::Zeros, names: Names::Kept },
    Loss { bytes: Bytes::Torn, names: Names::Kept },
    Loss { bytes: Bytes::Torn, names: Names::Lost },
];

impl Loss {
    /// Any loss.
    pub(crate) fn draw(random: &mut Random) -> Self {
        let percent = [10, 50, 90][random.below(3)];
        let bytes = match random.below(5) {
            0 => Bytes::Torn,
            1 => Bytes::Kept,
            _ => Bytes::Some(percent),
        };
        let names = if random.chance(20) { Names::Kept } else { Names::Some([10, 50, 90][random.below(3)]) };
        Self { bytes, names }
    }
}

/// Files and folders as they are found, all of them durable.
#[derive(Clone, Debug)]
pub(crate) struct Image(World);

impl World {
    /// One outcome of losing the power now.
    pub(crate) fn lose_power(&self, loss: Loss, random: &mut Random) -> Image {
        let mut found = Self::default();
        for (id, node) in &self.nodes {
            found.nodes.insert(*id, after(node, loss.bytes, random));
        }
        let mut lost: HashSet<_> = HashSet::new();
        for naming in &self.namings {
            let kept = match loss.names {
                Names::Lost => false,
                Names::Kept => true,
                Names::Some(percent) => random.chance(percent),
            };
            if !kept || naming.places().any(|place| lost.contains(place)) {
                lost.extend(naming.places());
                continue;
            }
            if let Some((folder, name)) = &naming.from {
                found.entries(*folder).remove(name);
            }
            if let Some((folder, name)) = &naming.to {
                found.entries(*folder).insert(name.clone(), naming.node);
            }
        }
        found.forget_unnamed();
        Image(found)
    }

    /// Nodes without a name are gone.
    fn forget_unnamed(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        let mut folders = vec![ROOT];
        while let Some(folder) = folders.pop() {
            for node in self.entries(folder).values().copied().collect::<Vec<_>>() {
                named.insert(node);
                if matches!(self.nodes[&node].kind, Kind::Folder { .. }) {
                    folders.push(node);
                }
            }
        }
        self.nodes.retain(|id, _| named.contains(id));
    }
}

fn after(node: &Node, loss: Bytes, random: &mut Random) -> Node {
    let now_survives = match loss {
        Bytes::Lost => false,
        Bytes::Kept | Bytes::Zeros | Bytes::Torn => true,
        Bytes::Some(percent) => random.chance(percent),
    };
    let changed = if now_survives { node.changed_ns.1 } else { node.changed_ns.0 };
    let kind = match &node.kind {
        Kind::Folder { entries } => Kind::Folder { entries: entries.clone() },
        Kind::File { content, unsynced } if unsynced.is_empty() => {
            Kind::File { content: Arc::clone(content), unsynced: Vec::new() }
        }
        Kind::File { content, unsynced } => {
            let content = Arc::new(survivors(content, unsynced, loss, random));
            Kind::File { content, unsynced: Vec::new() }
        }
    };
    Node { birth: node.birth, changed_ns: (changed, changed), kind }
}

/// A file's bytes after the loss.
fn survivors(durable: &[u8], unsynced: &[(Unsynced, bool)], loss: Bytes, random: &mut Random) -> Vec<u8> {
    let mut content = durable.to_vec();
    let mut length = durable.len();
    let mut lost_sectors: HashSet<u64> = HashSet::new();
    // From here on the length does not change any more.
    let mut length_is_lost = loss == Bytes::Lost;
    let last = unsynced.len() - 1;
    for (index, (change, _)) in unsynced.iter().enumerate() {
        if let Bytes::Some(percent) = loss {
            length_is_lost |= !random.chance(percent.max(50));
        } else if loss == Bytes::Torn && index == last {
            length_is_lost |= random.chance(50);
        }
        match change {
            Unsynced::SetLen(_) if length_is_lost => {}
            Unsynced::SetLen(len) => {
                length = usize::try_from(*len).expect("a small file");
                content.truncate(length);
            }
            Unsynced::Write { offset, bytes } => {
                for (at, piece) in pieces(*offset, bytes) {
                    let sector = at / super::world::SECTOR_BYTES;
                    let kept = match loss {
                        Bytes::Lost | Bytes::Zeros => false,
                        Bytes::Kept => true,
                        Bytes::Torn => index < last || random.chance(50),
                        Bytes::Some(percent) => random.chance(percent),
                    };
                    if !kept || lost_sectors.contains(&sector) {
                        lost_sectors.insert(sector);
                    } else {
                        put(&mut content, at, piece);
                    }
                }
                if !length_is_lost {
                    length = length.max(usize::try_from(*offset).expect("a small file") + bytes.len());
                }
            }
        }
    }
    content.resize(length, 0);
    content
}

impl Image {
    /// What the same image has in common with itself, whenever it comes up again.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        for (id, node) in &self.0.nodes {
            hasher.update(&id.to_le_bytes()).update(&node.changed_ns.0.to_le_bytes());
            match &node.kind {
                Kind::File { content, .. } => {
                    hasher.update(content);
                }
                Kind::Folder { entries } => {
                    for (name, node) in entries {
                        hasher.update(name.as_encoded_bytes()).update(&[0]).update(&node.to_le_bytes());
                    }
                }
            }
        }
        u64::from_le_bytes(*hasher.finalize().as_bytes().first_chunk().expect("32 bytes"))
    }

    /// Puts it into an empty directory; the disk over it tells identities as `look` says.
    pub(crate) fn place(&self, root: &Path, look: Look) -> Arc<Disk> {
        let mut world = self.0.clone();
        if look != Look::Original {
            let newest = world.nodes.values().map(|node| node.changed_ns.1).max().unwrap_or(0);
            for (number, node) in (1..).zip(world.nodes.values_mut()) {
                let at = newest + number;
                node.birth = Birth { inode: node.birth.inode + 1_000_000, born_ns: at };
                node.changed_ns = (at, at);
            }
        }
        let mut by_inode = BTreeMap::from([(inode(root), ROOT)]);
        let mut folders = vec![(ROOT, root.to_owned())];
        let mut placed: BTreeMap<NodeId, std::path::PathBuf> = BTreeMap::new();
        while let Some((folder, path)) = folders.pop() {
            let entries: Vec<(OsString, NodeId)> = world.entries(folder).clone().into_iter().collect();
            for (name, node) in entries {
                let to = path.join(name);
                match (&world.nodes[&node].kind, placed.get(&node)) {
                    (Kind::Folder { .. }, _) => {
                        fs::create_dir(&to).expect("an empty directory takes it");
                        folders.push((node, to.clone()));
                    }
                    (Kind::File { .. }, Some(first)) => fs::hard_link(first, &to).expect("the same directory"),
                    (Kind::File { content, .. }, None) => {
                        fs::write(&to, content.as_slice()).expect("room for an image");
                        placed.insert(node, to.clone());
                    }
                }
                by_inode.insert(inode(&to), node);
            }
        }
        if look == Look::UnsyncedCopy {
            world.unsync();
        }
        Disk::over(root, world, by_inode)
    }

    /// The paths of all files with their lengths, for messages.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut world = self.0.clone();
        let mut lines = Vec::new();
        let mut folders = vec![(ROOT, String::new())];
        while let Some((folder, path)) = folders.pop() {
            for (name, node) in world.entries(folder).clone() {
                let path = format!("{path}/{}", name.to_string_lossy());
                match &world.nodes[&node].kind {
                    Kind::Folder { .. } => folders.push((node, path)),
                    Kind::File { content, .. } => lines.push(format!("{path} {}", content.len())),
                }
            }
        }
        lines.sort();
        lines
    }
}

/// The inode that a path has now.
pub(super) fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("it was just made").ino()
}
