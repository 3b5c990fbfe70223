//! Which content encodings are read.

use hyper::header::HeaderValue;

use super::*;

#[track_caller]
fn check(values: &[&str], expect: Option<Encoding>) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
    }
    assert_eq!(of_body(&headers), expect, "{values:?}");
}

#[test]
fn gzip_is_read_and_an_empty_encoding_means_none() {
    check(&[], Some(Encoding::Identity));
    check(&[""], Some(Encoding::Identity));
    check(&["identity"], Some(Encoding::Identity));
    check(&["gzip"], Some(Encoding::Gzip));
    check(&["X-GZIP"], Some(Encoding::Gzip));
    check(&["identity, gzip"], Some(Encoding::Gzip));
    check(&["gzip, gzip"], None);
    check(&["gzip", "gzip"], None);
    check(&["br"], None);
    check(&["gzip, zstd"], None);
}
