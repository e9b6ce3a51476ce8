//! What a disk holds for sure, and what it may hold: nothing that was not synced is certain, nor certain to be lost.
//!
//! The rules, harsher than any file system in use: a write survives by sectors, each with any number of the writes to it
//! in their order; the length survives apart from the bytes; names survive apart from what they name, one by one, except
//! that a name's later changes need its earlier ones and a rename is one change. A sync that failed makes nothing sure,
//! and neither does a later one on the same file, nor on the same folder by the same process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::Arc;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: u64 = 512;

/// A file or folder; the same in every image.
pub(crate) type NodeId = usize;

/// A name in a folder.
pub(crate) type Place = (NodeId, OsString);

/// What no two files have in common, and when it changed last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Birth {
    pub(crate) inode: u64,
    pub(crate) born_ns: i64,
}

/// One call that changed something, as it was recorded.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A new file; with a name, or without one yet.
    File {
        node: NodeId,
        birth: Birth,
        at: Option<Place>,
    },
    /// A new folder.
    Folder {
        node: NodeId,
        birth: Birth,
        at: Place,
    },
    /// Something that was made behind the seam's back: it is taken as durable.
    Found {
        node: NodeId,
        birth: Birth,
        at: Place,
        content: Option<Arc<Vec<u8>>>,
    },
    Write {
        node: NodeId,
        offset: u64,
        bytes: Arc<[u8]>,
    },
    SetLen {
        node: NodeId,
        len: u64,
    },
    /// Nothing but the time of its last change: permissions.
    Touch {
        node: NodeId,
    },
    /// Of all, or of bytes and length alone: then the time of the last change is not sure.
    Sync {
        node: NodeId,
        all: bool,
    },
    SyncFailed {
        node: NodeId,
    },
    /// Everything at once.
    SyncDevice,
    SyncFolder {
        folder: NodeId,
    },
    SyncFolderFailed {
        folder: NodeId,
    },
    Link {
        node: NodeId,
        to: Place,
    },
    Rename {
        node: NodeId,
        from: Place,
        to: Place,
    },
    Unlink {
        node: NodeId,
        from: Place,
    },
    /// Another process took over. What a folder's failed sync left in the dark is known again by then: a file system that
    /// fails so does not go on before it was looked after.
    Restart,
    /// The one who drives the run noted something, such as that a step was acknowledged.
    Mark(u64),
}

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
pub(super) enum Unsynced {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

/// A change of names that is not synced.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    pub(super) node: NodeId,
    pub(super) from: Option<Place>,
    pub(super) to: Option<Place>,
    doomed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) birth: Birth,
    /// Last change, as it is on the disk for sure and as the running system has it.
    pub(super) changed_ns: (i64, i64),
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    File {
        content: Arc<Vec<u8>>,
        /// With whether a sync of it failed.
        unsynced: Vec<(Unsynced, bool)>,
    },
    Folder {
        entries: BTreeMap<OsString, NodeId>,
    },
}

/// The state of the disk after some of the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) namings: Vec<Naming>,
}

/// The folder that everything is in.
pub(crate) const ROOT: NodeId = 0;

impl Event {
    /// It, without bytes.
    pub(crate) fn brief(&self) -> String {
        if let Self::Write { node, offset, bytes } = self {
            format!("Write {{ node: {node}, {offset}+{} }}", bytes.len())
        } else if let Self::Found { node, at, .. } = self {
            format!("Found {{ node: {node}, at: {at:?} }}")
        } else {
            format!("{self:?}")
        }
    }
}

impl Naming {
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.from.iter().chain(&self.to)
    }

    fn touches(&self, folder: NodeId) -> bool {
        self.places().any(|(in_folder, _)| *in_folder == folder)
    }
}

impl Unsynced {
    /// Applies all of it.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::SetLen(len) => content.resize(usize::try_from(*len).expect("a small file"), 0),
        }
    }
}

/// Writes into a file that grows when it must.
pub(super) fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let from = usize::try_from(offset).expect("a small file");
    if content.len() < from + bytes.len() {
        content.resize(from + bytes.len(), 0);
    }
    content[from..from + bytes.len()].copy_from_slice(bytes);
}

