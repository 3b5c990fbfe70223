//! Tests of the first row.

use super::*;

const HEAD: &str = "recordId,time,sourceId,destinationId,type,value,unit,reference";

fn found_in(head: &str, options: &CsvOptions) -> Result<[usize; 8], String> {
    let names: Vec<&[u8]> = head.as_bytes().split(|byte| *byte == options.delimiter).collect();
    columns(&names, head.as_bytes(), options)
}

#[track_caller]
fn check_fault(head: &str, parts: &[&str]) {
    let fault = found_in(head, &CsvOptions::default()).unwrap_err();
    assert!(parts.iter().all(|part| fault.contains(part)), "{head:?}: {fault}");
}

#[test]
fn the_names_that_were_found_are_shown_with_a_guess() {
    let snake = "record_id,time,source_id,destination_id,type,value,unit,reference";
    check_fault(
        snake,
        &["missing: recordId, sourceId, destinationId;", "found: record_id, time", "--column recordId=record_id"],
    );
    check_fault(&HEAD.to_uppercase(), &["found: RECORDID, TIME", "--column recordId=RECORDID", "--column unit=UNIT"]);
    check_fault(&HEAD.replace(',', ";"), &["--delimiter ';'"]);
    check_fault(&HEAD.replace(',', "\t"), &["--delimiter tab"]);
    check_fault(&HEAD.replace("destinationId", "destinatonId"), &["--column destinationId=destinatonId"]);
    check_fault(&HEAD.replace("value", "amount"), &["missing: value;", "found: "]);
    check_fault(&format!("{HEAD},time"), &["there twice: time"]);
    check_fault("a\u{1b}[31m,b", &["found: a\\u001b[31m, b"]);
    let fault = found_in(&HEAD.replace("value", "amount"), &CsvOptions::default()).unwrap_err();
    assert!(!fault.contains("--column"), "no guess is better than a wild one: {fault}");
}

#[test]
fn columns_of_other_names_are_mapped() {
    let columns = vec![(Field::RecordId, "id".to_owned()), (Field::Reference, "id".to_owned())];
    let options = CsvOptions { delimiter: b';', columns };
    let head = "id;time;sourceId;destinationId;type;value;unit;recordId";
    assert_eq!(found_in(head, &options), Ok([0, 1, 2, 3, 4, 5, 6, 0]));
    assert!(found_in("recordId;time", &options).unwrap_err().contains("missing: id"));
}

#[test]
fn a_field_with_two_columns_is_refused() {
    let columns = |pairs: &[(Field, &str)]| pairs.iter().map(|(field, name)| (*field, (*name).to_owned())).collect();
    let twice = columns(&[(Field::RecordId, "id"), (Field::Time, "at"), (Field::RecordId, "time")]);
    let error = CsvOptions::new(b',', twice).unwrap_err();
    assert!(error.contains("--column recordId=id and --column recordId=time"), "{error}");
    assert!(CsvOptions::new(b',', columns(&[(Field::RecordId, "id"), (Field::Reference, "id")])).is_ok());
}
