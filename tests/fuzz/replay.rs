//! Every file of the corpus and every golden vector through the fuzz targets, on any toolchain.
//! What a fuzzer ever found stays in the corpus, so it stays found.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use support::fuzz::{TARGETS, finish, run};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Runs a target on a file; the name of the file is printed where the target panics.
fn replay(target: &str, file: &Path) {
    struct Name<'a>(&'a Path);
    impl Drop for Name<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("it was {}", self.0.display());
            }
        }
    }
    let _name = Name(file);
    run(target, &fs::read(file).unwrap());
}

#[test]
fn every_input_of_the_corpus_keeps_every_promise() {
    for (target, _) in TARGETS {
        files(&corpus(target)).iter().for_each(|file| replay(target, file));
    }
    finish();
}

#[test]
fn a_corpus_is_of_a_target_that_exists() {
    for folder in files(&corpus("")) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name}");
    }
}
