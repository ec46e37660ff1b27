//! Reads what strace wrote down into operations on inodes.
//!
//! An operation counts from the moment the call returned, but what a sync makes durable is only what
//! was done before that call began.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Change, Inode, Naming, Op, Place};

/// What an answer to a client says when the node promises to keep what it was sent.
const PROMISE: &[u8] = b"\"durable\":true";

/// A recorded run.
pub struct Record {
    pub(super) ops: Vec<Op>,
    /// Names that were there before.
    pub(super) before: BTreeMap<Place, Inode>,
    /// Bytes that were there before.
    pub(super) contents: BTreeMap<Inode, Vec<u8>>,
    pub(super) directories: Vec<Inode>,
}

/// A call that returned.
struct Call<'t> {
    name: &'t str,
    args: &'t str,
    returned: i64,
    /// How many operations there were when it began.
    began: usize,
}

impl Call<'_> {
    /// The bytes of all strings among the arguments.
    fn strings(&self) -> Vec<Vec<u8>> {
        let quoted = self.args.split('"').skip(1).step_by(2);
        let byte = |hex: &str| u8::from_str_radix(hex, 16).unwrap();
        quoted.map(|text| text.split("\\x").skip(1).map(byte).collect()).collect()
    }

    fn path(&self, number: usize) -> PathBuf {
        String::from_utf8(self.strings().swap_remove(number)).unwrap().into()
    }

    /// The descriptor, its first argument.
    fn descriptor(&self) -> i64 {
        self.args.split([',', ')']).next().unwrap().trim().parse().unwrap_or(-1)
    }

    /// The last number among the arguments.
    fn last(&self) -> u64 {
        self.args.rsplit(',').next().unwrap().trim().parse().unwrap()
    }
}

/// A file that is open.
struct Open {
    inode: Inode,
    at: u64,
    appends: bool,
}

struct Reader<'r> {
    root: &'r Path,
    record: Record,
    names: BTreeMap<Place, Inode>,
    inodes: Inode,
    /// How long each file is, for what is appended.
    lengths: HashMap<Inode, u64>,
    /// Descriptors, and what they stand for; two may stand for the same.
    descriptors: HashMap<i64, usize>,
    opened: Vec<Open>,
}

impl Record {
    /// The files of a data directory just before the node starts, to which `read` adds.
    pub fn of(root: &Path) -> Self {
        let empty = Self {
            ops: Vec::new(),
            before: BTreeMap::new(),
            contents: BTreeMap::new(),
            directories: vec![0],
        };
        let mut reader = Reader::new(root, empty);
        reader.enter(root, 0);
        reader.record.before = reader.names;
        reader.record
    }

    /// Adds what a node that began with these files did to them.
    pub fn read(self, root: &Path, trace: &str) -> Self {
        let mut reader = Reader::new(root, self);
        let mut begun: HashMap<&str, (&str, usize)> = HashMap::new();
        for line in trace.lines() {
            let (thread, rest) = line.split_once(' ').unwrap();
            let rest = rest.trim_start();
            let now = reader.record.ops.len();
            if let Some(text) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, (text, now));
                // The number may be somebody else's before this returns.
                if let Some(number) = text.strip_prefix("close(") {
                    reader.descriptors.remove(&number.trim().parse().unwrap_or(-1));
                }
            } else if rest.starts_with("<... ") {
                let end = rest.split_once(" resumed>").unwrap().1;
                if let Some((text, since)) = begun.remove(thread) {
                    let resumed = !text.starts_with("close(");
                    let whole = format!("{text}{end}");
                    resumed.then(|| reader.line(&whole, since));
                }
            } else {
                reader.line(rest, now);
            }
        }
        reader.record
    }
}

impl<'r> Reader<'r> {
    fn new(root: &'r Path, record: Record) -> Self {
        let (names, inodes) = (record.before.clone(), record.before.len() + 1);
        let lengths = record.contents.iter().map(|(inode, bytes)| (*inode, bytes.len() as u64));
        let lengths = lengths.collect();
        let (descriptors, opened) = (HashMap::new(), Vec::new());
        Self { root, record, names, inodes, lengths, descriptors, opened }
    }

    fn inode(&mut self, directory: bool) -> Inode {
        let inode = self.inodes;
        self.inodes += 1;
        if directory {
            self.record.directories.push(inode);
        }
        inode
    }

