//! Rules for documents: links lead somewhere, decisions are numbered without gaps.

use super::{File, Violation};

/// Checks that relative links of a Markdown file exist; `exists` takes a path from the root.
pub(super) fn check(file: &File, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains(':') {
                continue;
            }
            if !join(folder, path).is_some_and(|path| exists(&path)) {
                let what = format!("the link `{target}` leads nowhere");
                found.push(Violation(file.path.clone(), number, what));
            }
        }
    }
    found
}

/// Targets of the inline links in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(at, open)| {
        let rest = &line[at + open.len()..];
        rest.split([')', ' ']).next()
    })
}

/// `path` seen from `folder`; none if it leaves the repository.
fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Checks that the decisions in `docs/adr` are numbered 1, 2, 3, ….
pub(super) fn decisions(files: &[File]) -> Vec<Violation> {
    let numbered = files.iter().filter_map(|file| {
        let name = file.path.strip_prefix("docs/adr/")?;
        let number: usize = name.split_once('-')?.0.parse().ok()?;
        Some((file, name, number))
    });
    (1..)
        .zip(numbered)
        .filter(|(expected, (_, name, number))| {
            expected != number || !name.starts_with(&format!("{expected:04}-"))
        })
        .map(|(expected, (file, ..))| {
            Violation(file.path.clone(), 1, format!("should be number {expected:04}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn relative_links_are_followed_and_others_left_alone() {
        let text = "[a](../b.md#part) [w](https://example.org) [h](#here)\n```\n[x](none)\n```\n\
                    [c](none.md \"title\") and [d](../../out)";
        let found = check(&file("docs/a.md", text), |path| path == "b.md");
        let lines: Vec<_> = found.iter().map(|v| (v.1, v.2.as_str())).collect();
        assert_eq!(
            lines,
            [(5, "the link `none.md` leads nowhere"), (5, "the link `../../out` leads nowhere")]
        );
    }

    #[test]
    fn decisions_have_no_gaps_and_no_repeats() {
        let names = |names: &[&str]| {
            let files: Vec<_> =
                names.iter().map(|name| file(&format!("docs/adr/{name}"), "")).collect();
            decisions(&files).len()
        };
        assert_eq!(names(&["0001-a.md", "0002-b.md", "README.md", "template.md"]), 0);
        assert_eq!(names(&["0001-a.md", "0003-b.md"]), 1);
        assert_eq!(names(&["0001-a.md", "0001-b.md"]), 1);
        assert_eq!(names(&["001-a.md"]), 1);
    }
}
