//! From the totals to a single record, by links and by filters.

use serde_json::{Value, json};
use tallyhouse_tests::browser::Browser;
use tallyhouse_tests::data::records::{many, record, record_with};
use tallyhouse_tests::servers::service::Service;

use super::{check_quiet, open};

/// The texts of the cells of a table's row, by the row's first cell.
#[track_caller]
fn row(browser: &Browser, table: &str, name: &str) -> Vec<String> {
    let script = "const row = [...document.querySelectorAll(arguments[0] + ' tbody tr')]
        .find((row) => row.cells[0].innerText === arguments[1]);
        return row ? [...row.cells].map((cell) => cell.innerText.trim()) : null";
    let found = browser.until(&format!("a row {name} in {table}"), script, &[json!(table), json!(name)]);
    serde_json::from_value(found).expect("texts")
}

#[test]
fn totals_are_exact_to_the_last_digit() {
    let service = Service::start();
    let value = |id: &str, sign: &str, value: &str| {
        record_with(id, json!({"type": sign, "value": value, "destinationId": "vault", "unit": "EUR"}))
    };
    // A float holds none of them: 28 digits, and a difference in the last of them.
    service.http().batch(&[
        value("a", "positive", "1234567890123456789012345.678"),
        value("b", "positive", "0.0000000000000000000000000001"),
        value("c", "negative", "9999999999999999999999999.999"),
        value("d", "negative", "9999999999999999999999999.999"),
    ]);
    let browser = open(&service, "/");
    let shown = row(&browser, ".destinations", "vault");
    assert_eq!(
        shown[1..6],
        [
            "4",
            "EUR",
            "1,234,567,890,123,456,789,012,345.6780000000000000000000000001",
            "19,999,999,999,999,999,999,999,999.998",
            "−18,765,432,109,876,543,210,987,654.3199999999999999999999999999",
        ]
    );
    browser.choose(".destinations a", "vault");
    browser.choose(".record-table a", "c");
    browser.reads(".record-amount", "−9,999,999,999,999,999,999,999,999.999 EUR");
    browser.reads("dialog table .net", "1,234,567,890,123,456,789,012,345.6780000000000000000000000001");
    check_quiet(&browser, &service);
}

#[test]
fn a_destination_leads_to_its_references_and_they_to_a_record() {
    let service = Service::start();
    service.http().batch(&many("r", 60));
    let browser = open(&service, "/");
    browser.choose("#totals a", "D3");
    browser.leads_to("/?view=records&destinationId=D3");
    // Three references, nine records, of two units each.
    browser.reads("main", "By reference 3 references");
    browser.reads("main", "Records 9, newest first");

    browser.choose("main table a", "R1");
    browser.leads_to("/?view=records&destinationId=D3&reference=R1");
    browser.reads("main", "Records 3, newest first");
    // By their times, and above the totals.
    let ids = browser.text(".record-table .record-link");
    assert_eq!(ids.lines().collect::<Vec<_>>(), ["r-000052", "r-000010", "r-000031"]);
    let headings = browser.text(".records h2");
    assert_eq!(
        headings.lines().take(2).collect::<Vec<_>>(),
        ["Records 3, newest first", "Totals 1 destination, 3 records"]
    );

    browser.choose(".record-table a", "r-000031");
    browser.reads("dialog .fields", "Sequence 2 of its destination and reference");
    browser.reads("dialog", "1 record from 2013-01-11 10:10:00Z");
    // A link to the record that somebody else opens, and the way back.
    browser.leads_to("/?view=records&destinationId=D3&reference=R1&record=r-000031");
    browser.reload();
    browser.reads("dialog .fields", "r-000031");
    browser.click("dialog [aria-label=Close]");
    browser.lacks("dialog");
    browser.leads_to("/?view=records&destinationId=D3&reference=R1");
    check_quiet(&browser, &service);
}

