//! Tests of the text format.

use super::*;

#[test]
fn families_are_written_in_the_text_format() {
    let mut page = Page::default();
    page.counter("a_total", "Things.").count(&[("kind", "a \"b\"\\\n")], 7_u64).count(&[("kind", "c")], 0_u64).end();
    page.gauge("b_seconds", "Time.").sample(&[], 0.25).end();
    page.gauge("none", "Left out.").end();
    let reading = HistogramReading { buckets: vec![(500, 1), (2_500_000, 3)], count: 4, sum: 61_000_000 };
    page.histogram("c_seconds", "Times.").reading(&[("k", "v")], &reading, 1e6).end();
    let expect = "\
# HELP a_total Things.
# TYPE a_total counter
a_total{kind=\"a \\\"b\\\"\\\\\\n\"} 7
a_total{kind=\"c\"} 0
# HELP b_seconds Time.
# TYPE b_seconds gauge
b_seconds 0.25
# HELP c_seconds Times.
# TYPE c_seconds histogram
c_seconds_bucket{k=\"v\",le=\"0.0005\"} 1
c_seconds_bucket{k=\"v\",le=\"2.5\"} 3
c_seconds_bucket{k=\"v\",le=\"+Inf\"} 4
c_seconds_sum{k=\"v\"} 61
c_seconds_count{k=\"v\"} 4
";
    assert_eq!(page.write(), expect);
}
