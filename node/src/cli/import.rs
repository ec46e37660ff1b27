//! `import`: every line of a file becomes a record signed by this node.
//!
//! The file is streamed; the node takes lines only as fast as it makes them durable. A line that
//! this node has written before is a duplicate: same topic, type and content by the same author.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Args;

use super::output::{field, list};
use super::{Context, Outcome};
use crate::problem::Problem;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// A file of JSON lines, each with `topic` and `text` or `base64`; `-` is stdin
    file: PathBuf,
}

pub(super) fn run(args: &ImportArgs, context: &Context) -> Outcome {
    let client = context.client()?;
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let (source, length): (Box<dyn Read>, _) = if args.file.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let file = File::open(&args.file);
        let file = file.map_err(|error| Problem::file("cannot open", &args.file, &error))?;
        let length = file.metadata().ok().map(|metadata| metadata.len());
        (Box::new(file), length)
    };
    let bar = context.out.bar(length, template);
    let done = client.post_lines("/v1/facts/batch", &mut bar.wrap_read(source));
    bar.finish_and_clear();
    let done = done?;
    context.out.data(&done, |done| {
        let count = |name: &str| field(done, &format!("/{name}"));
        format!(
            "{} accepted, {} duplicate, {} refused, {} skipped; durable",
            count("accepted"),
            count("duplicate"),
            count("refused"),
            count("skipped"),
        )
    })?;
    for error in list(&done, "errors") {
        context.out.say(format!("line {}: {}", field(error, "/line"), field(error, "/message")));
    }
    Ok(u8::from(done["refused"].as_u64() > Some(0)))
}
