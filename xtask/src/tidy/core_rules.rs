//! Rules for core: nothing of the outside world in it, and lower layers never name higher ones.
//!
//! Layers are the `// N · name` lines of `core/src/lib.rs`, each followed by its modules. Tests are
//! exempt from the second rule, and so is `testing` (builders for tests); from the first is nothing.

use std::collections::BTreeMap;

use super::source::has_word;
use super::{File, Violation};

/// What core has no business with: it would be std, a clock, a thread, or not deterministic.
const OUTSIDE: [&str; 7] = ["std::", "async fn", "SystemTime", "thread::", "HashMap", "f32", "f64"];

pub(super) fn check(files: &[File]) -> Vec<Violation> {
    let path = |file: &File| file.path.strip_prefix("core/src/").map(str::to_owned);
    let lib = files.iter().find(|file| file.path == "core/src/lib.rs");
    let layers = lib.map(|file| layers(&file.text)).unwrap_or_default();
    let mut found = Vec::new();
    for file in files {
        let Some(inner) = path(file) else {
            continue;
        };
        for (number, line) in (1..).zip(file.text.lines().map(without_comment)) {
            for word in OUTSIDE.iter().filter(|word| has_word(line, word)) {
                let what = format!("`{word}` has no place in core");
                found.push(Violation(file.path.clone(), number, what));
            }
        }
        if is_test(&inner) {
            continue;
        }
        let code = code_lines(&file.text);
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        let Some(layer) = layers.get(module) else {
            continue;
        };
        if module == "testing" {
            continue;
        }
        for (number, named) in named_modules(&code) {
            if let Some(above) = layers.get(&named).filter(|above| *above > layer) {
                let what = format!("`{module}` (layer {layer}) names `{named}` (layer {above})");
                found.push(Violation(file.path.clone(), number, what));
            }
        }
    }
    found
}

/// Whether a file holds nothing but tests: `x/tests.rs`, or anything in a folder `tests`.
fn is_test(inner: &str) -> bool {
    inner.ends_with("tests.rs") || inner.contains("/tests/")
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Layer of each module.
fn layers(lib: &str) -> BTreeMap<String, u32> {
    let mut layers = BTreeMap::new();
    let mut layer = 0;
    for line in lib.lines() {
        let number = line.strip_prefix("// ").and_then(|rest| rest.split_once(" · "));
        if let Some(number) = number.and_then(|(number, _)| number.parse().ok()) {
            layer = number;
        }
        let module = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ");
        if let Some(name) = module.and_then(|rest| rest.strip_suffix(';')) {
            layers.insert(name.to_owned(), layer);
        }
    }
    layers
}

/// Numbered lines without comments and without what is `#[cfg(test)]`. The end of a test module is
/// the brace at its own depth: rustfmt sees to that.
fn code_lines(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            out.push((number, without_comment(line)));
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let item = lines.find(|(_, line)| !line.trim_start().starts_with("#["));
        if item.is_some_and(|(_, line)| line.ends_with('{')) {
            lines.find(|(_, line)| {
                line.trim_start() == "}" && line.len() - line.trim_start().len() == depth
            });
        }
    }
    out
}

/// Modules named by `crate::x` or `crate::{x, y::z}`, each with its line.
fn named_modules(code: &[(usize, &str)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (i, (number, line)) in code.iter().enumerate() {
        for (at, open) in line.match_indices("crate::") {
            let rest = &line[at + open.len()..];
            if !rest.starts_with('{') {
                found.push((*number, word(rest)));
                continue;
            }
            let later = code[i + 1..].iter().map(|(_, line)| *line);
            let group: String = std::iter::once(rest).chain(later).collect();
            found.extend(heads(&group).into_iter().map(|name| (*number, name)));
        }
    }
    found
}

/// The first names inside `{…}`: `a` and `c` of `{a::{b}, c}`.
fn heads(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0_u32, false);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' | ' ' => {}
            _ if depth == 1 && fresh => names.push(word(&group[at..])),
            _ => {}
        }
        fresh = matches!(c, ',') || (fresh && c == ' ') || (c == '{' && depth == 1);
        if depth == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! L\n// 1 · words\npub mod id;\n// 2 · bytes\npub mod hash;\nmod codec;\n\
                       // 6 · face (x)\npub mod engine;\n";

    fn complaints(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [file("core/src/lib.rs", LIB), file(path, text)];
        let found = check(&files).into_iter();
        found.map(|Violation(_, line, what)| format!("{line}: {what}")).collect()
    }

    #[test]
    fn a_higher_layer_may_be_named_by_no_lower_one() {
        let up = "//! A\nuse crate::hash::Tag;\n";
        assert_eq!(complaints("core/src/id.rs", up), ["2: `id` (layer 1) names `hash` (layer 2)"]);
        let group = "use crate::{id::Id, engine::{\n    hash,\n}};\n";
        assert_eq!(
            complaints("core/src/codec/deep.rs", group),
            ["1: `codec` (layer 2) names `engine` (layer 6)"]
        );
        assert_eq!(complaints("core/src/engine/mod.rs", up), Vec::<String>::new());
        assert_eq!(complaints("core/src/codec.rs", up), Vec::<String>::new());
    }

    #[test]
    fn the_outside_world_is_noticed_also_in_tests_but_not_in_comments() {
        for word in OUTSIDE {
            let text = format!("//! A\nlet x = {word}Foo;\n");
            let text = text.replace("f32F", "f32 F").replace("f64F", "f64 F");
            let text = text.replace("fnF", "fn F").replace("MapF", "Map F").replace("eF", "e F");
            assert_eq!(complaints("core/src/id.rs", &text).len(), 1, "{word}");
            assert_eq!(complaints("node/src/id.rs", &text).len(), 0);
        }
        let tests = "//! A, not std::x\n#[cfg(test)]\nmod tests {\n    use std::x;\n}\nf64\n";
        let both = ["4: `std::` has no place in core", "6: `f64` has no place in core"];
        assert_eq!(complaints("core/src/id.rs", tests), both);
        assert_eq!(complaints("core/src/id/tests.rs", tests), both);
    }

    #[test]
    fn tests_may_name_any_layer() {
        let tests = "//! A\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    use crate::hash::Tag;\n\
                     \x20   fn f() {\n    }\n}\nuse crate::engine::X;\n";
        assert_eq!(
            complaints("core/src/id.rs", tests),
            ["9: `id` (layer 1) names `engine` (layer 6)"]
        );
        assert_eq!(complaints("core/src/id/tests.rs", tests), Vec::<String>::new());
    }
}
