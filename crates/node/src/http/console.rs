//! The console: the page at `/` and its files, as `make console` left them when the node was built.
//!
//! They hold nothing of the node, so they need no token: what they ask the API for does. A node that
//! was built without them says on `/` how to get them.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::ApiError;
use super::pages;

/// Release builds carry the files; debug builds read them where they lie.
#[derive(RustEmbed)]
#[folder = "../../console/dist/"]
struct Files;

/// Where the page looks for its files. The dot keeps clear of apps' streams: `/<app>/<name>.flv`.
const FOLDER: &str = "_console";

/// What the page may do: run what came with it and talk to this node, nothing else. A picture that
/// is played by Media Source Extensions is a `blob:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Names of files carry a hash of what is in them.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// What `/` says to a browser when there is no console, before it lists the rest.
const NONE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>Lockgate</title>\
    <main><h1>Lockgate</h1><p>This node was built without its console. With Node.js 20.19 or later \
    and npm, <code>make run</code> builds both; so does <code>make console</code>, and then building \
    the node again.</p><p>Without it, there are:</p><dl>";

/// True for a client that shows pages: browsers ask for HTML, curl and probes for anything.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page.
pub(super) fn page(headers: &HeaderMap) -> Response {
    let fresh = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept, accept-encoding"),
    ];
    match file("index.html", headers) {
        Some(page) => (fresh, page).into_response(),
        None => {
            let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (fresh, HEADERS, html, none()).into_response()
        }
    }
}

/// A list, because its lines wrap on a phone: the policy leaves no style to say so for other text.
fn none() -> String {
    let mut text = NONE.to_owned();
    for line in pages::INDEX.lines() {
        if let Some((path, what)) = line.split_once("  ")
            && path != "/"
        {
            let (path, what) = (path.replace('<', "&lt;"), what.trim_start());
            text += &format!("<dt><code>{path}</code><dd>{what}");
        }
    }
    text + "</dl></main></html>"
}

/// One of its files.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let lasting = [
        (header::CACHE_CONTROL, FOR_EVER),
        (header::VARY, "accept-encoding"),
    ];
    // A slash can come escaped; there are no folders in this one.
    let found = (!name.contains('/')).then(|| file(&format!("{FOLDER}/{name}"), &headers));
    match found.flatten() {
        Some(file) => (lasting, file).into_response(),
        None => ApiError::no_such_route().into_response(),
    }
}

/// A file, packed where the client takes that and it was packed when it was built.
fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let packed = takes_gzip(headers).then(|| Files::get(&format!("{path}.gz")));
    let encoded = [(header::CONTENT_ENCODING, "gzip")];
    let (data, encoded) = match packed.flatten() {
        Some(file) => (file.data, Some(encoded)),
        None => (Files::get(path)?.data, None),
    };
    let body = match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    };
    let kind = [(header::CONTENT_TYPE, content_type(path))];
    Some(match encoded {
        Some(encoded) => (HEADERS, kind, encoded, body).into_response(),
        None => (HEADERS, kind, body).into_response(),
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok());
    let mut codings = accepted.unwrap_or_default().split(',');
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, axum::http::HeaderValue::from_static(value))])
    }

    #[test]
    fn browsers_get_the_page_and_command_lines_the_text() {
        let chromium = "text/html,application/xhtml+xml,*/*;q=0.8";
        assert!(is_browser(&with(header::ACCEPT, chromium)));
        assert!(!is_browser(&with(header::ACCEPT, "*/*")));
        assert!(!is_browser(&HeaderMap::new()));
    }

    #[test]
    fn files_are_packed_for_those_who_take_that() {
        for (accepted, packed) in [
            ("gzip, deflate, br", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0, br", false),
            ("x-gzipped", false),
            ("", false),
        ] {
            let headers = with(header::ACCEPT_ENCODING, accepted);
            assert_eq!(takes_gzip(&headers), packed, "{accepted}");
        }
    }

    #[test]
    fn the_page_is_told_to_run_nothing_from_elsewhere_with_a_console_or_without() {
        let page = page(&HeaderMap::new());
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str();
        assert!(policy.is_ok_and(|policy| policy.contains("default-src 'none'")));
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        let kind = page.headers()[header::CONTENT_TYPE].to_str();
        assert!(kind.is_ok_and(|kind| kind.starts_with("text/html")));
    }

    #[test]
    fn without_a_console_the_page_lists_the_rest_in_lines_that_wrap() {
        let page = none();
        assert!(page.contains("<dt><code>/metrics</code><dd>Prometheus metrics<dt>"));
        assert!(page.contains("<dt><code>/&lt;app>/&lt;name>.flv</code><dd>a stream, "));
        assert!(page.ends_with("<dd>every path, described</dl></main></html>"));
        assert!(!page.contains("<code>/</code>"), "it is this page");
        assert!(!page.contains("<pre"));
    }

    #[tokio::test]
    async fn what_is_no_file_of_the_console_is_not_found() {
        for name in ["nothing.js", "../index.html", "..", ""] {
            let answer = asset(Path(name.to_owned()), HeaderMap::new()).await;
            assert_eq!(answer.status(), axum::http::StatusCode::NOT_FOUND, "{name}");
        }
    }
}
