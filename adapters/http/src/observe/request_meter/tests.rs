//! Requests are counted by what there is to be called, whatever callers send.

use super::*;

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status() {
    let meter = Arc::new(RequestMeter::new());
    assert_eq!(meter.read(), []);
    let answered = |method: &str, route: Option<usize>, status: u16| {
        let request = meter.begin(&Method::from_bytes(method.as_bytes()).unwrap());
        request.answered(route.map(Counted), StatusCode::from_u16(status).unwrap());
        request
    };
    let open = [answered("GET", Some(1), 200), answered("GET", Some(1), 200), answered("GET", Some(1), 404)];
    answered("POST", Some(0), 201);
    answered("BREW", None, 418);
    let found: Vec<_> = meter.read().iter().map(|r| (r.route, r.method, r.statuses.clone(), r.micros.count)).collect();
    assert_eq!(
        found,
        [
            (TEMPLATES[0], "POST", vec![(201, 1)], 1),
            (TEMPLATES[1], "GET", vec![(200, 2), (404, 1)], 3),
            ("none", "other", vec![(0, 1)], 1),
        ]
    );
    assert_eq!(meter.under_way(), 3);
    drop(open);
    assert_eq!(meter.under_way(), 0);
}
