//! One golden vector is one text file: `key: value` lines, long values going on over lines that
//! begin with a space. Text, so that a change of format is a readable diff.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use cairn_core::codec::DecodeError;

fn folder(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(kind)
}

/// Why bytes do not decode, the same on every machine: whether postcard itself or only the comparison
/// refuses a padded length depends on the width of `usize`.
pub(crate) fn reason(error: DecodeError) -> String {
    match error {
        DecodeError::Malformed | DecodeError::NotCanonical => {
            "the bytes are not a canonical encoding".into()
        }
        DecodeError::TooLong(..) => error.to_string(),
    }
}

/// Lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    cairn_core::id::Hex(bytes).to_string()
}

/// The bytes of a hex text.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "hex digits come in pairs");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The file for these fields.
pub(crate) fn render(fields: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (key, value) in fields {
        write!(out, "{key}:").unwrap();
        let hex_bytes = *key == "bytes";
        let line = if hex_bytes { 96 } else { usize::MAX };
        for (i, part) in value.as_bytes().chunks(line).enumerate() {
            out.push_str(if i == 0 { " " } else { "\n " });
            out.push_str(std::str::from_utf8(part).unwrap());
        }
        out.push('\n');
    }
    out
}

/// Fields of a file.
pub(crate) type Fields = BTreeMap<String, String>;

fn parse(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut last = String::new();
    for line in text.lines() {
        if let Some(more) = line.strip_prefix(' ') {
            fields.get_mut(&last).unwrap().push_str(more);
        } else {
            let (key, value) = line.split_once(':').unwrap();
            last = key.into();
            fields.insert(last.clone(), value.trim_start().into());
        }
    }
    fields
}

/// Every file of a folder: its name without `.txt`, and its fields.
pub(crate) fn read_all(kind: &str) -> Vec<(String, Fields)> {
    let mut files: Vec<_> = fs::read_dir(folder(kind))
        .unwrap_or_else(|e| panic!("tests/golden/{kind}: {e}; write it with CAIRN_BLESS=1"))
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, parse(&fs::read_to_string(&path).unwrap()))
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "tests/golden/{kind} is empty");
    files
}

/// Compares the folder with what this version makes (name, text). `CAIRN_BLESS=1` writes files that
/// are missing; one that says something else is only replaced by `CAIRN_BLESS=overwrite`.
pub(crate) fn pin(kind: &str, made: &[(&str, String)]) {
    let bless = env::var("CAIRN_BLESS").unwrap_or_default();
    if !bless.is_empty() {
        fs::create_dir_all(folder(kind)).unwrap();
    }
    for (name, text) in made {
        let path = folder(kind).join(name).with_extension("txt");
        if bless == "overwrite" || (!bless.is_empty() && !path.exists()) {
            fs::write(&path, text).unwrap();
        }
        let pinned = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            pinned == *text,
            "tests/golden/{kind}/{name}.txt is\n{pinned}\nbut this version makes\n{text}\n\
             (see tests/golden/README.md before you replace it)"
        );
    }
    let known: Vec<_> = made.iter().map(|(name, _)| *name).collect();
    for (name, _) in read_all(kind) {
        assert!(known.contains(&&*name), "nothing makes {kind}/{name}.txt");
    }
}
