//! The main figures as bars, in one picture.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Color as _, DrawingArea, ErrorBar, IntoDrawingArea as _, IntoFont as _, RGBColor, Rectangle,
    SVGBackend, WHITE,
};
use plotters::style::{BLACK, TextStyle};

use crate::rounds::{Group, Row, median};

const WIDTH: u32 = 1_000;
const BAR_HEIGHT: u32 = 26;
/// Title and axis of a panel.
const FRAME_HEIGHT: u32 = 90;
const NAMES_WIDTH: u32 = 330;
const OURS: RGBColor = RGBColor(38, 110, 184);
const FLOOR: RGBColor = RGBColor(176, 176, 176);

/// Draws a panel for each group: the medians as bars, floors in grey, and a line from least to most.
pub(crate) fn draw(groups: &[Group], file: &Path) -> Result<()> {
    let heights: Vec<u32> = groups.iter().map(height).collect();
    let root = SVGBackend::new(file, (WIDTH, heights.iter().sum())).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("drawing {}: {error}", file.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut rest = root.clone();
    for (group, height) in groups.iter().zip(heights) {
        let (panel, below) = rest.split_vertically(height);
        draw_group(group, &panel).map_err(|error| failed(&error))?;
        rest = below;
    }
    root.present().map_err(|error| failed(&error))
}

fn height(group: &Group) -> u32 {
    FRAME_HEIGHT + BAR_HEIGHT * u32::try_from(group.rows.len()).unwrap_or(u32::MAX)
}

fn draw_group(group: &Group, panel: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", group.name);
    let heading = group.metrics().0.first().map_or("", |metric| metric.heading);
    let mains: Vec<(f64, f64, f64)> = group.rows.iter().map(|row| median(&row.mains()).unwrap_or_default()).collect();
    let most = mains.iter().map(|(_, _, most)| *most).fold(f64::MIN_POSITIVE, f64::max);
    let rows = group.rows.len();
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("{}, {heading}", group.name), ("sans-serif", 18))
        .margin(8)
        .margin_right(30)
        .set_label_area_size(plotters::prelude::LabelAreaPosition::Left, NAMES_WIDTH)
        .x_label_area_size(28)
        .build_cartesian_2d(0.0..most * 1.05, 0.0..rows as f64)
        .map_err(|error| failed(&error))?;
    let label = |number: &f64| format!("{number}");
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().y_labels(0).x_labels(6).x_label_formatter(&label);
    mesh.draw().map_err(|error| failed(&error))?;
    for (n, (row, (middle, least, most))) in group.rows.iter().zip(mains).enumerate() {
        // The first row is the upper one.
        let at = (rows - n) as f64 - 0.5;
        let color = if is_floor(row) { FLOOR } else { OURS };
        let bar = Rectangle::new([(0.0, at - 0.35), (middle, at + 0.35)], color.filled());
        chart.draw_series([bar]).map_err(|error| failed(&error))?;
        let line = ErrorBar::new_horizontal(at, least, middle, most, BLACK.filled(), 6);
        chart.draw_series([line]).map_err(|error| failed(&error))?;
        let (_, y) = chart.backend_coord(&(0.0, at));
        let (_, top) = panel.get_base_pixel();
        let style = TextStyle::from(("sans-serif", 13).into_font());
        panel.draw_text(&row.name, &style, (12, y - top - 7)).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Says by its name whether a row is of a program that does no more than it must.
fn is_floor(row: &Row) -> bool {
    ["bare: ", "warp alone"].iter().any(|floor| row.name.starts_with(floor))
}
