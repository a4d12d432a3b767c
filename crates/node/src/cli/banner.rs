//! What `lockgate run` prints once it listens: where to push, where to watch, where to look.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{App, AppAccess};
use crate::node::Addresses;

/// The port that RTMP URLs need not name.
const RTMP_PORT: u16 = 1935;

/// The text, with URLs that work as they stand on this machine. No key is ever in it.
pub(super) fn banner(apps: &[App], addresses: &Addresses) -> String {
    let Addresses { rtmp, http, .. } = *addresses;
    let mut text = format!("lockgate {} is up\n\n", env!("CARGO_PKG_VERSION"));
    let http = format!("http://{}", reachable(http));
    let authority = match reachable(rtmp) {
        address if address.port() == RTMP_PORT => host(address.ip()),
        address => address.to_string(),
    };
    for app in apps {
        let base = format!("rtmp://{authority}/{}", app.name);
        let (push, watch) = match app.access {
            AppAccess::Open => (format!("{base}/<name>"), format!("{base}/<name>")),
            AppAccess::Keys => (
                format!("{base}/<name>?key=<one of its publish_keys>"),
                format!("{base}/<name>?key=<one of its play_keys>"),
            ),
            AppAccess::Signed => {
                line(&mut text, &app.name, "signed URLs only");
                continue;
            }
        };
        line(&mut text, "push", &push);
        if app.access == AppAccess::Open {
            let example = format!("ffmpeg -re -i input.mp4 -c copy -f flv {base}/demo");
            line(&mut text, "", &example);
        }
        line(&mut text, "watch", &watch);
        let flv = match app.access {
            AppAccess::Keys => "<name>.flv?key=<one of its play_keys>",
            _ => "<name>.flv",
        };
        line(&mut text, "", &format!("{http}/{}/{flv}", app.name));
        if app.access == AppAccess::Open {
            line(
                &mut text,
                "",
                &format!("ffplay -fflags nobuffer {base}/demo"),
            );
        }
    }
    line(&mut text, "console", &format!("{http}/"));
    line(&mut text, "metrics", &format!("{http}/metrics"));
    line(&mut text, "API", &format!("{http}/api/v1/streams"));
    line(&mut text, "", &format!("{http}/api/v1/openapi.json"));
    line(
        &mut text,
        "gateway",
        &format!("{http} for the SDK's ConfPriCloudAddr"),
    );
    line(
        &mut text,
        "demo",
        "open sdk/demo in the WeChat developer tools and enter the gateway's address;",
    );
    line(
        &mut text,
        "",
        "`make demo` shows two members who meet, without a phone",
    );
    // A client that checks certificates needs the name that is in this one, not an address.
    if let Some(rtmps) = addresses.rtmps {
        for app in apps.iter().filter(|app| app.access != AppAccess::Signed) {
            let url = format!("rtmps://{}/{}/<name>", reachable(rtmps), app.name);
            line(&mut text, "TLS", &url);
        }
    }
    if let Some(https) = addresses.https {
        line(&mut text, "TLS", &format!("https://{}", reachable(https)));
    }
    let any = rtmp.ip().is_unspecified();
    if any {
        let _ = writeln!(
            text,
            "\nRTMP listens on every address of this machine ({rtmp})."
        );
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}

fn line(text: &mut String, what: &str, value: &str) {
    let _ = writeln!(text, "  {what:<8} {value}");
}

/// An address to connect to: the unspecified one is for listening only.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// A host as URLs write it.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, access: AppAccess) -> App {
        App {
            publish_keys: vec!["hidden-key".to_owned()],
            ..App::new(name, access)
        }
    }

    fn addresses(rtmp: &str, http: &str) -> Addresses {
        Addresses {
            rtmp: rtmp.parse().unwrap(),
            http: http.parse().unwrap(),
            rtmps: None,
            https: None,
            webrtc: None,
        }
    }

    #[test]
    fn listeners_behind_tls_have_lines_of_their_own() {
        let apps = [app("live", AppAccess::Open), app("mini", AppAccess::Signed)];
        let mut addresses = addresses("127.0.0.1:1935", "127.0.0.1:8080");
        assert!(!banner(&apps, &addresses).contains("TLS"));
        addresses.rtmps = Some("0.0.0.0:1936".parse().unwrap());
        addresses.https = Some("[::]:443".parse().unwrap());
        let text = banner(&apps, &addresses);
        assert!(
            text.contains("rtmps://127.0.0.1:1936/live/<name>\n"),
            "{text}"
        );
        assert!(text.contains("https://[::1]:443\n"), "{text}");
        assert_eq!(text.matches("TLS").count(), 2, "{text}");
    }

    #[test]
    fn urls_are_ready_to_paste() {
        let text = banner(
            &[app("live", AppAccess::Open)],
            &addresses("127.0.0.1:1935", "127.0.0.1:8080"),
        );
        assert!(
            text.contains("-f flv rtmp://127.0.0.1/live/demo\n"),
            "{text}"
        );
        assert!(
            text.contains("ffplay -fflags nobuffer rtmp://127.0.0.1/live/demo\n"),
            "{text}"
        );
        assert!(text.contains("console  http://127.0.0.1:8080/\n"), "{text}");
        assert!(
            text.contains("http://127.0.0.1:8080/live/<name>.flv\n"),
            "{text}"
        );
        assert!(text.contains("http://127.0.0.1:8080/metrics\n"), "{text}");
        assert!(text.contains("gateway  http://127.0.0.1:8080 "), "{text}");
        assert!(text.contains("open sdk/demo in the WeChat"), "{text}");
    }

    #[test]
    fn unspecified_addresses_become_loopback_and_keys_stay_hidden() {
        let text = banner(
            &[
                app("studio", AppAccess::Keys),
                app("mini", AppAccess::Signed),
            ],
            &addresses("[::]:19350", "0.0.0.0:80"),
        );
        assert!(
            text.contains("rtmp://[::1]:19350/studio/<name>?key="),
            "{text}"
        );
        assert!(text.contains("http://127.0.0.1:80/metrics"), "{text}");
        assert!(text.contains("signed URLs only"), "{text}");
        assert!(!text.contains("hidden-key"), "{text}");
    }
}
