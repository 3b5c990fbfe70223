//! Requests are counted by route; unknown paths add no labels.

use super::*;
use crate::exchange::response::problem::statuses;

const ROUTES: [&str; 2] = ["/v1/records", "/v1/records/{recordId}"];

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status() {
    let meter = Arc::new(RequestMeter::new(ROUTES.into_iter(), statuses()));
    assert_eq!(meter.read(), []);
    let answered = |method: &str, route: Option<usize>, status: u16| {
        let request = meter.begin(&Method::from_bytes(method.as_bytes()).unwrap());
        request.answered(route.map(RouteIndex), StatusCode::from_u16(status).unwrap());
        request
    };
    let open = [answered("GET", Some(1), 200), answered("GET", Some(1), 200), answered("GET", Some(1), 404)];
    answered("POST", Some(0), 201);
    answered("BREW", None, 418);
    let found: Vec<_> = meter.read().iter().map(|r| (r.route, r.method, r.statuses.clone(), r.micros.count)).collect();
    assert_eq!(
        found,
        [
            (ROUTES[0], "POST", vec![(201, 1)], 1),
            (ROUTES[1], "GET", vec![(200, 2), (404, 1)], 3),
            ("none", "other", vec![(0, 1)], 1),
        ]
    );
    assert_eq!(meter.in_flight(), 3);
    drop(open);
    assert_eq!(meter.in_flight(), 0);
}

/// Metrics must not lose a status that clients see: `431` was counted as 0 once.
#[test]
fn every_status_of_the_description_is_counted_as_itself() {
    let document: serde_json::Value = serde_json::from_str(&crate::openapi()).unwrap();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let described = operations.flat_map(|operation| operation["responses"].as_object().unwrap().keys());
    let described: std::collections::BTreeSet<u16> = described.map(|status| status.parse().unwrap()).collect();
    assert!(described.contains(&431), "{described:?}");
    let meter = Arc::new(RequestMeter::new(ROUTES.into_iter(), statuses()));
    for status in &described {
        meter.begin(&Method::GET).answered(Some(RouteIndex(0)), StatusCode::from_u16(*status).unwrap());
    }
    let counted: Vec<(u16, u64)> = described.into_iter().map(|status| (status, 1)).collect();
    assert_eq!(meter.read()[0].statuses, counted);
}
