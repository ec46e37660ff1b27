//! `cargo xtask tidy`: the rules of the house that no compiler checks. It is a test as well, so
//! that nobody meets it first in CI.
//!
//! A rule takes text and returns what is wrong; only this file reads the disk.

mod core_rules;
mod links;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use crate::no_args;
use crate::process::{Failure, root};

/// A file that people write: its path from the root, with `/`, and its text.
pub(crate) struct File {
    path: String,
    text: String,
}

/// Something against a rule: file, line (from 1), what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation(String, usize, String);

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    no_args("tidy", args)?;
    let files = read_all(root());
    let found = check(root(), &files);
    for Violation(path, line, what) in &found {
        eprintln!("{path}:{line}: {what}");
    }
    if found.is_empty() {
        eprintln!("{} files are tidy", files.len());
        return Ok(());
    }
    Err(Failure::new(
        format!("tidy: {} places against the rules", found.len()),
        "each is named above",
        "mend them, then cargo xtask tidy",
    ))
}

fn check(root: &Path, files: &[File]) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in files {
        found.extend(source::check(file));
        if file.path.ends_with(".md") {
            found.extend(links::check(file, |path| root.join(path).exists()));
        }
    }
    found.extend(core_rules::check(files));
    found.extend(links::decisions(files));
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        if !root.join(license).is_file() {
            found.push(Violation(license.into(), 1, "the file is missing".into()));
        }
    }
    found
}

/// Everything that people write: text files outside build directories.
fn read_all(root: &Path) -> Vec<File> {
    const KINDS: [&str; 8] = ["rs", "md", "toml", "x", "sh", "yml", "html", "js"];
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if name != "target" && name != ".git" && name != "node_modules" {
                    folders.push(path);
                }
                continue;
            }
            let kind = path.extension().map(|kind| kind.to_string_lossy());
            let written = kind.is_some_and(|kind| KINDS.contains(&&*kind));
            if !written && path != Path::new(".ci/run") {
                continue;
            }
            if let Ok(text) = fs::read_to_string(root.join(&path)) {
                let path = path.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let files = read_all(root());
        assert!(files.iter().any(|file| file.path == "core/src/lib.rs"));
        assert_eq!(check(root(), &files), []);
    }
}
