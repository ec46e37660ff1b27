//! Rules for every file: length, a first line that says what it is, no leftovers, no bad names.

use super::{File, Violation};

/// Most lines of a Rust file.
const LINES_MAX: usize = 500;
/// Names that say nothing: what is in such a file belongs where it is used.
const NAMES: [&str; 5] = ["util.rs", "utils.rs", "common.rs", "types.rs", "helpers.rs"];
/// Things that are not finished. Split, so that this file obeys its own rule.
const LEFTOVERS: [&str; 7] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
    concat!("#[ig", "nore"),
];
/// Where things are on somebody's machine.
const PLACES: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Use", "rs/")];

pub(super) fn check(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |line, what| found.push(Violation(file.path.clone(), line, what));
    if file.path.ends_with(".rs") {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if NAMES.contains(&name) {
            report(1, format!("`{name}` does not say what is in it"));
        }
        if !file.text.starts_with("//!") {
            report(1, "does not begin with `//!` and what it is".into());
        }
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            report(LINES_MAX, format!("{lines} lines; at most {LINES_MAX}"));
        }
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        for word in LEFTOVERS.iter().filter(|word| has_word(line, word)) {
            report(number, format!("`{word}` is not finished"));
        }
        for place in PLACES.iter().filter(|place| has_word(line, place)) {
            report(number, format!("`{place}` is a place on one machine"));
        }
    }
    found
}

/// Whether `line` has `word`, not as a part of a longer word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let starts_joined = word.starts_with('/') || word.starts_with(joins);
    let ends_joined = word.ends_with(joins);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined_before = starts_joined && before.is_some_and(|c| joins(c) || c == '.');
        let joined_after = ends_joined && after.is_some_and(joins);
        !joined_before && !joined_after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = File { path: path.into(), text: text.into() };
        let found = check(&file).into_iter();
        found.map(|Violation(_, line, what)| (line, what)).collect()
    }

    #[test]
    fn a_short_documented_file_is_fine() {
        assert_eq!(complaints("a/words.rs", "//! Words.\nfn todos() {}\n"), []);
        assert_eq!(complaints("a/b.md", "the/wo_rk/, a/work/b, ./work/c"), []);
    }

    #[test]
    fn each_rule_is_noticed() {
        let first = |path: &str, text: &str| complaints(path, text).remove(0);
        assert_eq!(first("a/util.rs", "//! A").1, "`util.rs` does not say what is in it");
        assert_eq!(first("a/b.rs", "// A").0, 1);
        let long = "//!\n".repeat(501);
        assert_eq!(first("a/b.rs", &long), (500, "501 lines; at most 500".into()));
        for word in LEFTOVERS {
            let text = format!("//! A\n  {word}(x)]\n");
            assert_eq!(first("a/b.rs", &text), (2, format!("`{word}` is not finished")));
        }
        for place in PLACES {
            let text = format!("cd {place}me");
            assert_eq!(complaints("a.md", &text).len(), 1, "{text}");
        }
    }
}
