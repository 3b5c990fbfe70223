//! Parameters: tables of queries and what becomes of them.

use proptest::prelude::{any, proptest};

use super::*;

#[track_caller]
fn refused(query: &str, name: &str) {
    let problem = Parameters::read_with_filter(query, &["limit", "cursor"])
        .and_then(|parameters| parameters.filter().and_then(|_| parameters.limit()))
        .expect_err(query);
    let json = serde_json::to_value(&problem).unwrap();
    assert_eq!(json["type"], "urn:tallyhouse:problem:bad-parameter", "{query}");
    assert_eq!(json["errors"][0]["parameter"], name, "{query}");
}

#[test]
fn every_fault_of_a_query_names_its_parameter() {
    refused("colour=red", "colour");
    refused("limit=1&limit=1", "limit");
    refused("limit=0", "limit");
    refused("limit=1001", "limit");
    refused("limit=", "limit");
    refused("limit=%2B1", "limit");
    refused("limit=1.0", "limit");
    refused("limit=99999999999999999999999", "limit");
    refused("type=neutral", "type");
    refused("start=yesterday", "start");
    refused("end=2013-01-01", "end");
    refused("destinationId=", "destinationId");
    refused("unit=%00", "unit");
    refused("unit=%zz", "unit");
    refused("unit=%ff", "unit");
    refused("unit=%4", "unit");
    refused("%ff=1", "%ff");
}

#[test]
fn a_filter_takes_what_it_is_given() {
    let query = "start=2013-01-01T00%3A00%3A00Z&end=2013-01-01T00:00:00.0000001+01:00&type=negative\
                 &destinationId=a%2Fb+c%2B&sourceId=%C3%BC&reference=&&unit=EUR";
    let filter = Parameters::read_with_filter(query, &[]).unwrap().filter().unwrap();
    assert_eq!(filter.start.unwrap().to_string(), "2013-01-01T00:00:00Z");
    assert_eq!(filter.end.unwrap().to_string(), "2012-12-31T23:00:00.000001Z");
    assert_eq!(filter.record_type, Some(RecordType::Negative));
    assert_eq!(filter.destination_id.unwrap().as_str(), "a/b c+");
    assert_eq!(filter.source_id.unwrap().as_str(), "ü");
    assert_eq!(filter.reference.unwrap().as_str(), "");
    assert_eq!(filter.unit.unwrap().as_str(), "EUR");
}

#[test]
fn no_parameters_are_no_conditions() {
    let parameters = Parameters::read_with_filter("", &[]).unwrap();
    assert_eq!(parameters.filter(), Ok(Filter::default()));
    assert_eq!(parameters.limit(), Ok(100));
}

#[test]
fn the_link_keeps_the_parameters_and_replaces_the_cursor() {
    let parameters = Parameters::read("a=x%20y%26&cursor=old&b=%3E%22", &["a", "b", "cursor"]).unwrap();
    assert_eq!(parameters.link_to_next("new"), "<?a=x%20y%26&b=%3E%22&cursor=new>; rel=\"next\"");
}

proptest! {
    #[test]
    fn what_a_link_says_is_read_back(value in any::<String>()) {
        let written = Parameters(vec![("a".to_owned(), value.clone())]).link_to_next("c");
        let query = written.strip_prefix("<?").and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap();
        let read = Parameters::read(query, &["a", "cursor"]).unwrap();
        assert_eq!(read.text("a"), Some(value.as_str()));
        assert_eq!(decode(&utf8_percent_encode(&value, RESERVED).to_string(), false), Ok(value));
    }
}