    /// Takes in a directory that is there.
    fn enter(&mut self, path: &Path, inode: Inode) {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let directory = entry.file_type().unwrap().is_dir();
            let child = self.inode(directory);
            self.names.insert((inode, entry.file_name().into_string().unwrap()), child);
            if directory {
                self.enter(&entry.path(), child);
            } else {
                self.record.contents.insert(child, fs::read(entry.path()).unwrap());
            }
        }
    }

    /// Where a path is, if it is in the data directory and its directory is known.
    fn place(&self, path: &Path) -> Option<Place> {
        let below = path.strip_prefix(self.root).ok()?;
        let mut names: Vec<String> = below
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_str().unwrap().to_string())
            .collect();
        let last = names.pop()?;
        let mut directory = 0;
        for name in names {
            directory = *self.names.get(&(directory, name))?;
        }
        Some((directory, last))
    }

    fn lookup(&self, path: &Path) -> Option<Inode> {
        if path == self.root {
            return Some(0);
        }
        self.names.get(&self.place(path)?).copied()
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.record.ops.push(Op::Name(naming));
    }

    fn change(&mut self, inode: Inode, change: Change) {
        let length = self.lengths.entry(inode).or_default();
        *length = match &change {
            Change::Write(at, data) => (*length).max(at + data.len() as u64),
            Change::Resize(new) => *new,
        };
        self.record.ops.push(Op::Data(inode, change));
    }

    fn file(&mut self, descriptor: i64) -> Option<&mut Open> {
        self.descriptors.get(&descriptor).map(|number| &mut self.opened[*number])
    }

    fn line(&mut self, line: &str, began: usize) {
        let Some((name, rest)) = line.split_once('(') else {
            return;
        };
        let Some((args, returned)) = rest.rsplit_once(" = ") else {
            return;
        };
        let returned = returned.split(' ').next().unwrap().parse();
        let Ok(returned @ 0..) = returned else {
            return;
        };
        let args = args.trim_end().trim_end_matches(')');
        self.call(&Call { name, args, returned, began });
    }

    fn call(&mut self, call: &Call<'_>) {
        match call.name {
            "openat" => self.open(call),
            "close" => {
                self.descriptors.remove(&call.descriptor());
            }
            "fcntl" if !call.args.contains("F_DUPFD") => {}
            "dup" | "dup2" | "dup3" | "fcntl" => {
                if let Some(number) = self.descriptors.get(&call.descriptor()).copied() {
                    self.descriptors.insert(call.returned, number);
                }
            }
            "write" | "writev" | "pwrite64" | "sendto" => self.write(call),
            "lseek" => {
                if let Some(file) = self.file(call.descriptor()) {
                    file.at = call.returned as u64;
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(inode) = self.file(call.descriptor()).map(|file| file.inode) {
                    self.record.ops.push(Op::Sync(inode, call.began));
                }
            }
            "ftruncate" => {
                if let Some(inode) = self.file(call.descriptor()).map(|file| file.inode) {
                    self.change(inode, Change::Resize(call.last()));
                }
            }
            "mkdir" | "mkdirat" => {
                if let Some(place) = self.place(&call.path(0)) {
                    let inode = self.inode(true);
                    self.name(Naming::Set(place, inode));
                }
            }
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (self.place(&call.path(0)), self.place(&call.path(1)));
                if let (Some(from), Some(to)) = (from, to) {
                    self.name(Naming::Rename(from, to));
                }
            }
            "unlink" | "unlinkat" | "rmdir" => {
                if let Some(place) = self.place(&call.path(0)) {
                    self.name(Naming::Remove(place));
                }
            }
            other => panic!("{other} is not modeled: {}", call.args),
        }
    }

    fn open(&mut self, call: &Call<'_>) {
        self.descriptors.remove(&call.returned);
        let path = call.path(0);
        let has = |flag: &str| call.args.contains(flag);
        let inode = match (self.lookup(&path), self.place(&path)) {
            (Some(inode), _) => inode,
            (None, Some(place)) if has("O_CREAT") => {
                let inode = self.inode(false);
                self.name(Naming::Set(place, inode));
                inode
            }
            _ => return,
        };
        if has("O_TRUNC") {
            self.change(inode, Change::Resize(0));
        }
        self.descriptors.insert(call.returned, self.opened.len());
        self.opened.push(Open { inode, at: 0, appends: has("O_APPEND") });
    }

    fn write(&mut self, call: &Call<'_>) {
        let data = call.strings();
        let data = if call.name == "sendto" { data[..1].concat() } else { data.concat() };
        let data = data[..data.len().min(call.returned as usize)].to_vec();
        let Self { descriptors, opened, lengths, .. } = self;
        let number = descriptors.get(&call.descriptor());
        let Some(file) = number.map(|number| &mut opened[*number]) else {
            if data.windows(PROMISE.len()).any(|window| window == PROMISE) {
                self.record.ops.push(Op::Promise);
            }
            return;
        };
        let inode = file.inode;
        let at = if call.name == "pwrite64" {
            call.last()
        } else {
            if file.appends {
                file.at = lengths.get(&inode).copied().unwrap_or_default();
            }
            file.at += data.len() as u64;
            file.at - data.len() as u64
        };
        self.change(inode, Change::Write(at, data));
    }
}
