//! A disk that writes down all that is done to it, fails when it is told to, and shows afterwards what could be left of
//! it had the power gone at any moment.
//!
//! It works on a real directory, so that the code over it runs as it does in earnest. [`world`] has the rules of what
//! survives, [`image`] draws one outcome, [`explore`] tries them at every call.

pub(crate) mod explore;
pub(crate) mod fault;
pub(crate) mod image;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use vix_registry::storage::fs::{Access, Fs, RealFs, Stat};

use fault::{Call, Fault, Faults, Lie};
use image::inode;
use world::{Birth, Event, NodeId, Place, ROOT, World};

/// What `free_bytes` tells while there is room.
const ROOM_BYTES: u64 = 1 << 40;
/// Between two events.
const EVENT_NS: i64 = 1_000_000;
/// When the first disk was made.
const FIRST_NS: i64 = 1_700_000_000_000_000_000;

/// The disk under one directory.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    base: World,
    events: Vec<Event>,
    begun_ns: i64,
    nodes: BTreeMap<NodeId, Running>,
    by_inode: BTreeMap<u64, NodeId>,
    faults: Faults,
    lie: Lie,
    /// The log whose sync is still to be done, and the folder in which the last name asked for was taken.
    late: Option<NodeId>,
    taken_in: Option<NodeId>,
    ticks: u64,
}

/// What the running system knows of a file.
#[derive(Clone, Debug)]
struct Running {
    birth: Birth,
    changed_ns: i64,
    allocated: u64,
    name: String,
}

/// Everything that was done to a disk, from a durable beginning.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) base: World,
    pub(crate) events: Vec<Event>,
    pub(crate) begun_ns: i64,
}

impl Trace {
    /// When the event of this index was.
    pub(crate) fn at_ns(&self, index: usize) -> i64 {
        self.begun_ns + i64::try_from(index).expect("few events") * EVENT_NS
    }
}

impl Disk {
    /// A disk with an empty directory.
    pub(crate) fn new(root: &Path) -> Arc<Self> {
        let mut world = World::default();
        world.add_folder(ROOT, Birth { inode: 2, born_ns: FIRST_NS }, FIRST_NS);
        Self::over(root, world, BTreeMap::from([(inode(root), ROOT)]))
    }

    fn over(root: &Path, base: World, by_inode: BTreeMap<u64, NodeId>) -> Arc<Self> {
        let newest = base.nodes.values().map(|node| node.changed_ns.1).max().unwrap_or(0);
        let running = |(id, node): (&NodeId, &world::Node)| {
            let (allocated, name) = match &node.kind {
                world::Kind::File { content, .. } => (content.len() as u64, String::new()),
                world::Kind::Folder { .. } => (0, String::new()),
            };
            (*id, Running { birth: node.birth, changed_ns: node.changed_ns.1, allocated, name })
        };
        let nodes = base.nodes.iter().map(running).collect();
        let state = State {
            nodes,
            base,
            events: Vec::new(),
            begun_ns: newest + EVENT_NS,
            by_inode,
            faults: Faults::default(),
            lie: Lie::None,
            late: None,
            taken_in: None,
            ticks: 1000,
        };
        Arc::new(Self { root: root.to_owned(), state: Mutex::new(state) })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Notes something among the events.
    pub(crate) fn mark(&self, what: u64) {
        self.lock().events.push(Event::Mark(what));
    }

    /// Another process goes on from here.
    pub(crate) fn restart(&self) {
        self.lock().events.push(Event::Restart);
    }

    /// From here on the disk fails so; calls are counted from here.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults = Faults { fault, ..Faults::default() };
    }

    /// How many calls were made since [`Disk::fail`], and the first that failed.
    pub(crate) fn calls(&self) -> (usize, Option<(Call, String)>) {
        let state = self.lock();
        (state.faults.calls, state.faults.hit.clone())
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.lock().lie = lie;
    }

    /// Lets this many seconds of running pass.
    pub(crate) fn pass(&self, seconds: u64) {
        self.lock().ticks += seconds;
    }

