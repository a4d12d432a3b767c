//! The config: defaults, layers, and what its errors say.

use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use super::*;

const DOCUMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/lockgate.toml");

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_file(text: &str) -> Result<Config, ConfigError> {
    Config::load::<&str>(Some(file(text).path()), [], [])
}

/// What is said about a file, its name cut out.
fn file_error(text: &str) -> String {
    let file = file(text);
    let error = Config::load::<&str>(Some(file.path()), [], []).unwrap_err();
    error
        .to_string()
        .replace(file.path().to_str().unwrap(), "FILE")
}

fn load_sets(sets: &[&str]) -> Result<Config, String> {
    Config::load(None, [], sets).map_err(|error| error.to_string())
}

fn load_env(vars: &[(&str, &str)]) -> Result<Config, String> {
    let vars = vars
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Config::load::<&str>(None, vars, []).map_err(|error| error.to_string())
}

#[test]
fn the_documented_config_is_the_default_one() {
    let documented = Config::load::<&str>(Some(Path::new(DOCUMENTED)), [], []).unwrap();
    assert_eq!(documented, Config::default());
}

#[test]
fn every_key_is_documented() {
    let text = std::fs::read_to_string(DOCUMENTED).unwrap();
    let documented: toml::Table = text.parse().unwrap();
    let default = toml::Table::try_from(Config::default()).unwrap();
    let keys = |table: &toml::Table| {
        let mut keys = Vec::new();
        for (section, value) in table {
            let inner = match value {
                toml::Value::Array(items) => items[0].as_table().unwrap(),
                value => value.as_table().unwrap(),
            };
            keys.extend(inner.keys().map(|key| format!("{section}.{key}")));
        }
        keys.sort();
        keys
    };
    assert_eq!(keys(&documented), keys(&default));
    // Each key of a section stands below a comment of its own.
    let lines: Vec<_> = text.lines().collect();
    for pair in lines
        .windows(2)
        .filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#'))
    {
        assert!(pair[0].starts_with('#'), "{} has no comment", pair[1]);
    }
}

#[test]
fn the_shown_config_reads_back_as_itself() {
    let mut config = Config::default();
    config.egress.max_hold = Duration::from_millis(350);
    config.routing.ring_bytes = 64 << 20;
    let file = file(&config.redacted_toml());
    assert_eq!(
        Config::load::<&str>(Some(file.path()), [], []).unwrap(),
        config
    );
}

