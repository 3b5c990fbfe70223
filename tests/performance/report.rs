//! Results for people and for programs.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};
use tallyhouse_tests::bench::machine::Machine;

use crate::figure::Metric;
use crate::rounds::{Group, Row, median};

/// Returns a table of the group for a terminal.
pub(crate) fn text(group: &Group) -> String {
    format!("\n{}: {}\n{}\n", group.name, group.what, table(group, presets::UTF8_FULL_CONDENSED))
}

/// Returns all groups as a page of Markdown.
pub(crate) fn markdown(groups: &[Group], machine: &Machine) -> String {
    let mut page = format!("Medians of all rounds, least and most in parentheses. {}.\n", machine.line());
    for group in groups {
        let table = table(group, presets::ASCII_MARKDOWN);
        write!(page, "\n**{}**: {}\n\n{table}\n", group.name, group.what).expect("a string takes all");
    }
    page
}

/// Returns every figure of every round.
pub(crate) fn json(groups: &[Group], machine: &Machine) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|group| {
            let rows: Vec<Value> = group.rows.iter().map(|row| row_json(group, row)).collect();
            json!({"name": group.name, "what": group.what, "rows": rows})
        })
        .collect();
    json!({"machine": machine.json(), "groups": groups})
}

fn row_json(group: &Group, row: &Row) -> Value {
    let (mains, others) = group.metrics();
    let figures = mains.into_iter().chain(others).filter_map(|metric| {
        let all = row.all(metric);
        let (middle, least, most) = median(&all)?;
        Some((metric.heading.to_owned(), json!({"median": middle, "least": least, "most": most, "rounds": all})))
    });
    let figures: Map<String, Value> = figures.collect();
    let ratio =
        median(&row.ratios).map(|(middle, least, most)| json!({"median": middle, "least": least, "most": most}));
    json!({"name": row.name, "figures": figures, "ofFloor": ratio})
}

fn table(group: &Group, preset: &str) -> Table {
    let (mains, others) = group.metrics();
    let compared = group.rows.iter().any(|row| !row.ratios.is_empty());
    let mut table = Table::new();
    table.load_preset(preset);
    let headings = |metrics: &[Metric]| metrics.iter().map(|metric| metric.heading.to_owned()).collect::<Vec<_>>();
    let mut head = vec!["way".to_owned()];
    head.extend(headings(&mains));
    head.extend(compared.then(|| "of its floor".to_owned()));
    head.extend(headings(&others));
    table.set_header(head);
    for row in &group.rows {
        // Least and most only of the main figures: a table of all would be none to read.
        let cells = |metrics: &[Metric], with_range| {
            metrics.iter().map(|metric| cell(&row.all(*metric), metric.digits, with_range)).collect::<Vec<_>>()
        };
        let mut line = vec![row.name.clone()];
        line.extend(cells(&mains, true));
        line.extend(compared.then(|| cell(&row.ratios, 2, true)));
        line.extend(cells(&others, false));
        table.add_row(line);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cell(figures: &[f64], digits: usize, with_range: bool) -> String {
    match median(figures) {
        None => String::new(),
        Some((middle, least, most)) if with_range && figures.len() > 1 => {
            format!("{} ({}–{})", grouped(middle, digits), grouped(least, digits), grouped(most, digits))
        }
        Some((middle, ..)) => grouped(middle, digits),
    }
}

/// Writes a number with a comma between thousands.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        let left = whole.len() - n;
        if n > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}
