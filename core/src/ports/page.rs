//! Pages of a reader: how large they may become in bytes. Rows differ in size by a factor of a hundred.

use std::sync::Arc;

use crate::outcome::StoredRecord;
use crate::record::text::{DestinationId, Reference};
use crate::summary::Summary;

/// The weight that ends a page, in bytes. A page of 1,000 usual records weighs less.
pub const PAGE_WEIGHT_MAX: usize = 4 * 1024 * 1024;

/// A row of a page.
pub trait Weigh {
    /// Returns about how many bytes the row takes in memory, and about as many in JSON.
    fn weight(&self) -> usize;
}

impl Weigh for StoredRecord {
    fn weight(&self) -> usize {
        Self::weight(self)
    }
}

impl Weigh for (u64, Arc<StoredRecord>) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

impl Weigh for (Reference, Summary) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

impl Weigh for (DestinationId, Summary) {
    fn weight(&self) -> usize {
        self.1.weight()
    }
}

/// A page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the order of the query.
    pub rows: Vec<T>,
    /// Whether more rows follow, no matter if the limit or the weight ended the page.
    pub more: bool,
}

impl<T: Weigh> Page<T> {
    /// Takes rows into a page, and looks for one more behind it.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use tallyhouse_core::ports::{PAGE_WEIGHT_MAX, Page, Weigh};
    ///
    /// struct Row(usize);
    ///
    /// impl Weigh for Row {
    ///     fn weight(&self) -> usize {
    ///         self.0
    ///     }
    /// }
    ///
    /// let page = |weights: &[usize], limit| {
    ///     let Ok(page) = Page::take(weights.iter().map(|weight| Ok::<_, Infallible>(Row(*weight))), limit);
    ///     (page.rows.len(), page.more)
    /// };
    /// assert_eq!(page(&[1, 1], 2), (2, false));
    /// assert_eq!(page(&[1, 1, 1], 2), (2, true));
    /// assert_eq!(page(&[PAGE_WEIGHT_MAX, 1], 2), (1, true));
    /// assert_eq!(page(&[1, PAGE_WEIGHT_MAX], 2), (2, false));
    /// ```
    ///
    /// # Errors
    /// The first error among the rows of the page.
    pub fn take<E>(rows: impl IntoIterator<Item = Result<T, E>>, limit: usize) -> Result<Self, E> {
        let mut page = PageBuilder::new(limit);
        for row in rows {
            if page.is_full() {
                return Ok(page.end(true));
            }
            page.add(row?);
        }
        Ok(page.end(false))
    }
}

/// A page that is being read. It is full with `limit` rows, or with the row by which it reaches [`PAGE_WEIGHT_MAX`]: a page
/// that is not empty has a row, however large that is.
#[derive(Debug)]
pub struct PageBuilder<T> {
    rows: Vec<T>,
    limit: usize,
    weight: usize,
}

impl<T: Weigh> PageBuilder<T> {
    /// Begins a page of at most `limit` rows.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { rows: Vec::new(), limit, weight: 0 }
    }

    /// Says whether the page takes no further row.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.limit || self.weight >= PAGE_WEIGHT_MAX
    }

    /// Adds a row. The caller checks before that the page is not full.
    pub fn add(&mut self, row: T) {
        self.weight += row.weight();
        self.rows.push(row);
    }

    /// Returns the rows so far.
    #[must_use]
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Ends the page; `more` says whether there are rows behind it.
    #[must_use]
    pub fn end(self, more: bool) -> Page<T> {
        Page { rows: self.rows, more }
    }
}
