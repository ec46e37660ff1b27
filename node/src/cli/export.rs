//! `export`: every fact in order of arrival, one `fact get` document a line, streamed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::output::field;
use super::{Context, Outcome};
use crate::problem::{Code, Problem};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// How to write it
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Where to write it [default: stdout]; only a whole export replaces a file
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
}

pub(super) fn run(args: &ExportArgs, context: &Context) -> Outcome {
    let Format::Jsonl = args.format;
    let stream = BufReader::new(context.client()?.stream("/v1/export")?);
    let Some(path) = &args.output else {
        let count = copy(stream, BufWriter::new(io::stdout().lock()), Path::new("stdout"))?;
        context.out.detail(format!("{count} facts"));
        return Ok(0);
    };
    let partial = path.with_added_extension("partial");
    let failed = |error| Problem::file("cannot write", path, &error);
    let file = File::create(&partial).map_err(failed)?;
    let count = copy(stream, BufWriter::new(&file), path)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)?;
    let document = json!({
        "schema": "cairn.export/1", "facts": count, "file": path.display().to_string(),
    });
    context.out.data(&document, |document| {
        format!("{} facts written to {}", field(document, "/facts"), path.display())
    })?;
    Ok(0)
}

/// Copies lines until the node says that it was all; the last line tells how many there were.
fn copy(mut from: impl io::BufRead, mut to: impl Write, path: &Path) -> Result<u64, Problem> {
    let (mut line, mut count) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = from.read_until(b'\n', &mut line).map_err(|error| {
            let message = format!("the export broke off after {count} facts: {error}");
            Problem::new(Code::Failed, message, "run: cairn status")
        })?;
        if read == 0 {
            break;
        }
        to.write_all(&line).map_err(|error| Problem::file("cannot write", path, &error))?;
        count += 1;
    }
    to.flush().map_err(|error| Problem::file("cannot write", path, &error))?;
    Ok(count)
}