#[test]
fn filters_are_in_the_address_and_survive_a_reload_and_the_way_back() {
    let service = Service::start();
    let records = many("r", 60);
    service.http().batch(&records);
    let browser = open(&service, "/");
    browser.choose("nav a", "Records");
    browser.reads("main", "7 destinations, 60 records");

    browser.write("#filter-unit", "EUR");
    browser.write("#filter-start", "2013-01-10");
    browser.choose("form button", "Apply");
    let filtered = "/?view=records&start=2013-01-10T00%3A00%3A00Z&unit=EUR";
    browser.leads_to(filtered);
    let passes = |record: &&Value| record["unit"] == "EUR" && record["time"].as_str() >= Some("2013-01-10");
    let count = format!("{} records", records.iter().filter(passes).count());
    browser.reads("main", &count);
    browser.reload();
    browser.reads("main", &count);
    assert_eq!(browser.run("return document.getElementById('filter-unit').value", &[]), "EUR");
    assert_eq!(browser.run("return document.getElementById('filter-start').value", &[]), "2013-01-10T00:00:00Z");

    // A chip takes its filter away; the browser's button brings it back.
    browser.click("#active-filters a[href='./?view=records&unit=EUR']");
    browser.reads("main", "30 records");
    browser.back();
    browser.reads("main", &count);
    browser.leads_to(filtered);

    // What the service refuses is shown with its reason, and the page stays usable.
    browser.write("#filter-end", "yesterday");
    browser.choose("form button", "Apply");
    browser.reads("main .notice", "end");
    browser.choose("form a", "Clear");
    browser.reads("main", "7 destinations, 60 records");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|line| line.contains("400")), "only what was refused is logged: {complaints:?}");
}

#[test]
fn a_range_of_time_is_chosen_without_typing() {
    let service = Service::start();
    let http = service.http();
    let now = http.record(&record("old")).json()["processedAt"].clone();
    assert_eq!(http.record(&record_with("recent", json!({"time": now}))).status, 201);
    let browser = open(&service, "/?view=records&unit=minute");
    browser.reads("main", "Records 2, newest first");
    browser.choose(".ranges button", "Last hour");
    browser.reads("main", "Records 1, newest first");
    browser.reads("#active-filters", "Unit minute");
    browser.reads(".record-table .record-link", "recent");
    browser.choose("form a", "Clear");

    // The calendar is the browser's own; a day is chosen in it as it does.
    browser.run("HTMLInputElement.prototype.showPicker = function () { globalThis.calendar = this; }", &[]);
    browser.click("[aria-label='Calendar: Before']");
    browser.run("calendar.value = '2013-01-02'; calendar.dispatchEvent(new Event('change', { bubbles: true }))", &[]);
    browser.leads_to("/?view=records&end=2013-01-02T00%3A00%3A00Z");
    browser.reads(".record-table .record-link", "old");
    browser.reads("main", "Records 1, newest first");
    check_quiet(&browser, &service);
}

#[test]
fn what_is_filtered_is_downloaded_as_csv() {
    let service = Service::start();
    let records = many("r", 60);
    service.http().batch(&records);
    let browser = open(&service, "/?view=records&destinationId=D3&unit=EUR");
    browser.click("[aria-label='Download records as CSV']");
    let csv = browser.downloaded("records.csv");
    let wanted = |record: &&Value| record["destinationId"] == "D3" && record["unit"] == "EUR";
    let ids: Vec<&str> =
        records.iter().filter(wanted).map(|record| record["recordId"].as_str().expect("a text")).collect();
    let rows: Vec<&str> = csv.lines().skip(1).map(|row| row.split(',').next().expect("it begins")).collect();
    assert_eq!(rows, ids, "{csv}");
    browser.click("[aria-label='Download totals as CSV']");
    let totals = browser.downloaded("totals.csv");
    assert!(totals.starts_with("destinationId,unit,count,") && totals.contains("\nD3,EUR,"), "{totals}");
    assert_eq!(totals.lines().count(), 2);
    check_quiet(&browser, &service);
}
