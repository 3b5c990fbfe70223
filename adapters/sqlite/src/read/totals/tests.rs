//! The plan of a query for totals.

use super::*;
use crate::test_support::{Database, plan};

#[tokio::test]
async fn totals_seek_what_they_need() {
    let database = Database::new();
    let mut db = database.connection();
    let at = |text: &str| Timestamp::parse(text).ok();
    let range = Filter { start: at("2026-01-01T12:00:00Z"), end: at("2026-06-01T12:00:00Z"), ..Filter::default() };
    let of_one = Filter { destination_id: DestinationId::new("D").ok(), ..range.clone() };
    for (filter, edges) in [(range, "records_by_time"), (of_one, "records_by_destination")] {
        let query = GroupQuery { filter, ..GroupQuery::default() };
        let roll_up_plan = RollUpPlan::of(&query.filter).unwrap();
        let plan = plan(&mut db, &compose(&query, &roll_up_plan, 7));
        assert!(!plan.contains("SCAN"), "{plan}");
        assert_eq!(plan.matches(edges).count(), 2, "{plan}");
        assert!(plan.contains("SEARCH records USING INTEGER PRIMARY KEY (rowid>?)"), "{plan}");
        assert_eq!(plan.matches("SEARCH roll_ups").count(), 3, "{plan}");
    }
}
