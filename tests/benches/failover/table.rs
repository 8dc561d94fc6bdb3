//! The table, for people.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cases::{Case, Outcome, median};

const BEGIN: &str = "<!-- recovery times: begin (make bench-failover) -->";
const END: &str = "<!-- recovery times: end -->";

pub fn render(rows: &[(Case, Vec<Outcome>)], runs: usize) -> String {
    let mut text = String::from(
        "| What happens | first part from whoever goes on, after | longest wait for a part | a player stands still for |\n\
         | --- | --- | --- | --- |\n",
    );
    for (case, outcomes) in rows {
        let of = |what: fn(&Outcome) -> f64| spread(outcomes.iter().map(what).collect());
        let first = outcomes.iter().filter_map(|outcome| outcome.first_part).collect::<Vec<_>>();
        let first = if first.is_empty() { "nobody has to".to_owned() } else { spread(first) };
        let wait = of(|outcome| outcome.longest_wait);
        let stall = of(|outcome| outcome.stall);
        let _ = writeln!(text, "| {} | {first} | {wait} | {stall} |", case.title());
    }
    let usual =
        median(rows.iter().flat_map(|(_, outcomes)| outcomes).map(|outcome| outcome.usual_wait).collect());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let _ = writeln!(
        text,
        "\nMilliseconds: median (least–most) of {runs} runs each, {build} build, {cores} cores that all services, the encoder \
         and the measuring share. The usual wait from part to part is {:.0} ms.",
        usual * 1_000.0
    );
    text
}

fn spread(values: Vec<f64>) -> String {
    let ends = values
        .iter()
        .copied()
        .fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)));
    format!("{:.0} ({:.0}–{:.0})", median(values) * 1_000.0, ends.0 * 1_000.0, ends.1 * 1_000.0)
}

/// Puts the table between the two markers of the document.
pub fn write(document: &Path, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no {BEGIN} in it"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no {END} in it"))?;
    Ok(std::fs::write(document, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?)
}
