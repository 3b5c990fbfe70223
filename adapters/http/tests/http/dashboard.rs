//! The dashboard's files, as a browser and a cache meet them.

use crate::raw::exchange;
use crate::service::Service;

#[tokio::test]
async fn the_dashboard_is_open_and_brings_its_own_policy() {
    let service = Service::start().await;
    let ask = |path: &str, header: &str| {
        exchange(service.addr, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n"))
    };
    let table = [
        ("/", "text/html; charset=utf-8"),
        ("/?view=records&destinationId=%C3%BC", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/assets/reference/reference.js", "text/javascript; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/style/base.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/uplot.LICENSE", "text/plain; charset=utf-8"),
    ];
    for (path, media_type) in table {
        let answer = ask(path, "").await;
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        for part in [
            &format!("content-type: {media_type}\r\n"),
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-cache\r\n",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ",
        ] {
            assert_eq!(format!("{head}\r\n").matches(part).count(), 1, "{part} in {head}");
        }
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = ask(path, &format!("if-none-match: {tag}\r\n")).await;
        assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{path}: {again}");
    }
    assert!(ask("/assets/none.js", "").await.starts_with("HTTP/1.1 404 "));
    assert!(ask("/assets", "").await.starts_with("HTTP/1.1 404 "));
}
