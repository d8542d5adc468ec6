//! Writes the report of a made-up run, to look at what an operator gets:
//!
//!     cargo run --example report -- html slowing 200 > report.html
//!
//! `text` or `html`; `run`, `slowing`, `running` or `failed`; and how many batches.

#[path = "../src/report/sample.rs"]
mod sample;

// What sample.rs names as its neighbours.
use lrs_extract::report::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |n: usize, default| arguments.get(n).map_or(default, String::as_str);
    let batches = argument(2, "200").parse().ok().filter(|batches| *batches > 0);
    let (Some(format), Some(batches)) = (Format::parse(argument(0, "text")), batches) else {
        eprintln!("usage: report text|html run|slowing|running|failed BATCHES");
        std::process::exit(2);
    };
    let facts = match argument(1, "slowing") {
        "run" => sample::run(batches),
        "running" => sample::running(batches, 0.6),
        "failed" => sample::failed(batches, 0.6),
        _ => sample::slowing(batches),
    };
    print!("{}", render(&facts, format));
}
