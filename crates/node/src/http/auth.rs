//! Who may use the API: loopback without a token, everyone else with it.
//!
//! A request that came to loopback through a proxy, from a web page under a foreign host name (DNS
//! rebinding), or from a page of another site, is not from this machine's operator and needs the
//! token as well.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::{Request, State as AxumState};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::error::ApiError;
use super::{Peer, State};

/// Everything below it needs the token.
const PROTECTED: &str = "/api/";

/// What proxies add to a request.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Lets a request through, or answers 401.
pub(super) async fn require_token(
    AxumState(state): AxumState<State>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if request.uri().path().starts_with(PROTECTED)
        && let Err(error) = check(&state, peer.ip(), request.headers())
    {
        return error.into_response();
    }
    next.run(request).await
}

fn check(state: &State, peer: IpAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    // A token that is sent is judged, wherever it comes from: a wrong one is a mistake to hear of.
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return if is_local(peer, headers) {
            Ok(())
        } else {
            Err(ApiError::token_missing())
        };
    };
    let offered = authorization.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match (offered, &state.token) {
        (Some(offered), Some(token)) if token.matches(offered) => Ok(()),
        _ => Err(ApiError::token_wrong()),
    }
}

/// True for a request that somebody on this machine made to this machine.
fn is_local(peer: IpAddr, headers: &HeaderMap) -> bool {
    let proxied = PROXY_HEADERS.iter().any(|name| headers.contains_key(*name));
    let own_name = match headers.get(header::HOST).map(|host| host.to_str()) {
        None => true,
        Some(Ok(host)) => names_loopback(host),
        Some(Err(_)) => false,
    };
    peer.to_canonical().is_loopback() && own_name && !proxied && is_own_page(headers)
}

/// False for a request of a page that came from elsewhere: browsers name its site in `Origin`.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let origin = origin.to_str().ok();
    let site = origin.and_then(|origin| origin.split_once("://"));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    site.zip(host).is_some_and(|((_, site), host)| site == host)
}

/// True if a `Host` header means this machine: `localhost`, `127.0.0.1:8080`, `[::1]:8080`.
fn names_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Tells the OpenAPI document about the token.
pub(super) struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "api.token of the node's config; not needed on loopback",
                ))
                .build(),
        );
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        // An empty requirement beside it says that it is optional.
        document.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new::<_, [&str; 0], &str>("token", []),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(names_loopback(own), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "evil.example:8080",
            "10.0.0.1:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            assert!(!names_loopback(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_proxied_request_is_not_local() {
        let loopback = "127.0.0.1".parse().unwrap();
        let mut headers = HeaderMap::new();
        assert!(is_local(loopback, &headers));
        assert!(is_local("::ffff:127.0.0.1".parse().unwrap(), &headers));
        assert!(!is_local("10.0.0.1".parse().unwrap(), &headers));
        headers.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert!(!is_local(loopback, &headers));
    }
}
