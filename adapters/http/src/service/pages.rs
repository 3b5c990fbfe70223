//! The dashboard at `/`, the reference at `/docs`, the page for an unknown path, and their assets, compiled in from
//! `dashboard/`.
//!
//! The pages need no key: they hold nothing secret, and their calls need a key like all others. Their Content Security
//! Policy lets them load and run nothing from another host.

use std::sync::OnceLock;

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use hyper::{Method, StatusCode};
use warp::reply::{Reply, Response};

use crate::exchange::response::conditional;
use crate::exchange::response::format;

/// The pages' policy allows scripts, styles and calls of this host alone. Trusted Types keep text from becoming markup
/// or code: texts of records are untrusted.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// A browser may cache the files, and revalidates them before each use, so that it never mixes versions after an
/// upgrade.
const CACHE: &str = "no-cache";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file that is compiled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// The path below `/assets/`.
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// The validator: the hash of the bytes, made at the first request.
    tag: OnceLock<HeaderValue>,
}

/// Compiles in a file of `dashboard/`.
macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        Asset {
            name: $name,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../dashboard/", $name)),
            tag: OnceLock::new(),
        }
    };
}

static PAGE: Asset = asset!("index.html", HTML);

static REFERENCE: Asset = asset!("reference.html", HTML);

static UNKNOWN: Asset = asset!("unknown.html", HTML);

/// The placeholder in `unknown.html` for the relative path to the root, which depends on the page's depth and holds
/// below a proxy's sub-path.
const ROOT: &str = "{root}";

/// Greatest depth of a path that gets a page with links.
const DEPTH_MAX: usize = 32;

/// All assets of the pages.
static ASSETS: [Asset; 55] = [
    asset!("app.js", SCRIPT),
    asset!("icon.svg", IMAGE),
    asset!("base/address.js", SCRIPT),
    asset!("base/api.js", SCRIPT),
    asset!("base/bus.js", SCRIPT),
    asset!("base/dom.js", SCRIPT),
    asset!("base/format.js", SCRIPT),
    asset!("base/language.js", SCRIPT),
    asset!("base/poll.js", SCRIPT),
    asset!("base/theme.js", SCRIPT),
    asset!("letters/letter.js", SCRIPT),
    asset!("letters/letterbulk.js", SCRIPT),
    asset!("live/deadletters.js", SCRIPT),
    asset!("live/feed.js", SCRIPT),
    asset!("live/health.js", SCRIPT),
    asset!("live/live.js", SCRIPT),
    asset!("live/rates.js", SCRIPT),
    asset!("live/sse.js", SCRIPT),
    asset!("parts/chart.js", SCRIPT),
    asset!("parts/confirm.js", SCRIPT),
    asset!("parts/dialog.js", SCRIPT),
    asset!("parts/download.js", SCRIPT),
    asset!("parts/dryrun.js", SCRIPT),
    asset!("parts/feedlist.js", SCRIPT),
    asset!("parts/firstrecord.js", SCRIPT),
    asset!("parts/healthcard.js", SCRIPT),
    asset!("parts/keydialog.js", SCRIPT),
    asset!("parts/notice.js", SCRIPT),
    asset!("parts/ratecard.js", SCRIPT),
    asset!("parts/ruleform.js", SCRIPT),
    asset!("parts/section.js", SCRIPT),
    asset!("parts/timerange.js", SCRIPT),
    asset!("records/destinations.js", SCRIPT),
    asset!("records/filterform.js", SCRIPT),
    asset!("records/recorddialog.js", SCRIPT),
    asset!("records/recordlist.js", SCRIPT),
    asset!("records/recordtable.js", SCRIPT),
    asset!("records/search.js", SCRIPT),
    asset!("records/totals.js", SCRIPT),
    asset!("reference/operation.js", SCRIPT),
    asset!("reference/reference.js", SCRIPT),
    asset!("reference/schema.js", SCRIPT),
    asset!("reference/tryit.js", SCRIPT),
    asset!("style/base.css", STYLE),
    asset!("style/parts.css", STYLE),
    asset!("style/reference.css", STYLE),
    asset!("style/views.css", STYLE),
    asset!("views/alerts.js", SCRIPT),
    asset!("views/deadletters.js", SCRIPT),
    asset!("views/overview.js", SCRIPT),
    asset!("views/records.js", SCRIPT),
    asset!("views/rules.js", SCRIPT),
    asset!("vendor/uplot.LICENSE", TEXT),
    asset!("vendor/uplot.css", STYLE),
    asset!("vendor/uplot.js", SCRIPT),
];

impl Asset {
    /// Makes an asset of content that the program generates.
    pub(crate) fn generated(media_type: &'static str, bytes: &'static [u8]) -> Self {
        Self { name: "", media_type, bytes, tag: OnceLock::new() }
    }

    /// Finds the asset of a path below `/assets/`.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.name == name)
    }

    fn tag(&self) -> &HeaderValue {
        self.tag.get_or_init(|| {
            let hash = blake3::hash(self.bytes).to_hex();
            HeaderValue::try_from(format!("\"{}\"", &hash[..32])).expect("hexadecimal digits are fit for a header")
        })
    }

    /// Answers with the file, or with `304` if the client has it (RFC 9110, section 13.1.2).
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = if conditional::has_current_copy(headers, self.tag()) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut whole = self.bytes.into_response();
            whole.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
            whole
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag().clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        response
    }
}

/// `GET /`.
pub(crate) fn page(headers: &HeaderMap) -> Response {
    PAGE.answer(headers)
}

/// `GET /docs`.
pub(crate) fn reference(headers: &HeaderMap) -> Response {
    REFERENCE.answer(headers)
}

/// Says whether a request is a visit by a browser: a read that prefers HTML.
pub(crate) fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    (method == Method::GET || method == Method::HEAD) && format::accepts_html(headers)
}

/// The page for an unknown path.
pub(crate) fn unknown(path: &str) -> Response {
    let mut response = warp::http::Response::new(unknown_text(path).into());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(UNKNOWN.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(CACHE));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Writes the page for an unknown path, with relative links to the root.
fn unknown_text(path: &str) -> String {
    let depth = path.matches('/').count().saturating_sub(1).min(DEPTH_MAX);
    let root = if depth == 0 { "./".to_owned() } else { "../".repeat(depth) };
    std::str::from_utf8(UNKNOWN.bytes).expect("pages are text").replace(ROOT, &root)
}

#[cfg(test)]
mod tests;
