//! Which web pages may read media.
//!
//! A URL is all that media asks for, and no cookie or password of a browser: so a page of any origin
//! that knows a URL may read it, unless the config names origins.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What stands for every origin.
const ANY: &str = "*";

/// The origins that may.
#[derive(Debug, Clone)]
pub(super) struct Cors {
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// `origins` as the config has them; what is no header value was refused there.
    pub(super) fn new(origins: &[String]) -> Self {
        let values = origins
            .iter()
            .filter_map(|it| HeaderValue::from_str(it).ok());
        Self {
            origins: values.collect(),
        }
    }

    /// Whether a request may be answered: it comes from no page, or from one that may read. Asked
    /// where browsers do not ask: they open a WebSocket to anywhere.
    pub(super) fn allows(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(header::ORIGIN);
        origin.is_none_or(|origin| self.origins.iter().any(|it| it == ANY || it == origin))
    }

    /// Says in an answer who may read it.
    pub(super) fn mark(&self, request: &HeaderMap, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if self.origins.iter().any(|origin| origin == ANY) {
            let any = HeaderValue::from_static(ANY);
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            return response;
        }
        // Caches must not give one page's answer to another.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = request.get(header::ORIGIN)
            && self.allows(request)
        {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        response
    }

    /// Answers what a browser asks before a request with headers of a page's own.
    pub(super) fn preflight(&self, request: &HeaderMap) -> Response {
        const ALLOWED: [(HeaderName, &str); 3] = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "range"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        self.mark(request, (StatusCode::NO_CONTENT, ALLOWED).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &'static str) -> HeaderMap {
        let origin = HeaderValue::from_static(origin);
        HeaderMap::from_iter([(header::ORIGIN, origin)])
    }

    fn allowed(origins: &[&str], request: &HeaderMap) -> Option<String> {
        let origins: Vec<_> = origins.iter().map(|&it| it.to_owned()).collect();
        let marked = Cors::new(&origins).mark(request, ().into_response());
        let allowed = marked.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        allowed.map(|it| it.to_str().unwrap().to_owned())
    }

    #[test]
    fn any_page_reads_unless_origins_are_named() {
        let page = from("https://example.com");
        assert_eq!(allowed(&["*"], &page).as_deref(), Some("*"));
        assert_eq!(allowed(&["*"], &HeaderMap::new()).as_deref(), Some("*"));
        let named = ["https://example.com", "http://localhost:8000"];
        let answer = allowed(&named, &page);
        assert_eq!(answer.as_deref(), Some("https://example.com"));
        assert_eq!(allowed(&named, &from("https://evil.example")), None);
        assert_eq!(allowed(&[], &page), None);
    }

    #[test]
    fn who_is_no_page_is_never_asked_for_an_origin() {
        let cors = Cors::new(&["https://example.com".to_owned()]);
        assert!(cors.allows(&HeaderMap::new()));
        assert!(cors.allows(&from("https://example.com")));
        assert!(!cors.allows(&from("https://example.com.evil.example")));
        assert!(!cors.allows(&from("null")));
    }
}
