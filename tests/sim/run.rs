//! `cairn-sim`: plays many seeds of the torture, or replays one. `cargo xtask sim` runs it.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::scale::{Measured, measure};
use support::torture::{Options, Report, draw, play, run, shrink, try_play};

const HELP: &str = "\
cairn-sim [--seeds N] [--minutes M] [--from S] [--nodes K] [--threads T]
          [--first-failure]
cairn-sim --replay S [--nodes K] [--verbose]
cairn-sim --shrink S [--nodes K]
cairn-sim --scale 10,100,1000
";

#[derive(Default)]
struct Args {
    seeds: Option<u64>,
    minutes: Option<u64>,
    from: Option<u64>,
    nodes: Option<usize>,
    threads: Option<usize>,
    replay: Option<u64>,
    shrink: Option<u64>,
    scale: Vec<usize>,
    verbose: bool,
    first_failure: bool,
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut parsed = Args::default();
    while let Some(flag) = args.next() {
        if flag == "--verbose" {
            parsed.verbose = true;
            continue;
        }
        if flag == "--first-failure" {
            parsed.first_failure = true;
            continue;
        }
        let value = args.next().ok_or(format!("{flag} needs a number"))?;
        if flag == "--scale" {
            let sizes: Result<_, _> = value.split(',').map(str::parse).collect();
            parsed.scale = sizes.map_err(|_| format!("{flag} {value}: not numbers"))?;
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{flag} {value}: not a number"))?;
        match flag.as_str() {
            "--seeds" => parsed.seeds = Some(number),
            "--minutes" => parsed.minutes = Some(number),
            "--from" => parsed.from = Some(number),
            "--nodes" => parsed.nodes = Some(number as usize),
            "--threads" => parsed.threads = Some(number as usize),
            "--replay" => parsed.replay = Some(number),
            "--shrink" => parsed.shrink = Some(number),
            _ => return Err(format!("no such option: {flag}")),
        }
    }
    Ok(parsed)
}

/// Seeds that nobody has played yet, most likely.
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() * 1_000_000
}

fn many(args: &Args) -> Report {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let from = args.from.unwrap_or_else(|| if args.minutes.is_some() { fresh() } else { 0 });
    let options = Options {
        from,
        seeds: args.seeds.unwrap_or(if args.minutes.is_some() { 0 } else { 100 }),
        span: Duration::from_secs(60 * args.minutes.unwrap_or(0)),
        nodes: args.nodes,
        threads: args.threads.unwrap_or(cores),
        first_failure: args.first_failure,
    };
    let nodes = args.nodes.map(|nodes| format!(" --nodes {nodes}")).unwrap_or_default();
    run(&options, |seed, message| {
        eprintln!("\nseed {seed} failed: {message}");
        eprintln!("replay it: cargo xtask sim --replay {seed}{nodes}");
    })
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprint!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout();
    if let Some(seed) = args.replay {
        let scenario = draw(seed, args.nodes);
        eprintln!("{scenario}\n");
        let played = play(&scenario, args.verbose);
        let written = writeln!(out, "seed {seed} holds: {} events", played.tally.events);
        return ExitCode::from(u8::from(written.is_err()));
    }
    if let Some(seed) = args.shrink {
        let small = shrink(&draw(seed, args.nodes));
        eprintln!("{small}\n");
        return match try_play(&small) {
            Ok(_) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{message}\n");
                if args.verbose {
                    play(&small, true);
                }
                ExitCode::FAILURE
            }
        };
    }
    if !args.scale.is_empty() {
        let mut written = writeln!(out, "{}", Measured::HEAD);
        for nodes in args.scale {
            written = written.and_then(|()| writeln!(out, "{}", measure(nodes, 1)));
        }
        return ExitCode::from(u8::from(written.is_err()));
    }
    let report = many(&args);
    let written = write!(out, "{report}");
    ExitCode::from(u8::from(written.is_err() || !report.failed.is_empty()))
}
