//! What is printed: data on stdout, messages on stderr, one JSON document under `--json`.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{Global, terminal};
use crate::problem::{Code, Problem};

/// How to print.
pub(super) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    bars: bool,
}

fn closed(error: &io::Error) -> Problem {
    Problem::new(
        Code::Failed,
        format!("the output was closed: {error}"),
        "check where the output goes",
    )
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let shown = io::stderr().is_terminal() && !global.quiet;
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            color: io::stdout().is_terminal() && !no_color,
            bars: shown && !global.no_progress,
        }
    }

    /// For errors before the flags are known.
    pub(super) const fn json_only() -> Self {
        Self { json: true, quiet: true, verbose: false, color: false, bars: false }
    }

    pub(super) const fn json(&self) -> bool {
        self.json
    }

    /// Whether the screen may be cleared and colored.
    pub(super) const fn color(&self) -> bool {
        self.color
    }

    /// One line of data.
    pub(super) fn line(&self, text: impl Display) -> Result<(), Problem> {
        writeln!(io::stdout().lock(), "{text}").map_err(|error| closed(&error))
    }

    /// The data of a command: the document, or what `text` makes of it.
    pub(super) fn data(
        &self,
        document: &Value,
        text: impl FnOnce(&Value) -> String,
    ) -> Result<(), Problem> {
        if self.json { self.line(document) } else { self.line(text(document).trim_end()) }
    }

    /// A message for people.
    pub(super) fn say(&self, text: impl Display) {
        if !self.quiet {
            // Nobody is there to be told that stderr is closed.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// A message that must not be missed, also by those who asked for quiet.
    pub(super) fn warn(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A message for those who asked for more.
    pub(super) fn detail(&self, text: impl Display) {
        if self.verbose {
            self.say(text);
        }
    }

    /// What went wrong.
    pub(super) fn problem(&self, problem: &Problem) {
        if self.json {
            let document = json!({
                "schema": "cairn.error/1",
                "code": problem.code.name(),
                "message": problem.message,
                "hint": problem.hint,
            });
            let _ = self.line(document);
            return;
        }
        let message = terminal::line(&problem.message);
        let hint = terminal::line(&problem.hint);
        let mut stderr = io::stderr().lock();
        let _ = writeln!(stderr, "error: {message}");
        if !hint.is_empty() {
            let _ = writeln!(stderr, "  next: {hint}");
        }
    }

    /// A word in a color, where there are colors. `code` is the SGR number.
    pub(super) fn paint(&self, code: u8, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.into() }
    }

    /// A progress bar on stderr; invisible unless that is a terminal.
    pub(super) fn bar(&self, length: Option<u64>, template: &str) -> ProgressBar {
        let target =
            if self.bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}

/// A table for people: one header, rows of harmless text.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
    lines.join("\n")
}

/// A field as harmless text: strings bare, null as a dash.
pub(super) fn field(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        None | Some(Value::Null) => "–".into(),
        Some(Value::String(text)) => terminal::line(text),
        Some(other) => other.to_string(),
    }
}

/// A field of milliseconds since the epoch as a date.
pub(super) fn time_field(value: &Value, path: &str) -> String {
    let millis = value.pointer(path).and_then(Value::as_u64);
    millis.map_or_else(|| "–".into(), terminal::time)
}

/// The beginning of an id, long enough to be given back to a command.
pub(super) fn short(value: &Value, path: &str) -> String {
    let text = field(value, path);
    match text.strip_prefix("cairn1") {
        Some(rest) => format!("cairn1{}", rest.chars().take(8).collect::<String>()),
        None => text.chars().take(12).collect(),
    }
}

/// The list under a name.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_harmless_and_nulls_are_dashes() {
        let document = json!({"a": "x\u{1b}y", "b": null, "c": 3, "id": "cairn1qqqqqqqqqqqqqqqq"});
        assert_eq!(field(&document, "/a"), "xy");
        assert_eq!(field(&document, "/b"), "–");
        assert_eq!(field(&document, "/c"), "3");
        assert_eq!(short(&document, "/id"), "cairn1qqqqqqqq");
    }

    #[test]
    fn tables_have_one_line_a_row() {
        let text = table(&["a", "b"], [vec!["1".into(), "2".into()]]);
        assert_eq!(text.lines().count(), 2);
    }
}
