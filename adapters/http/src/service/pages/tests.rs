//! The files of the dashboard: all are there, and they name nothing that is not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hyper::header::IF_NONE_MATCH;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard")
}

fn names_below(folder: &Path, prefix: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read"));
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().to_str().expect("names are text"));
        match entry.path().is_dir() {
            true => names.extend(names_below(&entry.path(), &format!("{name}/"))),
            false => _ = names.insert(name),
        }
    }
    names
}

fn compiled_in() -> BTreeSet<String> {
    [&PAGE, &REFERENCE, &UNKNOWN].into_iter().chain(&ASSETS).map(|asset| asset.name.to_owned()).collect()
}

#[test]
fn every_file_is_compiled_in() {
    assert_eq!(names_below(&folder(), ""), compiled_in());
}

/// What a file loads, by names below `/assets/`.
fn loaded_by(asset: &Asset) -> Vec<String> {
    let text = std::str::from_utf8(asset.bytes).expect("all of them are text");
    let quoted = |after: &str| {
        text.split(after).skip(1).map(|rest| rest.split('"').next().expect("it begins").to_owned()).collect()
    };
    let (absolute, relative): (Vec<String>, Vec<String>) = (quoted("\"assets/"), quoted("} from \""));
    let absolute = absolute.into_iter().chain(quoted("\"{root}assets/"));
    let folder = asset.name.rsplit_once('/').map_or("", |(folder, _)| folder);
    // No folder is deeper than one.
    let beside = |name: String| match (name.strip_prefix("./"), folder) {
        (Some(name), "") => name.to_owned(),
        (Some(name), folder) => format!("{folder}/{name}"),
        (None, _) => name.trim_start_matches("../").to_owned(),
    };
    absolute.chain(relative.into_iter().map(beside)).collect()
}

/// A proxy may serve the pages under any path.
#[test]
fn no_page_loads_or_links_by_an_absolute_path() {
    for page in [&PAGE, &REFERENCE, &UNKNOWN] {
        let text = std::str::from_utf8(page.bytes).expect("pages are text");
        assert!(!text.contains("=\"/"), "{}", page.name);
    }
}

#[test]
fn every_file_that_a_page_loads_is_compiled_in_and_all_are_loaded() {
    let own =
        || [&PAGE, &REFERENCE, &UNKNOWN].into_iter().chain(&ASSETS).filter(|asset| !asset.name.starts_with("vendor/"));
    let loaded: BTreeSet<String> = own().flat_map(loaded_by).collect();
    let unloaded = ["index.html", "reference.html", "unknown.html", "vendor/uplot.LICENSE"].map(str::to_owned);
    assert_eq!(&loaded | &BTreeSet::from(unloaded), compiled_in());
}

#[test]
fn no_text_becomes_markup() {
    for asset in [&PAGE, &REFERENCE, &UNKNOWN].into_iter().chain(&ASSETS) {
        let text = std::str::from_utf8(asset.bytes).expect("all of them are text");
        for sink in ["style=\"", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(sink), "its policy forbids {sink}: {}", asset.name);
        }
    }
}

#[test]
fn a_caller_that_has_it_is_told_so() {
    let headers = |value: &str| HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::try_from(value).unwrap())]);
    let first = page(&HeaderMap::new());
    assert_eq!((first.status(), &first.headers()[CONTENT_TYPE]), (StatusCode::OK, &HeaderValue::from_static(HTML)));
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    for list in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let again = page(&headers(&list));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{list}");
        assert_eq!(again.headers()[ETAG], tag.as_str());
        assert!(!again.headers().contains_key(CONTENT_TYPE));
    }
    for list in ["\"x\"", "", "W/", &tag[1..]] {
        assert_eq!(page(&headers(list)).status(), StatusCode::OK, "{list}");
    }
}

#[test]
fn an_asset_is_found_by_its_whole_name_alone() {
    assert!(Asset::find("app.js").is_some());
    assert!(Asset::find("vendor/uplot.js").is_some());
    for name in ["", "vendor", "uplot.js", "vendor%2Fuplot.js", "../index.html", "app.js/", "/app.js"] {
        assert!(Asset::find(name).is_none(), "{name:?}");
    }
}

#[test]
fn the_page_for_an_unknown_path_leads_to_the_root_from_any_depth() {
    assert!(std::str::from_utf8(UNKNOWN.bytes).unwrap().matches(ROOT).count() > 5);
    for (path, root) in [("/", "./"), ("/x", "./"), ("/x/", "../"), ("/x/y", "../"), ("/a/b/c/d", "../../../")] {
        let page = unknown(path);
        assert_eq!(
            (page.status(), &page.headers()[CONTENT_TYPE]),
            (StatusCode::NOT_FOUND, &HeaderValue::from_static(HTML))
        );
        let mut body = page.into_body();
        let frame = futures::executor::block_on(http_body_util::BodyExt::frame(&mut body)).unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        assert!(text.contains(&format!("href=\"{root}\"")) && !text.contains(ROOT), "{path}: {text}");
    }
    // A request of slashes alone gets no answer that is many times as large.
    let deep = unknown(&"/".repeat(60_000));
    assert!(hyper::body::Body::size_hint(deep.body()).exact().is_some_and(|bytes| bytes < 4_096));
}

#[test]
fn a_visit_reads_and_names_html() {
    let table = [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
        ("TEXT/HTML;q=0.1", true),
        ("text/html, application/json;q=0.9", true),
        ("text/html;q=0.5, application/json", false),
        ("text/html;q=0", false),
        ("text/html;q=0.5, application/problem+json", false),
        ("*/*", false),
        ("text/*", false),
        ("application/json", false),
        ("", false),
    ];
    for (accept, is_page) in table {
        let headers = HeaderMap::from_iter([(hyper::header::ACCEPT, HeaderValue::from_static(accept))]);
        assert_eq!(is_visit(&Method::GET, &headers), is_page, "{accept}");
        assert_eq!(is_visit(&Method::HEAD, &headers), is_page, "{accept}");
        assert!(!is_visit(&Method::POST, &headers), "{accept}");
    }
    assert!(!is_visit(&Method::GET, &HeaderMap::new()));
}
