//! The filter of the log.

use super::*;

#[track_caller]
fn check(filter_text: &str, is_good: bool) {
    let settings = LogSettings { json: None, filter: filter_text.to_owned(), requests: false };
    assert_eq!(filter(&settings).is_ok(), is_good, "{filter_text:?}");
}

#[test]
fn a_word_that_is_no_level_is_no_filter() {
    for good in
        ["info", "off", "WARN", "3", "info,tallyhouse_pipeline=debug", "a::b=trace, error", "info,a[span]=debug", ""]
    {
        check(good, true);
    }
    for bad in ["inf", "foo=", "info,dbug", "tallyhouse_pipeline", "info,a=dbug"] {
        check(bad, false);
    }
}
