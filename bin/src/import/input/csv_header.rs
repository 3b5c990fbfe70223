//! The header row of a CSV file: maps fields to columns, and explains a header for which that fails.

use tallyhouse_pipeline::Field;

use crate::output::printable;

/// Most names of columns that an error shows.
const SHOWN_MAX: usize = 20;
/// Most characters of one of them.
const SHOWN_CHARS: usize = 64;

/// Delimiters that other programs write.
const DELIMITERS: [(u8, &str); 4] = [(b',', "','"), (b';', "';'"), (b'\t', "tab"), (b'|', "'|'")];

/// The dialect of a CSV file.
#[derive(Debug, Clone)]
pub(crate) struct CsvOptions {
    /// The byte between two fields.
    pub(crate) delimiter: u8,
    /// The columns of fields whose column does not have the field's name.
    pub(crate) columns: Vec<(Field, String)>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', columns: Vec::new() }
    }
}

impl CsvOptions {
    /// Makes the dialect of the command line.
    ///
    /// # Errors
    /// A field is given two columns.
    pub(crate) fn new(delimiter: u8, columns: Vec<(Field, String)>) -> Result<Self, String> {
        for (at, (field, column)) in columns.iter().enumerate() {
            if let Some((_, first)) = columns[..at].iter().find(|(mapped, _)| mapped == field) {
                let name = field.name();
                return Err(format!(
                    "--column {name}={first} and --column {name}={column} name two columns for one field: leave one out"
                ));
            }
        }
        Ok(Self { delimiter, columns })
    }

    /// Returns the name of the column that holds a field.
    fn column_of(&self, field: Field) -> &str {
        self.columns.iter().find(|(mapped, _)| *mapped == field).map_or(field.name(), |(_, column)| column)
    }
}

/// Finds the columns of the eight fields.
///
/// # Errors
/// A column is missing, or is there twice. The error shows the names that were found, and guesses.
pub(super) fn columns(names: &[&[u8]], raw: &[u8], options: &CsvOptions) -> Result<[usize; 8], String> {
    let mut columns = [0; 8];
    let (mut missing, mut twice) = (Vec::new(), Vec::new());
    for (field, column) in Field::ALL.into_iter().zip(&mut columns) {
        let wanted = options.column_of(field);
        let mut places = names.iter().enumerate().filter(|(_, name)| name.trim_ascii() == wanted.as_bytes());
        match (places.next(), places.next()) {
            (Some((place, _)), None) => *column = place,
            (Some(_), Some(_)) => twice.push(wanted),
            (None, _) => missing.push((field, wanted)),
        }
    }
    if missing.is_empty() && twice.is_empty() {
        return Ok(columns);
    }
    let mut text = "this is read as CSV, whose first line must name the eight fields of a record".to_owned();
    if !missing.is_empty() {
        let wanted: Vec<&str> = missing.iter().map(|(_, wanted)| *wanted).collect();
        text += &format!("; missing: {}", wanted.join(", "));
    }
    if !twice.is_empty() {
        text += &format!("; there twice: {}", twice.join(", "));
    }
    text += &format!("; found: {}", found(names));
    let guess = other_delimiter(raw, options.delimiter).or_else(|| other_names(names, &missing, options));
    text += &guess.map(|guess| format!("; {guess}")).unwrap_or_default();
    Err(text)
}

fn found(names: &[&[u8]]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN_MAX).map(|name| shown(name)).collect();
    let more = names.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Shows the beginning of a name.
fn shown(name: &[u8]) -> String {
    let name: String = String::from_utf8_lossy(name.trim_ascii()).chars().take(SHOWN_CHARS).collect();
    if name.is_empty() { "(empty)".to_owned() } else { printable(&name).into_owned() }
}

/// Guesses at the delimiter: one that gives more of the names than the one in use.
fn other_delimiter(raw: &[u8], delimiter: u8) -> Option<String> {
    let names_by = |delimiter: u8| {
        let cells = raw.split(|byte| *byte == delimiter).map(plain);
        let cells: Vec<String> = cells.collect();
        Field::ALL.iter().filter(|field| cells.contains(&plain(field.name().as_bytes()))).count()
    };
    let (other, shown) = DELIMITERS.into_iter().max_by_key(|(other, _)| names_by(*other))?;
    (names_by(other) > names_by(delimiter))
        .then(|| format!("the columns seem to be separated by {shown}: give --delimiter {shown}"))
}

/// Guesses at columns of other names: in another case, with other separators of words, or misspelt by a letter or two.
fn other_names(names: &[&[u8]], missing: &[(Field, &str)], options: &CsvOptions) -> Option<String> {
    let is_free =
        |name: &[u8]| !Field::ALL.iter().any(|field| options.column_of(*field).as_bytes() == name.trim_ascii());
    let free: Vec<&[u8]> = names.iter().copied().filter(|name| is_free(name)).collect();
    let guesses = missing.iter().filter_map(|(field, wanted)| {
        let distance = |name: &[u8]| strsim::damerau_levenshtein(&plain(name), &plain(wanted.as_bytes()));
        let nearest = free.iter().min_by_key(|name| distance(name))?;
        let near_enough = distance(nearest) * 4 <= wanted.len();
        let nearest = shown(nearest);
        near_enough.then(|| format!("is {nearest} the {}? give --column {}={nearest}", field.name(), field.name()))
    });
    let guesses: Vec<String> = guesses.collect();
    (!guesses.is_empty()).then(|| guesses.join("; "))
}

/// Reduces a name to its letters and digits, in lower case.
fn plain(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests;
