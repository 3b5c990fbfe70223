//! A page of metric families in Prometheus' text format.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use tallyhouse_pipeline::HistogramReading;

/// A label: its name and its value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Families, in the order of their insertion.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<MetricFamily>);

/// A family under construction. A family without samples is left out of the page.
#[derive(Debug)]
pub(super) struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<Metric>,
}

impl Page {
    /// Adds a family of counters.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    /// Adds a family of gauges.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    /// Adds a family of histograms.
    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(name, help, MetricType::HISTOGRAM)
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: MetricType) -> Family<'_> {
        Family { page: self, name, help, kind, samples: Vec::new() }
    }

    /// Writes the page.
    pub(super) fn write(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.0)
            .expect("every family has a name and samples of its own type, which is all that the encoder checks")
    }
}

impl Family<'_> {
    /// Adds a sample of a counter or a gauge.
    pub(super) fn sample(mut self, labels: &[Label<'_>], value: f64) -> Self {
        let mut metric = Metric::from_label(pairs(labels));
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.samples.push(metric);
        self
    }

    /// Adds a count.
    pub(super) fn count(self, labels: &[Label<'_>], count: impl TryInto<u64>) -> Self {
        // Prometheus stores every sample as a double: counts above 2^53 lose digits there, too.
        let count = count.try_into().unwrap_or(u64::MAX);
        self.sample(labels, count as f64)
    }

    /// Adds a histogram. `per_unit` converts its readings to the unit of the family: 1e6 for microseconds to seconds.
    pub(super) fn reading(mut self, labels: &[Label<'_>], reading: &HistogramReading, per_unit: f64) -> Self {
        let bucket = |(bound, count): &(u64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / per_unit);
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(reading.buckets.iter().map(bucket).collect());
        histogram.set_sample_count(reading.count);
        histogram.set_sample_sum(reading.sum as f64 / per_unit);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.samples.push(metric);
        self
    }

    /// Ends the family.
    pub(super) fn end(self) {
        if self.samples.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.samples);
        self.page.0.push(family);
    }
}

fn pairs(labels: &[Label<'_>]) -> Vec<LabelPair> {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests;
