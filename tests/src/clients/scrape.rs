//! What a live service shows at `/metrics`, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::http::Client;

/// One reading of a page.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// The page itself.
    pub text: String,
    /// The kind of each family: `counter`, `gauge` or `histogram`.
    pub kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Scrape {
    /// Reads the page of a service.
    ///
    /// # Panics
    /// There is none, or it is not in the format.
    #[must_use]
    #[track_caller]
    pub fn of(client: &Client) -> Self {
        let answer = client.get("/metrics").expect_status(200);
        assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(answer.text())
    }

    /// Reads the text of a page.
    ///
    /// # Panics
    /// It is not in the format.
    #[must_use]
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let kinds = kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(Sample::parse).collect();
        Self { text: text.to_owned(), kinds, samples }
    }

    /// Returns the value of the one sample with this name and these labels, whatever others it has; `None` if there is
    /// none.
    ///
    /// # Panics
    /// There are several.
    #[must_use]
    #[track_caller]
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.samples.iter().filter(|sample| sample.matches(name, labels));
        let value = found.next()?.value;
        assert!(found.next().is_none(), "several samples of {name} {labels:?}");
        Some(value)
    }

    /// Returns the value of the one sample with this name and these labels.
    ///
    /// # Panics
    /// There is none, or there are several.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no sample of {name} {labels:?} in\n{}", self.text))
    }

    /// Adds up all samples with this name and these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples.iter().filter(|sample| sample.matches(name, labels)).map(|sample| sample.value).sum()
    }

    /// Returns the names of the labels of a family, `le` left out.
    #[must_use]
    pub fn labels(&self, family: &str) -> BTreeSet<String> {
        let is_of =
            |name: &str| name == family || matches!(name.strip_prefix(family), Some("_bucket" | "_sum" | "_count"));
        let of = self.samples.iter().filter(|sample| is_of(&sample.name));
        of.flat_map(|sample| sample.labels.keys().cloned()).filter(|name| name != "le").collect()
    }
}

impl Sample {
    #[track_caller]
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let (name, mut rest) = series.split_once('{').unwrap_or((series, "}"));
        let mut labels = BTreeMap::new();
        while rest != "}" {
            // None of our values holds a quote.
            let (label, more) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            let (value, more) = more.split_once('"').unwrap_or_else(|| panic!("no end of a label: {line}"));
            labels.insert(label.to_owned(), value.to_owned());
            rest = more.strip_prefix(',').unwrap_or(more);
        }
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        Self { name: name.to_owned(), labels, value }
    }

    fn matches(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(label, value)| self.labels.get(*label).is_some_and(|is| is == value))
    }
}