impl World {
    /// The state after one more event, which was the `at_ns`-th nanosecond.
    pub(crate) fn apply(&mut self, event: &Event, at_ns: i64) {
        match event {
            Event::File { node, birth, at } => {
                let kind = Kind::File { content: Arc::default(), unsynced: Vec::new() };
                self.nodes.insert(*node, Node { birth: *birth, changed_ns: (at_ns, at_ns), kind });
                if let Some(at) = at {
                    self.name(*node, None, Some(at.clone()), at_ns);
                }
            }
            Event::Folder { node, birth, at } => {
                self.add_folder(*node, *birth, at_ns);
                self.name(*node, None, Some(at.clone()), at_ns);
            }
            Event::Found { node, birth, at, content } => {
                match content {
                    Some(content) => self.add_file(*node, *birth, Arc::clone(content), at_ns),
                    None => self.add_folder(*node, *birth, at_ns),
                }
                self.entries(at.0).insert(at.1.clone(), *node);
            }
            Event::Write { node, offset, bytes } => {
                self.change(*node, Unsynced::Write { offset: *offset, bytes: Arc::clone(bytes) }, at_ns);
            }
            Event::SetLen { node, len } => self.change(*node, Unsynced::SetLen(*len), at_ns),
            Event::Touch { node } => self.touch(*node, at_ns),
            Event::Sync { node, all } => self.sync(*node, *all),
            Event::SyncFailed { node } => {
                if let Kind::File { unsynced, .. } = &mut self.node(*node).kind {
                    for (_, doomed) in unsynced {
                        *doomed = true;
                    }
                }
            }
            Event::SyncDevice => self.sync_all(),
            Event::SyncFolder { folder } => self.sync_folder(*folder),
            Event::SyncFolderFailed { folder } => {
                for naming in self.namings.iter_mut().filter(|naming| naming.touches(*folder)) {
                    naming.doomed = true;
                }
            }
            Event::Link { node, to } => self.name(*node, None, Some(to.clone()), at_ns),
            Event::Rename { node, from, to } => self.name(*node, Some(from.clone()), Some(to.clone()), at_ns),
            Event::Unlink { node, from } => self.name(*node, Some(from.clone()), None, at_ns),
            Event::Restart => self.namings.iter_mut().for_each(|naming| naming.doomed = false),
            Event::Mark(_) => {}
        }
    }

    /// A folder without anything in it, durable.
    pub(super) fn add_folder(&mut self, node: NodeId, birth: Birth, at_ns: i64) {
        let kind = Kind::Folder { entries: BTreeMap::new() };
        self.nodes.insert(node, Node { birth, changed_ns: (at_ns, at_ns), kind });
    }

    /// A durable file, without a name.
    pub(super) fn add_file(&mut self, node: NodeId, birth: Birth, content: Arc<Vec<u8>>, at_ns: i64) {
        let kind = Kind::File { content, unsynced: Vec::new() };
        self.nodes.insert(node, Node { birth, changed_ns: (at_ns, at_ns), kind });
    }

    pub(super) fn entries(&mut self, folder: NodeId) -> &mut BTreeMap<OsString, NodeId> {
        match &mut self.node(folder).kind {
            Kind::Folder { entries } => entries,
            Kind::File { .. } => panic!("node {folder} is no folder"),
        }
    }

    /// The bytes of a file without those that a failed sync was to make durable; none when none failed.
    pub(super) fn without_doomed(&self, node: NodeId) -> Option<Vec<u8>> {
        let Kind::File { content, unsynced } = &self.nodes.get(&node)?.kind else { return None };
        unsynced.iter().find(|(_, doomed)| *doomed)?;
        let mut content = content.to_vec();
        for (change, _) in unsynced.iter().filter(|(_, doomed)| !*doomed) {
            change.apply(&mut content);
        }
        Some(content)
    }

    fn node(&mut self, node: NodeId) -> &mut Node {
        self.nodes.get_mut(&node).expect("events name nodes that were made")
    }

    fn touch(&mut self, node: NodeId, at_ns: i64) {
        self.node(node).changed_ns.1 = at_ns;
    }

    fn change(&mut self, node: NodeId, change: Unsynced, at_ns: i64) {
        self.touch(node, at_ns);
        match &mut self.node(node).kind {
            Kind::File { unsynced, .. } => unsynced.push((change, false)),
            Kind::Folder { .. } => panic!("node {node} is no file"),
        }
    }