    /// What was done so far.
    pub(crate) fn trace(&self) -> Trace {
        let state = self.lock();
        Trace { base: state.base.clone(), events: state.events.clone(), begun_ns: state.begun_ns }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call panics")
    }

    /// Begins a call on an open file.
    fn on_file(&self, call: Call, file: &File) -> io::Result<(MutexGuard<'_, State>, NodeId, bool)> {
        let mut state = self.lock();
        let node = state.node_of(file.metadata()?.ino());
        let name = state.nodes[&node].name.clone();
        let short = state.faults.count(call, &name, true).inspect_err(|_| state.failed(call, node))?;
        state.flush_late(node);
        Ok((state, node, short))
    }

    /// Begins a call on a path, found or not yet.
    fn on_path(&self, call: Call, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let name = path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned();
        // An unnamed file is made in the folder that the path names.
        let is_there = call != Call::CreateUnnamed && fs::symlink_metadata(path).is_ok();
        state.faults.count(call, &name, is_there)?;
        self.adopt(&mut state, path);
        Ok(state)
    }

    /// Takes in what was made without the seam: folders above a path, and what is at the path.
    fn adopt(&self, state: &mut State, path: &Path) {
        let Ok(metadata) = fs::symlink_metadata(path) else {
            if let Some(parent) = path.parent().filter(|parent| parent.starts_with(&self.root)) {
                self.adopt(state, parent);
            }
            return;
        };
        if !path.starts_with(&self.root) || state.by_inode.contains_key(&metadata.ino()) {
            return;
        }
        let parent = path.parent().expect("the root is known");
        self.adopt(state, parent);
        let place = state.place(path);
        let (node, birth) = state.new_node(metadata.ino(), &place);
        let content = metadata.is_file().then(|| Arc::new(fs::read(path).expect("a file of ours")));
        state.record(node, Event::Found { node, birth, at: place, content });
    }

    fn named(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }
}

impl State {
    fn now_ns(&self) -> i64 {
        self.begun_ns + i64::try_from(self.events.len()).expect("few events") * EVENT_NS
    }

    fn record(&mut self, node: NodeId, event: Event) {
        let now = self.now_ns();
        if let Some(running) = self.nodes.get_mut(&node)
            && !matches!(event, Event::Sync { .. } | Event::SyncFailed { .. })
        {
            running.changed_ns = now;
        }
        self.events.push(event);
    }

    fn node_of(&mut self, inode: u64) -> NodeId {
        *self.by_inode.get(&inode).unwrap_or_else(|| panic!("inode {inode} was not opened through the seam"))
    }

    fn place(&self, path: &Path) -> Place {
        let parent = path.parent().expect("a name below the root");
        let folder = self.by_inode.get(&inode(parent)).copied();
        let folder = folder.unwrap_or_else(|| panic!("{} is not on this disk", parent.display()));
        (folder, path.file_name().expect("a name").to_owned())
    }

    fn new_node(&mut self, inode: u64, place: &Place) -> (NodeId, Birth) {
        let node = self.nodes.keys().next_back().map_or(1, |last| last + 1);
        let birth = Birth { inode: 100 + node as u64, born_ns: self.now_ns() };
        let name = place.1.to_string_lossy().into_owned();
        self.nodes.insert(node, Running { birth, changed_ns: birth.born_ns, allocated: 0, name });
        self.by_inode.insert(inode, node);
        (node, birth)
    }

    /// A sync that fails leaves nothing that a later one could make durable.
    fn failed(&mut self, call: Call, node: NodeId) {
        if matches!(call, Call::SyncData | Call::SyncAll) {
            self.events.push(Event::SyncFailed { node });
        } else if call == Call::SyncDir {
            self.events.push(Event::SyncFolderFailed { folder: node });
        }
    }

    fn flush_late(&mut self, node: NodeId) {
        if self.late == Some(node) {
            self.late = None;
            self.record(node, Event::Sync { node, all: false });
        }
    }

