//! Power cuts: what a disk may hold after the power failed at a chosen moment, rebuilt from a record
//! of what a node really did to its files (`strace::record`).
//!
//! A file system promises little: what was synced is there; of the rest, each write may be there,
//! in part, not at all, or as zeros, and of changed names any prefix. `Loss` names the ways of
//! losing that are tried (the models of ALICE, Pillai et al., OSDI 2014, as far as they apply to
//! one directory tree on a journaling file system).
//!
//! Directories are inodes here like files, because the store is renamed into its place as a whole.

mod record;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::random::Random;

pub use record::Record;

/// A number for a file or directory that a name cannot take over. 0 is the data directory.
type Inode = usize;
/// A name in a directory.
type Place = (Inode, String);

/// One thing that was done to the files, or one promise.
#[derive(Debug, Clone)]
enum Op {
    Name(Naming),
    Data(Inode, Change),
    /// Makes durable what was done to a file or directory before this operation.
    Sync(Inode, usize),
    /// The node answered that what it was sent is durable.
    Promise,
}

#[derive(Debug, Clone)]
enum Naming {
    Set(Place, Inode),
    Remove(Place),
    Rename(Place, Place),
}

impl Naming {
    fn is_in(&self, directory: Inode) -> bool {
        match self {
            Self::Set(place, _) | Self::Remove(place) => place.0 == directory,
            Self::Rename(from, to) => from.0 == directory || to.0 == directory,
        }
    }

    fn apply(&self, names: &mut BTreeMap<Place, Inode>) {
        match self {
            Self::Set(place, inode) => {
                names.insert(place.clone(), *inode);
            }
            Self::Remove(place) => {
                names.remove(place);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

/// What a file holds; everything after `bytes` up to `length` is zeros.
#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    length: u64,
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(at, data) => {
                let (from, to) = (*at as usize, *at as usize + data.len());
                self.bytes.resize(self.bytes.len().max(to), 0);
                self.bytes[from..to].copy_from_slice(data);
                self.length = self.length.max(to as u64);
            }
            Change::Resize(length) => {
                self.bytes.truncate(*length as usize);
                self.length = *length;
            }
        }
    }
}

/// What is lost of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything, and a synced file whose directory was not synced has no name.
    All,
    /// All bytes, no names: files are there and empty.
    Bytes,
    /// The end: names and each file's writes up to some point, the last one torn.
    Tail,
    /// Half of the writes, in no order, and the last names.
    Some,
    /// Bytes are zeros, and the last names are lost.
    Zeros,
}

impl Loss {
    /// All ways of losing.
    pub const ALL: [Self; 5] = [Self::All, Self::Bytes, Self::Tail, Self::Some, Self::Zeros];
}

/// A disk in the middle of the record.
#[derive(Default)]
struct Disk {
    names: BTreeMap<Place, Inode>,
    files: BTreeMap<Inode, Content>,
    /// Not synced yet, with the number of the operation.
    naming: Vec<(usize, Naming)>,
    changes: BTreeMap<Inode, Vec<(usize, Change)>>,
}

impl Disk {
    fn step(&mut self, number: usize, op: &Op, loss: Loss) {
        match op {
            Op::Name(naming) => self.naming.push((number, naming.clone())),
            Op::Data(inode, change) => {
                self.changes.entry(*inode).or_default().push((number, change.clone()));
            }
            Op::Sync(inode, before) => self.sync(*inode, *before, loss),
            Op::Promise => {}
        }
    }

    fn sync(&mut self, inode: Inode, before: usize, loss: Loss) {
        let content = self.files.entry(inode).or_default();
        self.changes.entry(inode).or_default().retain(|(number, change)| {
            let synced = *number < before;
            if synced {
                content.apply(change);
            }
            !synced
        });
        let names = &mut self.names;
        self.naming.retain(|(number, naming)| {
            // ext4, XFS and btrfs keep the name of a new file that is synced.
            let own = matches!(naming, Naming::Set(_, new) if *new == inode);
            let synced = *number < before && (naming.is_in(inode) || own && loss != Loss::All);
            if synced {
                naming.apply(names);
            }
            !synced
        });
    }

    /// Takes the power away.
    fn cut(mut self, loss: Loss, random: &mut Random) -> Self {
        let kept = match loss {
            Loss::All => 0,
            Loss::Bytes => self.naming.len(),
            _ => random.below(self.naming.len() as u64 + 1) as usize,
        };
        for (_, naming) in &self.naming[..kept] {
            naming.apply(&mut self.names);
        }
        for (inode, changes) in &self.changes {
            let content = self.files.entry(*inode).or_default();
            let changes = changes.iter().map(|(_, change)| change);
            match loss {
                Loss::All | Loss::Bytes => {}
                Loss::Tail => tail(content, &changes.collect::<Vec<_>>(), random),
                Loss::Some => changes.for_each(|change| {
                    if matches!(change, Change::Resize(_)) || random.chance(50) {
                        content.apply(change);
                    }
                }),
                Loss::Zeros => changes.for_each(|change| match change {
                    Change::Write(at, data) => {
                        content.apply(&Change::Write(*at, vec![0; data.len()]));
                    }
                    Change::Resize(_) => content.apply(change),
                }),
            }
        }
        self
    }

    /// Writes a directory and all below it.
    fn write(&self, inode: Inode, to: &Path, directories: &[Inode]) {
        fs::create_dir_all(to).unwrap();
        for ((_, name), child) in self.names.iter().filter(|((parent, _), _)| *parent == inode) {
            let path = to.join(name);
            if directories.contains(child) {
                self.write(*child, &path, directories);
                continue;
            }
            let empty = Content::default();
            let content = self.files.get(child).unwrap_or(&empty);
            // Keys must be nobody else's to read.
            let mut options = fs::File::options();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
            file.write_all(&content.bytes).unwrap();
            file.set_len(content.length).unwrap();
        }
    }
}

fn tail(content: &mut Content, changes: &[&Change], random: &mut Random) {
    let kept = random.below(changes.len() as u64 + 1) as usize;
    changes[..kept].iter().for_each(|change| content.apply(change));
    if let Some(Change::Write(at, data)) = changes.get(kept) {
        let torn = random.below(data.len() as u64 + 1) as usize;
        content.apply(&Change::Write(*at, data[..torn].to_vec()));
    }
}

impl Record {
    /// How many moments there are to cut the power at.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Writes what the disk may hold if the power fails after `done` operations into an empty
    /// directory. Gives the number of promises made until then.
    pub fn cut(&self, done: usize, loss: Loss, random: &mut Random, to: &Path) -> usize {
        let mut disk = Disk::default();
        for (place, inode) in &self.before {
            disk.names.insert(place.clone(), *inode);
        }
        for (inode, bytes) in &self.contents {
            let content = Content { bytes: bytes.clone(), length: bytes.len() as u64 };
            disk.files.insert(*inode, content);
        }
        for (number, op) in self.ops[..done].iter().enumerate() {
            disk.step(number, op, loss);
        }
        disk.cut(loss, random).write(0, to, &self.directories);
        self.ops[..done].iter().filter(|op| matches!(op, Op::Promise)).count()
    }
}

#[cfg(test)]
mod tests;
