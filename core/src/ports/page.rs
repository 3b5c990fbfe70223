//! Bounds the pages of a reader in bytes: rows differ in size by a factor of a hundred.

/// The weight that ends a page, in bytes: see [`StoredRecord::weight`](crate::StoredRecord::weight) and
/// [`Summary::weight`](crate::Summary::weight). A page of 1,000 usual records weighs less.
pub const PAGE_WEIGHT_MAX: usize = 4 * 1024 * 1024;

/// Takes rows into a page until their weight reaches [`PAGE_WEIGHT_MAX`]. The row that reaches it is part of the page,
/// so a single row of any size makes a page.
///
/// # Errors
/// The first error among the rows that it takes.
pub fn page<T, E>(rows: impl IntoIterator<Item = Result<T, E>>, weight: impl Fn(&T) -> usize) -> Result<Vec<T>, E> {
    let (mut page, mut total) = (Vec::new(), 0);
    for row in rows {
        let row = row?;
        total += weight(&row);
        page.push(row);
        if total >= PAGE_WEIGHT_MAX {
            break;
        }
    }
    Ok(page)
}