#[test]
fn secrets_are_not_shown() {
    let config = load_sets(&[
        "api.token=token-hunter2",
        "apps=[{name='a', access='keys', publish_keys=['push-hunter2'], play_keys=['play-hunter2']}]",
    ])
    .unwrap();
    for shown in [
        config.redacted_toml(),
        format!("{config:?}"),
        format!("{:?}", Settings::try_from(&config)),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(config.redacted_toml().matches('…').count(), 3);
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = file(
        "[rtmp]\nlisten = \"127.0.0.1:1\"\n[log]\nfilter = \"warn\"\n[egress]\nmax_hold = \"0\"\n",
    );
    let env = [
        ("LOCKGATE_RTMP__LISTEN", "127.0.0.1:2"),
        ("LOCKGATE_LOG__FILTER", "debug"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::load(Some(file.path()), env, ["rtmp.listen=127.0.0.1:3"]).unwrap();
    assert_eq!(config.rtmp.listen.port(), 3);
    assert_eq!(config.log.filter, "debug");
    assert_eq!(config.egress.max_hold, Duration::ZERO);
    assert_eq!(config.http, Http::default());
}

#[test]
fn set_values_are_toml_or_plain_text() {
    let config = load_sets(&[
        "rtmp.listen=\"[::1]:19350\"",
        "rtmp.max_message_size=1MiB",
        "routing.ring_bytes=2097152",
        "limits.players=7",
        "api.token=12345",
        " egress.max_hold =0",
        "apps=[{name='a', access='open'}, {name='b'}]",
    ])
    .unwrap();
    assert_eq!(config.rtmp.listen, "[::1]:19350".parse().unwrap());
    assert_eq!(config.rtmp.max_message_size, 1 << 20);
    assert_eq!(config.routing.ring_bytes, 2 << 20);
    assert_eq!(config.limits.players.get(), 7);
    assert_eq!(config.api.token, "12345");
    assert_eq!(config.apps.len(), 2);
    assert_eq!(config.apps[1].access, AppAccess::Signed);
}

#[test]
fn errors_of_a_file_name_key_value_allowed_and_line() {
    for (text, expected) in [
        (
            "[rtmp]\nlisten = \"here\"\n",
            "rtmp.listen = \"here\": expected an IP address and a port such as \"127.0.0.1:1935\" or \"[::]:1935\" (from FILE line 2)",
        ),
        (
            "\n[egress]\nmax_hold = 40\n",
            "egress.max_hold = 40: expected a duration such as \"350ms\", \"10s\", \"2m\" or \"1h\" (from FILE line 3)",
        ),
        (
            "[egress]\nmax_hold = \"2s\"\n",
            "egress.max_hold = \"2s\": expected between 0s and 1s (from FILE line 2)",
        ),
        (
            "[rtmp]\nlistn = \"127.0.0.1:1\"\n",
            "rtmp.listn: no such key; expected one of `listen`, `handshake_timeout`, `max_message_size` (from FILE line 2)",
        ),
        (
            "[rtpm]\n",
            "rtpm: no such key; expected one of `rtmp`, `http`, `webrtc`, `tls`, `api`, `log`, `limits`, `ingest`, `routing`, `egress`, `signalling`, `webhooks`, `shutdown`, `apps` (from FILE line 1)",
        ),
        (
            "[ingest]\nconflict = \"fight\"\n",
            "ingest.conflict = \"fight\": expected `replace` or `reject` (from FILE line 2)",
        ),
        (
            "[limits]\nplayers = 0\n",
            "limits.players = 0: expected a nonzero u32 (from FILE line 2)",
        ),
        (
            "[limits]\nplayers = -1\n",
            "limits.players = -1: expected a nonzero u32 (from FILE line 2)",
        ),
        (
            "[[apps]]\nname = \"a\"\naccess = \"open\"\n\n[[apps]]\nname = \"a/b\"\n",
            "apps[1].name = \"a/b\": expected 1 to 64 of letters, digits, '-', '_', '.' and '~' (from FILE line 6)",
        ),
        (
            "[[apps]]\naccess = \"open\"\n",
            "apps[0]: add the key `name` (from FILE line 1)",
        ),
        (
            "rtmp = 5\n",
            "rtmp = 5: expected a section (from FILE line 1)",
        ),
    ] {
        assert_eq!(file_error(text), expected);
    }
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_place() {
    let error = file_error("[rtmp]\nlisten = = \"x\"\n");
    assert!(
        error.starts_with("FILE line 2, column 10: not TOML: "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    let missing = Config::load::<&str>(Some(Path::new("/nonexistent/x.toml")), [], []).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("cannot read the config file /nonexistent/x.toml: No such file")
    );
}

#[test]
fn errors_of_env_and_set_name_where_they_came_from() {
    let error = load_env(&[("LOCKGATE_RTMP__LISTEN", "x")]).unwrap_err();
    assert!(
        error.starts_with("rtmp.listen = \"x\": expected an IP address"),
        "{error}"
    );
    assert!(error.ends_with("(from LOCKGATE_RTMP__LISTEN)"), "{error}");
    let error = load_sets(&["limits.players=many"]).unwrap_err();
    assert_eq!(
        error,
        "limits.players = \"many\": expected a nonzero u32 (from --set)"
    );
    let error = load_sets(&["rtmp.listen"]).unwrap_err();
    assert!(
        error.starts_with("--set rtmp.listen: expected key=value"),
        "{error}"
    );
    let error = load_sets(&["rtmp.listen.port=1"]).unwrap_err();
    assert!(error.starts_with("rtmp.listen"), "{error}");
    let error = load_sets(&["rtmp={listen='127.0.0.1:1'}"]).unwrap_err();
    assert_eq!(
        error,
        "rtmp: set one key at a time, as section.key (from --set)"
    );
}

#[test]
fn a_variable_with_one_underscore_too_few_is_not_passed_over() {
    let error = load_env(&[("LOCKGATE_RTMP_MAX_MESSAGE_SIZE", "1")]).unwrap_err();
    assert!(error.contains("LOCKGATE_RTMP__MAX_MESSAGE_SIZE"), "{error}");
    // What Kubernetes makes for a service called lockgate.
    let made = [
        ("LOCKGATE_PORT", "tcp://10.0.0.1:1935"),
        ("LOCKGATE_SERVICE_HOST", "10.0.0.1"),
        ("LOCKGATE_PORT_1935_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(load_env(&made).unwrap(), Config::default());
    assert!(
        load_env(&[("LOCKGATE_RTMP__PORT", "1")])
            .unwrap_err()
            .contains("no such key")
    );
}

#[test]
fn keys_that_do_not_fit_each_other_are_refused() {
    for (sets, expected) in [
        (
            &["http.listen=0.0.0.0:8080"][..],
            "http.listen = \"0.0.0.0:8080\": off loopback the API needs a bearer token",
        ),
        (
            &["routing.ring_bytes=4096"],
            "routing.ring_bytes = 4096: expected at least rtmp.max_message_size, which is 8388608",
        ),
        (
            &["rtmp.max_message_size=1GiB"],
            "rtmp.max_message_size = \"1GiB\": expected between 4096 and 16777215 bytes",
        ),
        (
            &["log.filter=a=b=c"],
            "log.filter = \"a=b=c\": expected a filter such as",
        ),
        (&["apps=[]"], "apps: expected at least one app"),
        (
            &["apps=[{name='a', access='keys'}]"],
            "apps[0].access = \"keys\": expected publish_keys or play_keys beside it",
        ),
        (
            &["apps=[{name='a', access='open', play_keys=['k']}]"],
            "apps[0].play_keys: expected only beside access = \"keys\"",
        ),
        (
            &["apps=[{name='a'}, {name='a'}]"],
            "apps[1].name = \"a\": expected a name that no other app has",
        ),
        (
            &["rtmp.handshake_timeout=0"],
            "rtmp.handshake_timeout = \"0\": expected between 100ms and 1h",
        ),
        (
            &["http.cors_origins=['*', 'https://a.example/']"],
            "http.cors_origins[1] = \"https://a.example/\": expected \"*\" or an origin",
        ),
    ] {
        let error = load_sets(sets).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(error.ends_with("(from --set)"), "{error}");
    }
    assert!(load_sets(&["http.listen=0.0.0.0:8080", "api.token=t"]).is_ok());
    assert!(load_sets(&["http.listen=[::1]:0"]).is_ok());
    let origins = "http.cors_origins=['http://localhost:8000', 'https://a.example']";
    assert!(load_sets(&[origins]).is_ok());
}

#[test]
fn errors_do_not_repeat_secrets() {
    for text in [
        "[api]\ntoken = \"hunter 2\"\n",
        "[[apps]]\nname = \"a\"\naccess = \"keys\"\npublish_keys = [\"hunter 2\"]\n",
        "[[apps]]\nname = \"a\"\naccess = \"keys\"\npublish_keys = \"hunter 2\"\n",
        "[[apps]]\nname = \"a\"\npublish_key = \"hunter 2\"\n",
        "apps = \"hunter 2\"\n",
    ] {
        let error = load_file(text).unwrap_err().to_string();
        assert!(!error.contains("hunter"), "{error}");
    }
}

#[test]
fn durations_and_sizes_read_what_they_write() {
    for ms in [0, 1, 40, 1_000, 1_350, 60_000, 86_400_000] {
        let duration = Duration::from_millis(ms);
        assert_eq!(
            text::parse_duration(&text::show_duration(duration)),
            Ok(duration)
        );
    }
    assert_eq!(text::parse_duration("2m"), Ok(Duration::from_secs(120)));
    assert_eq!(text::parse_duration("1 h"), Ok(Duration::from_secs(3600)));
    for wrong in [
        "",
        "s",
        "10",
        "-1s",
        "1.5s",
        "10 parsecs",
        "25h",
        "99999999999999999999s",
        "é",
    ] {
        assert!(text::parse_duration(wrong).is_err(), "{wrong:?}");
    }
    assert_eq!(text::parse_bytes("64KiB"), Ok(65_536));
    for wrong in [
        "",
        "MiB",
        "8mb",
        "-1",
        "99999999999999999999",
        "99999999999GiB",
    ] {
        assert!(text::parse_bytes(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn webhooks_need_a_url_to_post_to_and_a_secret_to_sign_with() {
    let secret = "webhooks.secret=hunter2";
    let url = "webhooks.url=https://app.example/hook?key=hunter2";
    let config = load_sets(&[secret, url]).unwrap();
    let webhooks = Settings::try_from(&config).unwrap().webhooks();
    assert!(webhooks.url.is_some() && webhooks.auth_url.is_none());
    for shown in [config.redacted_toml(), format!("{config:?}")] {
        assert!(shown.contains("https://app.example/…"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let unsigned = load_sets(&[url]).unwrap_err();
    assert!(unsigned.starts_with("webhooks.secret"), "{unsigned}");
    let wrong = load_sets(&[secret, "webhooks.auth_url=ftp://hunter2/"]).unwrap_err();
    assert!(wrong.starts_with("webhooks.auth_url"), "{wrong}");
    assert!(!wrong.contains("hunter2"), "{wrong}");
}