    fn sync(&mut self, id: NodeId, all: bool) {
        let node = self.node(id);
        if all {
            node.changed_ns.0 = node.changed_ns.1;
        }
        let Kind::File { content, unsynced } = &mut node.kind else { panic!("node {id} is no file") };
        if unsynced.is_empty() {
            return;
        }
        let changes = std::mem::take(unsynced);
        let mut doomed: Vec<Unsynced> = Vec::new();
        let content = Arc::make_mut(content);
        for (change, is_doomed) in changes {
            if is_doomed {
                doomed.extend(sectors(&change));
                continue;
            }
            change.apply(content);
            doomed.retain(|earlier| !covers(&change, earlier));
        }
        unsynced.extend(doomed.into_iter().map(|change| (change, true)));
    }

    fn sync_all(&mut self) {
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if matches!(self.nodes[&id].kind, Kind::File { .. }) {
                self.sync(id, true);
            }
        }
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if matches!(self.nodes[&id].kind, Kind::Folder { .. }) {
                self.sync_folder(id);
            }
        }
    }

    /// As if all of it had been written just now, and nothing synced.
    pub(super) fn unsync(&mut self) {
        let mut namings = Vec::new();
        for (id, node) in &mut self.nodes {
            match &mut node.kind {
                Kind::File { content, unsynced } => {
                    let bytes: Arc<[u8]> = std::mem::take(content).as_slice().into();
                    unsynced.push((Unsynced::Write { offset: 0, bytes }, false));
                }
                Kind::Folder { entries } => {
                    for (name, node) in std::mem::take(entries) {
                        namings.push(Naming { node, from: None, to: Some((*id, name)), doomed: false });
                    }
                }
            }
        }
        self.namings.extend(namings);
    }

    fn name(&mut self, node: NodeId, from: Option<Place>, to: Option<Place>, at_ns: i64) {
        self.touch(node, at_ns);
        self.namings.push(Naming { node, from, to, doomed: false });
    }

    /// What was done in this folder is durable, and what that rests on.
    fn sync_folder(&mut self, folder: NodeId) {
        let mut needed: BTreeSet<Place> = BTreeSet::new();
        let mut durable = Vec::new();
        for (index, naming) in self.namings.iter().enumerate().rev() {
            let is_needed = naming.places().any(|place| needed.contains(place));
            if is_needed || (naming.touches(folder) && !naming.doomed) {
                needed.extend(naming.places().cloned());
                durable.push(index);
            }
        }
        durable.reverse();
        for index in &durable {
            let naming = self.namings[*index].clone();
            if let Some((folder, name)) = naming.from {
                self.entries(folder).remove(&name);
            }
            if let Some((folder, name)) = naming.to {
                self.entries(folder).insert(name, naming.node);
            }
        }
        let mut index = 0;
        self.namings.retain(|_| {
            index += 1;
            durable.binary_search(&(index - 1)).is_err()
        });
    }
}

/// The pieces of a write that a disk writes apart.
pub(super) fn pieces(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = (offset, bytes);
    std::iter::from_fn(move || {
        let (offset, bytes) = rest;
        if bytes.is_empty() {
            return None;
        }
        let room = usize::try_from(SECTOR_BYTES - offset % SECTOR_BYTES).expect("a sector is small");
        let (piece, left) = bytes.split_at(room.min(bytes.len()));
        rest = (offset + piece.len() as u64, left);
        Some((offset, piece))
    })
}

fn sectors(change: &Unsynced) -> Vec<Unsynced> {
    match change {
        Unsynced::Write { offset, bytes } => {
            pieces(*offset, bytes).map(|(offset, piece)| Unsynced::Write { offset, bytes: piece.into() }).collect()
        }
        Unsynced::SetLen(len) => vec![Unsynced::SetLen(*len)],
    }
}

/// Whether nothing of `earlier` shows once `later` was done.
fn covers(later: &Unsynced, earlier: &Unsynced) -> bool {
    match (later, earlier) {
        (Unsynced::Write { offset, bytes }, Unsynced::Write { offset: at, bytes: piece }) => {
            *offset <= *at && at + piece.len() as u64 <= offset + bytes.len() as u64
        }
        (Unsynced::SetLen(len), Unsynced::Write { offset, .. }) => offset >= len,
        (Unsynced::SetLen(_), Unsynced::SetLen(_)) => true,
        (Unsynced::Write { .. }, Unsynced::SetLen(_)) => false,
    }
}