    fn sync(&mut self, node: NodeId, all: bool) {
        let is_log = Path::new(&self.nodes[&node].name).extension().is_some_and(|extension| extension == "log");
        match self.lie {
            Lie::Files => {}
            Lie::LogsLate if is_log => self.late = Some(node),
            Lie::None | Lie::Folders | Lie::FoldersOfTakenNames | Lie::LogsLate => {
                self.record(node, Event::Sync { node, all });
            }
        }
    }

    fn taken(&mut self, path: &Path, done: &io::Result<()>) {
        let taken = done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
        self.taken_in = taken.then(|| self.place(path).0);
    }
}

impl Fs for Disk {
    fn create_unnamed(&self, dir: &Path) -> io::Result<File> {
        let mut state = self.on_path(Call::CreateUnnamed, dir)?;
        let file = RealFs.create_unnamed(dir)?;
        let (node, birth) = state.new_node(file.metadata()?.ino(), &(ROOT, OsString::from(self.named(dir) + "/")));
        state.record(node, Event::File { node, birth, at: None });
        Ok(file)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut state = self.on_path(Call::Create, path)?;
        let file = RealFs.create(path)?;
        let place = state.place(path);
        let (node, birth) = state.new_node(file.metadata()?.ino(), &place);
        state.record(node, Event::File { node, birth, at: Some(place) });
        Ok(file)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        let mut state = self.on_path(Call::Open, path)?;
        let file = RealFs.open(path, access)?;
        let node = state.node_of(file.metadata()?.ino());
        let name = self.named(path);
        state.nodes.get_mut(&node).expect("a node").name = name;
        Ok(file)
    }

