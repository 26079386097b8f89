//! A disk in memory that can fail at any step, and forgets what was not synced when the power goes.
//!
//! Of a file that was not synced a power cut leaves any part of what was written since; of a folder
//! that was not synced the first few of its changes. A sync that fails throws away what it should have
//! written, and the next one knows nothing of it, as with Linux.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use super::super::super::files::Files;

/// The only one on it.
pub(super) const FOLDER: &str = "/store";

/// Numbers without a pattern, the same ones for the same seed.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    /// Below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }

    pub(super) fn one_in(&mut self, many: u64) -> bool {
        many > 0 && self.below(many) == 0
    }

    fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).expect("small")
    }
}

#[derive(Debug)]
pub(super) struct FailingDisk(Mutex<State>);

#[derive(Debug)]
pub(super) struct State {
    random: Random,
    /// One step in so many fails; none, where it is zero.
    pub(super) one_in: u64,
    pub(super) reads_fail: bool,
    /// The process has no memory left for what it would read.
    pub(super) no_memory: bool,
    pub(super) is_full: bool,
    pub(super) sync_fails: bool,
    /// The process dies after so many more steps: none succeeds any more.
    pub(super) dies_in: Option<u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    pub(super) steps: u64,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    pub(super) has_folder: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Thrown away by a sync that failed: bytes from..to are on no disk, whatever a later sync says.
    lost: Option<(usize, usize)>,
    /// These cannot be read.
    unreadable: Option<(usize, usize)>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(String, usize),
    Unlink(String),
    Rename(String, String, usize),
}

impl FailingDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(State {
            random: Random(seed),
            one_in: 0,
            reads_fail: false,
            no_memory: false,
            is_full: false,
            sync_fails: false,
            dies_in: None,
            faults: BTreeMap::new(),
            steps: 0,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            has_folder: false,
        }))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread has panicked")
    }

    fn step(&self, what: &'static str) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.steps += 1;
        let is_read = matches!(what, "read" | "length" | "names");
        if is_read && state.no_memory {
            return Err(io::Error::from_raw_os_error(12));
        }
        let is_dead = match &mut state.dies_in {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        let one_in = if is_read && !state.reads_fail { 0 } else { state.one_in };
        if is_dead || (what == "sync" && state.sync_fails) || state.random.one_in(one_in) {
            *state.faults.entry(what).or_default() += 1;
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(state)
    }
}

impl State {
    fn inode(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let number = *self.names.get(&name(path)).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.inodes[number])
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    /// Everything that was not synced is lost, in part.
    pub(super) fn cut_power(&mut self) {
        let kept = self.random.index(self.changes.len() + 1);
        let mut names = self.synced_names.clone();
        self.changes.drain(..).take(kept).for_each(|change| apply(&mut names, &change));
        self.names.clone_from(&names);
        self.synced_names = names;
        for inode in &mut self.inodes {
            let whole = inode.on_disk();
            let same = inode.synced.iter().zip(&whole).take_while(|(old, new)| old == new).count();
            let kept = same + self.random.index(whole.len() - same + 1);
            // what is not written yet, or not all of it
            let mut bytes = whole[..kept].to_vec();
            if self.random.one_in(4) {
                bytes.resize(whole.len(), 0);
            } else if kept < whole.len() && inode.synced.len() > kept {
                bytes.extend_from_slice(&inode.synced[kept..]);
            }
            *inode = Inode { now: bytes.clone(), synced: bytes, lost: None, unreadable: inode.unreadable };
        }
    }

    /// The names of the files, with their content; zeros where it cannot be read.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let content = |inode: &Inode| {
            let mut bytes = inode.now.clone();
            if let Some((from, to)) = inode.unreadable {
                let end = to.min(bytes.len());
                bytes[from.min(end)..end].fill(0);
            }
            bytes
        };
        self.names.iter().map(|(name, number)| (name.clone(), content(&self.inodes[*number]))).collect()
    }

    /// Somebody else, or the card, does something to a file.
    pub(super) fn harm(&mut self, name: &str) -> &'static str {
        let Some(number) = self.names.get(name).copied() else { return "nothing" };
        let length = self.inodes[number].now.len();
        if length == 0 {
            return "nothing";
        }
        let at = self.random.index(length);
        let kind = self.random.below(5);
        let inode = &mut self.inodes[number];
        if kind < 3 {
            // it happens on the disk, which never had what a failed sync threw away
            inode.now = inode.on_disk();
            inode.lost = None;
        }
        let kind = match kind {
            0 => {
                inode.now[at] ^= 0x10;
                "bit"
            }
            1 => {
                inode.now.truncate(at);
                "cut"
            }
            2 => {
                let end = (at + 600).min(length);
                inode.now[at..end].fill(0);
                "zeros"
            }
            3 if (at / 4096 + 1) * 4096 <= length => {
                inode.unreadable = Some((at / 4096 * 4096, (at / 4096 + 1) * 4096));
                return "unreadable";
            }
            4 => {
                self.names.remove(name);
                self.synced_names.remove(name);
                return "removed";
            }
            _ => return "nothing",
        };
        inode.synced.clone_from(&inode.now);
        kind
    }

    /// Somebody removes everything.
    pub(super) fn remove_folder(&mut self) {
        self.names.clear();
        self.synced_names.clear();
        self.changes.clear();
        self.has_folder = false;
    }
}

