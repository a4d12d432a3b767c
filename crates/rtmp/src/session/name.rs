//! What `app` and stream names mean: `live/_definst_`, `mp4:a`, `a?key=x` in all their places.
//!
//! Clients cut the same URL at different slashes, so the path is put together again: the app is
//! its first segment, the stream's name the rest.

use super::Config;

/// The instance Flash Media Server calls its default.
const DEFAULT_INSTANCE: &str = "_definst_";
/// Prefixes that say what container a recording has.
const CONTAINERS: [&str; 5] = ["mp4:", "flv:", "f4v:", "mp3:", "aac:"];

/// An app, and what its URL says beyond its name.
#[derive(Default)]
pub(super) struct App {
    /// The first segment.
    pub(super) name: String,
    /// The segments behind it, without the default instance; they start the stream's name.
    path: String,
    /// Without `?`; holds secrets.
    pub(super) query: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A stream's name and all queries that came with it.
#[derive(PartialEq, Default)]
pub(super) struct Stream {
    pub(super) name: String,
    /// Without `?`; holds secrets.
    pub(super) query: String,
}

impl App {
    /// Reads `app` and `tcUrl`, each of which may carry the query; `None` if a part is too long
    /// or holds control characters.
    pub(super) fn parse(app: &str, tc_url: &str, config: &Config) -> Option<Self> {
        let (mut path, mut query) = split_query(app);
        let (url, url_query) = split_query(tc_url);
        if path.trim_matches('/').is_empty() {
            path = url
                .split_once("://")
                .and_then(|(_, url)| url.split_once('/'))
                .map_or("", |x| x.1);
        }
        if query.is_empty() {
            query = url_query;
        }
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let name = segments.next().unwrap_or_default().to_owned();
        let path: Vec<_> = segments
            .filter(|segment| *segment != DEFAULT_INSTANCE)
            .collect();
        let app = Self {
            name,
            path: path.join("/"),
            query: query.to_owned(),
        };
        let fits = is_clean(&app.name, config.name_length)
            && is_clean(&app.path, config.name_length)
            && is_clean(&app.query, config.query_length);
        fits.then_some(app)
    }

    /// Reads the name in `publish` and `play`; `None` if it is empty, too long or holds control
    /// characters.
    pub(super) fn stream(&self, name: &str, config: &Config) -> Option<Stream> {
        let (path, query) = split_query(name);
        let path = path.trim_matches('/');
        let path = CONTAINERS
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))
            .unwrap_or(path);
        let name = join(&self.path, path, "/");
        let query = join(query, &self.query, "&");
        let fits = is_clean(&name, config.name_length) && is_clean(&query, config.query_length);
        (!path.is_empty() && fits).then_some(Stream { name, query })
    }
}

/// A URL without what may be secret: query, user and password.
pub(super) fn public_url(url: &str) -> String {
    let (url, _) = split_query(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn join(a: &str, b: &str, between: &str) -> String {
    if a.is_empty() || b.is_empty() {
        [a, b].concat()
    } else {
        [a, between, b].concat()
    }
}

fn is_clean(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(app: &str, tc_url: &str, name: &str) -> Option<(String, String, String)> {
        let config = Config::default();
        let app = App::parse(app, tc_url, &config)?;
        let stream = app.stream(name, &config)?;
        Some((app.name, stream.name, stream.query))
    }

    #[test]
    fn every_way_to_cut_a_url_gives_the_same_stream() {
        let cases = [
            // app, tcUrl, name → app, name, query
            ("live", "rtmp://h/live", "a", ("live", "a", "")),
            ("live/", "rtmp://h/live/", "/a", ("live", "a", "")),
            ("live/_definst_", "", "a", ("live", "a", "")),
            ("live", "", "mp4:a", ("live", "a", "")),
            ("live", "", "flv:a?k=1", ("live", "a", "k=1")),
            ("live/room", "", "a", ("live", "room/a", "")),
            ("live", "", "room/a", ("live", "room/a", "")),
            ("live/_definst_/room", "", "a", ("live", "room/a", "")),
            ("live?k=1", "rtmp://h/live?k=1", "a", ("live", "a", "k=1")),
            ("live", "rtmp://h/live?k=1", "a", ("live", "a", "k=1")),
            ("live?k=1", "", "a?l=2", ("live", "a", "l=2&k=1")),
            ("", "rtmp://h:1935/live", "a", ("live", "a", "")),
            ("", "rtmp://h", "a", ("", "a", "")),
            ("live", "", "a?k=x?y", ("live", "a", "k=x?y")),
        ];
        for (app, tc_url, name, (want_app, want_name, want_query)) in cases {
            let want = (
                want_app.to_owned(),
                want_name.to_owned(),
                want_query.to_owned(),
            );
            assert_eq!(read(app, tc_url, name), Some(want), "{app} {tc_url} {name}");
        }
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(read("live", "", &"a".repeat(255)).is_some());
        for (app, name) in [
            ("live", String::new()),
            ("live", "?k=1".to_owned()),
            ("live", "mp4:".to_owned()),
            ("live", "a\nb".to_owned()),
            ("live", "a".repeat(256)),
            ("live", format!("a?{}", "k".repeat(2049))),
            ("li\0ve", "a".to_owned()),
        ] {
            assert_eq!(read(app, "", &name), None, "{app} {name}");
        }
        assert_eq!(read(&"a".repeat(256), "", "a"), None);
    }

    #[test]
    fn public_urls_keep_no_secret() {
        assert_eq!(
            public_url("rtmp://u:p@h:1935/live?k=1"),
            "rtmp://h:1935/live"
        );
        assert_eq!(public_url("rtmp://h"), "rtmp://h");
        assert_eq!(public_url("live?k"), "live");
    }
}