    fn read_at(&self, file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        drop(self.on_file(Call::Read, file)?);
        RealFs.read_at(file, buf, offset)
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut state, node, short) = self.on_file(Call::Write, file)?;
        let bytes = if short { &bytes[..bytes.len() / 2] } else { bytes };
        let end = offset + bytes.len() as u64;
        let (has, name) = (state.nodes[&node].allocated, state.nodes[&node].name.clone());
        state.faults.room(has, end, &name)?;
        state.nodes.get_mut(&node).expect("a node").allocated = has.max(end);
        RealFs.write_all_at(file, bytes, offset)?;
        state.record(node, Event::Write { node, offset, bytes: bytes.into() });
        if short { Err(Faults::io_error()) } else { Ok(()) }
    }

    fn set_len(&self, file: &File, size: u64) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::SetLen, file)?;
        let before = file.metadata()?.size();
        RealFs.set_len(file, size)?;
        if size <= before {
            let running = state.nodes.get_mut(&node).expect("a node");
            running.allocated = running.allocated.min(size);
        }
        state.record(node, Event::SetLen { node, len: size });
        Ok(())
    }

    /// No blocks are really taken: only how many there would be is kept.
    fn allocate(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::Allocate, file)?;
        let (has, name) = (state.nodes[&node].allocated, state.nodes[&node].name.clone());
        state.faults.room(has, offset + len, &name)?;
        state.nodes.get_mut(&node).expect("a node").allocated = has.max(offset + len);
        Ok(())
    }

    fn set_read_only(&self, file: &File) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::SetReadOnly, file)?;
        RealFs.set_read_only(file)?;
        state.record(node, Event::Touch { node });
        Ok(())
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::SyncData, file)?;
        state.sync(node, false);
        Ok(())
    }

    /// What a failed sync was to write is gone from memory too: zeros, as where nothing was ever written.
    fn drop_cached(&self, file: &File) -> io::Result<()> {
        let (state, node, _) = self.on_file(Call::DropCached, file)?;
        let trace = Trace { base: state.base.clone(), events: state.events.clone(), begun_ns: state.begun_ns };
        if let Some(mut content) = explore::end(&trace).without_doomed(node) {
            content.resize(usize::try_from(file.metadata()?.size()).expect("a small file"), 0);
            fs::write(self.root.join(&state.nodes[&node].name), content)?;
        }
        Ok(())
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::SyncAll, file)?;
        state.sync(node, true);
        Ok(())
    }

    fn sync_device(&self, dir: &File) -> io::Result<()> {
        let (mut state, node, _) = self.on_file(Call::SyncDevice, dir)?;
        if !matches!(state.lie, Lie::Files | Lie::Folders) {
            state.record(node, Event::SyncDevice);
        }
        Ok(())
    }

    fn open_dir(&self, path: &Path) -> io::Result<File> {
        let mut state = self.on_path(Call::OpenDir, path)?;
        let dir = RealFs.open_dir(path)?;
        // The folder above the data directory is not on this disk.
        if let Some(node) = state.by_inode.get(&dir.metadata()?.ino()).copied() {
            state.nodes.get_mut(&node).expect("a node").name = self.named(path);
        }
        Ok(dir)
    }

    fn sync_dir(&self, dir: &File) -> io::Result<()> {
        let is_here = self.lock().by_inode.contains_key(&dir.metadata()?.ino());
        if !is_here {
            return Ok(());
        }
        let (mut state, folder, _) = self.on_file(Call::SyncDir, dir)?;
        let lies = match state.lie {
            Lie::Folders => true,
            Lie::FoldersOfTakenNames => state.taken_in == Some(folder),
            Lie::None | Lie::Files | Lie::LogsLate => false,
        };
        if !lies {
            state.record(folder, Event::SyncFolder { folder });
        }
        Ok(())
    }

    fn link_file(&self, file: &File, to: &Path) -> io::Result<()> {
        let mut state = self.on_path(Call::LinkFile, to)?;
        let done = RealFs.link_file(file, to);
        state.taken(to, &done);
        done?;
        let (node, place) = (state.node_of(file.metadata()?.ino()), state.place(to));
        state.nodes.get_mut(&node).expect("a node").name = self.named(to);
        state.record(node, Event::Link { node, to: place });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.on_path(Call::Link, to)?;
        self.adopt(&mut state, from);
        let done = RealFs.link(from, to);
        state.taken(to, &done);
        done?;
        let (node, place) = (state.node_of(inode(to)), state.place(to));
        state.nodes.get_mut(&node).expect("a node").name = self.named(to);
        state.record(node, Event::Link { node, to: place });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.on_path(Call::Rename, to)?;
        self.adopt(&mut state, from);
        RealFs.rename(from, to)?;
        let (node, places) = (state.node_of(inode(to)), (state.place(from), state.place(to)));
        state.nodes.get_mut(&node).expect("a node").name = self.named(to);
        state.record(node, Event::Rename { node, from: places.0, to: places.1 });
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut state = self.on_path(Call::Unlink, path)?;
        let found = fs::symlink_metadata(path).map(|metadata| metadata.ino());
        RealFs.unlink(path)?;
        let (node, place) = (state.node_of(found?), state.place(path));
        state.record(node, Event::Unlink { node, from: place });
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.on_path(Call::CreateDir, path)?;
        RealFs.create_dir(path)?;
        let place = state.place(path);
        let (node, birth) = state.new_node(inode(path), &place);
        state.nodes.get_mut(&node).expect("a node").name = self.named(path);
        state.record(node, Event::Folder { node, birth, at: place });
        Ok(())
    }

    /// In the order of names, so that a run can be repeated.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        drop(self.on_path(Call::List, dir)?);
        let mut names = RealFs.list(dir)?;
        names.sort();
        Ok(names)
    }

    fn stat(&self, file: &File) -> io::Result<Stat> {
        let (state, node, _) = self.on_file(Call::Stat, file)?;
        let running = &state.nodes[&node];
        let real = RealFs.stat(file)?;
        Ok(Stat {
            device: 1,
            inode: running.birth.inode,
            allocated: running.allocated,
            changed_ns: running.changed_ns,
            born_ns: Some(running.birth.born_ns),
            ..real
        })
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(if self.lock().faults.is_full() { 0 } else { ROOM_BYTES })
    }

    fn ticks(&self) -> u64 {
        self.lock().ticks
    }
}