impl Inode {
    /// What the next successful sync brings to the disk.
    fn on_disk(&self) -> Vec<u8> {
        let mut bytes = self.now.clone();
        if let Some((from, to)) = self.lost {
            let end = to.min(bytes.len());
            bytes[from.min(end)..end].fill(0);
        }
        bytes
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, number) => _ = names.insert(name.clone(), *number),
        Change::Unlink(name) => _ = names.remove(name),
        Change::Rename(from, to, number) => {
            names.remove(from);
            names.insert(to.clone(), *number);
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

impl Files for FailingDisk {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        self.step("make folder")?.has_folder = true;
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Option<File>> {
        Ok(None)
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        let state = self.step("names")?;
        if state.has_folder { Ok(state.names.keys().cloned().collect()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(self.step("length")?.inode(path)?.now.len() as u64)
    }

    fn read(&self, path: &Path, from: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut state = self.step("read")?;
        let inode = state.inode(path)?;
        let from = usize::try_from(from).expect("small");
        let mut end = (from + most).min(inode.now.len());
        if let Some((bad, _)) = inode.unreadable.filter(|(bad, good)| *bad < end && from < *good) {
            if bad <= from {
                return Err(io::Error::from_raw_os_error(5));
            }
            end = bad;
        }
        Ok(inode.now.get(from..end).unwrap_or_default().to_vec())
    }

    fn create(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step("create")?;
        if !state.has_folder {
            return Err(ErrorKind::NotFound.into());
        }
        if state.names.contains_key(&name(path)) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let number = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(Change::Link(name(path), number));
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !self.state().names.contains_key(&name(path)) {
            self.create(path)?;
        }
        self.put(path, 0, bytes)?;
        self.state().inode(path)?.now.truncate(bytes.len());
        Ok(())
    }

    fn append(&self, path: &Path, end: u64, bytes: &[u8]) -> io::Result<()> {
        if self.state().inode(path)?.now.len() as u64 != end {
            return Err(ErrorKind::InvalidData.into());
        }
        self.put(path, usize::try_from(end).expect("small"), bytes)
    }

    fn truncate(&self, path: &Path, to: u64) -> io::Result<()> {
        self.step("truncate")?.inode(path)?.now.truncate(usize::try_from(to).expect("small"));
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let outcome = self.step("sync").map(drop);
        let mut state = self.state();
        if path == Path::new(FOLDER) {
            outcome?;
            state.synced_names = state.names.clone();
            state.changes.clear();
            return Ok(());
        }
        let inode = state.inode(path)?;
        if let Err(error) = outcome {
            let same = inode.synced.iter().zip(&inode.now).take_while(|(old, new)| old == new).count();
            let from = inode.lost.map_or(same, |(from, _)| from.min(same));
            inode.lost = Some((from, inode.now.len()));
            return Err(error);
        }
        inode.synced = inode.on_disk();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step("rename")?;
        let number = *state.names.get(&name(from)).ok_or(ErrorKind::NotFound)?;
        state.change(Change::Rename(name(from), name(to), number));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step("remove")?;
        state.inode(path)?;
        state.change(Change::Unlink(name(path)));
        Ok(())
    }
}

impl FailingDisk {
    /// Bytes at a place; a part of them where that fails.
    fn put(&self, path: &Path, at: usize, bytes: &[u8]) -> io::Result<()> {
        let outcome = self.step("write").map(drop);
        let mut state = self.state();
        let is_full = state.is_full && state.inode(path)?.now.len() < at + bytes.len();
        let outcome = if is_full { Err(io::Error::from_raw_os_error(28)) } else { outcome };
        let length = if outcome.is_ok() { bytes.len() } else { state.random.index(bytes.len() + 1) };
        let length = if is_full { 0 } else { length };
        let inode = state.inode(path)?;
        inode.now.resize(inode.now.len().max(at + length), 0);
        inode.now[at..at + length].copy_from_slice(&bytes[..length]);
        outcome
    }
}
