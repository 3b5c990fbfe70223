//! Rounds in which all ways of a group take turns, so that what disturbs the machine disturbs them alike.

use anyhow::{Context as _, Result};

use crate::figure::{Figures, Metric};

/// One of the ways that are compared.
pub(crate) struct Way<'a> {
    /// What it is.
    pub(crate) name: String,
    /// The name of the way that does no more than it must, to which this one is compared.
    pub(crate) floor: Option<String>,
    /// Measures it once; the number is that of the round.
    pub(crate) run: Box<dyn FnMut(usize) -> Result<Figures> + 'a>,
}

impl<'a> Way<'a> {
    /// A way without a floor, or a floor.
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut(usize) -> Result<Figures> + 'a) -> Self {
        Self { name: name.into(), floor: None, run: Box::new(run) }
    }

    /// Compares it with the way of that name.
    pub(crate) fn over(self, floor: impl Into<String>) -> Self {
        Self { floor: Some(floor.into()), ..self }
    }
}

/// What became of a group of ways.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in one sentence.
    pub(crate) what: String,
    /// The ways.
    pub(crate) rows: Vec<Row>,
}

/// What became of one way.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What it is.
    pub(crate) name: String,
    /// Figures of every round.
    pub(crate) rounds: Vec<Figures>,
    /// The main figure as a part of the floor's, round by round; empty without a floor.
    pub(crate) ratios: Vec<f64>,
}

/// Measures all ways, `rounds` times in turn.
pub(crate) fn measure(name: &'static str, what: impl Into<String>, rounds: usize, ways: Vec<Way<'_>>) -> Result<Group> {
    let mut ways = ways;
    let mut rows: Vec<Row> =
        ways.iter().map(|way| Row { name: way.name.clone(), rounds: Vec::new(), ratios: Vec::new() }).collect();
    for round in 0..rounds {
        for (way, row) in ways.iter_mut().zip(&mut rows) {
            eprintln!("{name}: round {} of {rounds}: {}", round + 1, way.name);
            row.rounds.push((way.run)(round).with_context(|| format!("{name}: {}", way.name))?);
        }
    }
    let mut group = Group { name, what: what.into(), rows };
    let floors: Vec<Option<String>> = ways.into_iter().map(|way| way.floor).collect();
    group.compare(&floors)?;
    Ok(group)
}

impl Group {
    /// Compares each row with the one whose name stands in its place.
    pub(crate) fn compare(&mut self, floors: &[Option<String>]) -> Result<()> {
        let mains: Vec<(String, Vec<f64>)> = self.rows.iter().map(|row| (row.name.clone(), row.mains())).collect();
        for (row, floor) in self.rows.iter_mut().zip(floors) {
            let Some(floor) = floor else { continue };
            let (_, floors) =
                mains.iter().find(|(name, _)| name == floor).with_context(|| format!("no way {floor}"))?;
            row.ratios = row.mains().iter().zip(floors).map(|(ours, floor)| ours / floor).collect();
        }
        Ok(())
    }

    /// Returns the main metrics of all rows, and the others: in the order of the row that has most.
    pub(crate) fn metrics(&self) -> (Vec<Metric>, Vec<Metric>) {
        let mut rows: Vec<&Figures> = self.rows.iter().filter_map(|row| row.rounds.first()).collect();
        let (mut mains, mut others) = (Vec::new(), Vec::new());
        for (metric, _) in rows.iter().filter_map(|figures| figures.first()) {
            if !mains.contains(metric) {
                mains.push(*metric);
            }
        }
        rows.sort_by_key(|figures| std::cmp::Reverse(figures.len()));
        for (metric, _) in rows.into_iter().flatten() {
            if !mains.contains(metric) && !others.contains(metric) {
                others.push(*metric);
            }
        }
        (mains, others)
    }
}

impl Row {
    /// Returns the main figure of every round.
    pub(crate) fn mains(&self) -> Vec<f64> {
        self.rounds.iter().filter_map(|figures| figures.first()).map(|(_, figure)| *figure).collect()
    }

    /// Returns a figure of every round that has it.
    pub(crate) fn all(&self, metric: Metric) -> Vec<f64> {
        let find = |figures: &Figures| figures.iter().find(|(found, _)| *found == metric).map(|(_, figure)| *figure);
        self.rounds.iter().filter_map(find).collect()
    }
}

/// Returns the one in the middle, the least and the most; none of none.
pub(crate) fn median(figures: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some((*sorted.get(sorted.len() / 2)?, *sorted.first()?, *sorted.last()?))
}
