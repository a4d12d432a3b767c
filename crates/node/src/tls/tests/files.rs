//! What is read from the files, and what a look at changed files does.

use super::*;
use crate::tls::reload::Look;

#[test]
fn what_is_no_pair_is_told_by_key_and_file() {
    let (issued, other) = (Issued::new(), Issued::new());
    let file = |name: &str, text: &str| {
        let path = issued.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (issued.cert(), issued.key());
    let absent = issued.folder.path().join("absent.pem");
    let empty = file("empty.pem", "");
    let broken = file(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
    );
    let cut = file("cut.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
                    -----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let nonsense = file("nonsense.pem", nonsense);
    for (cert, key, named, said) in [
        (
            &absent,
            &key,
            "tls.cert",
            "cannot read PATH/absent.pem: No such file",
        ),
        (
            &cert,
            &absent,
            "tls.key",
            "cannot read PATH/absent.pem: No such file",
        ),
        (
            &empty,
            &key,
            "tls.cert",
            "PATH/empty.pem holds no certificate in PEM",
        ),
        (
            &key,
            &key,
            "tls.cert",
            "PATH/key.pem holds no certificate in PEM",
        ),
        (
            &cert,
            &cert,
            "tls.key",
            "PATH/cert.pem holds no private key in PEM",
        ),
        (
            &broken,
            &key,
            "tls.cert",
            "PATH/broken.pem is not PEM: its base64",
        ),
        (&cert, &cut, "tls.key", "PATH/cut.pem is not PEM: a section"),
        (
            &nonsense,
            &key,
            "tls.cert",
            "the certificate in PATH/nonsense.pem cannot be used: ",
        ),
        (
            &cert,
            &nonsense,
            "tls.key",
            "the private key in PATH/nonsense.pem cannot be used: ",
        ),
        (
            &cert,
            &other.key(),
            "tls.key",
            "is not that of the first certificate in PATH/cert.pem",
        ),
    ] {
        let error = Pair::load(cert, key).unwrap_err();
        let text = error.to_string();
        let text = text.replace(issued.folder.path().to_str().unwrap(), "PATH");
        assert!(text.contains(said), "{text} is not {said}");
        assert_eq!(error.key(), named, "{text}");
    }
}

#[test]
fn one_file_may_hold_the_chain_and_the_key() {
    let issued = Issued::new();
    let both = [issued.cert(), issued.key()].map(|path| std::fs::read_to_string(path).unwrap());
    let path = issued.folder.path().join("both.pem");
    std::fs::write(&path, both.concat()).unwrap();
    assert!(Pair::load(&path, &path).is_ok());
}

#[test]
fn a_changed_pair_is_taken_once_it_has_come_to_rest() {
    let issued = Issued::new();
    let (_, mut watch) = issued.tls();
    assert!(matches!(watch.look(), Look::Unchanged));
    issued.renew();
    assert!(matches!(watch.look(), Look::Settling));
    issued.renew();
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Loaded));
    assert!(matches!(watch.look(), Look::Unchanged));
}

#[tokio::test]
async fn a_bad_pair_leaves_the_old_one_in_use_and_is_told_once() {
    let issued = Issued::new();
    let (tls, mut watch) = issued.tls();
    let trusts_old = issued.client(ALL_VERSIONS, &[]);
    let served = async |client: &TlsConnector| shaken(client, &tls.rtmps).await.0.is_ok();

    std::fs::write(issued.key(), "half a ke").unwrap();
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Refused(_)));
    assert!(matches!(watch.look(), Look::Unchanged));
    assert!(served(&trusts_old).await);
    std::fs::remove_file(issued.key()).unwrap();
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Refused(_)));
    assert!(served(&trusts_old).await);

    issued.renew();
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Loaded));
    assert!(served(&issued.client(ALL_VERSIONS, &[])).await);
}

#[test]
fn the_metrics_tell_when_the_certificate_in_use_ends() {
    let told = |registry: &Registry| {
        let families = registry.gather();
        assert_eq!(families.len(), 1);
        let name = "lockgate_tls_certificate_expiry_timestamp_seconds";
        assert_eq!(families[0].name(), name);
        families[0].get_metric()[0].get_gauge().get_value()
    };
    let issued = Issued::new();
    issued.renew_until(2030);
    let registry = Registry::new();
    let (_, mut watch) = issued.tls_told_to(&registry);
    assert_eq!(told(&registry), 1_893_456_000.0);
    std::fs::write(issued.key(), "half a ke").unwrap();
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Refused(_)));
    assert_eq!(told(&registry), 1_893_456_000.0);
    // Past 2049 a certificate writes its times in another way (RFC 5280 §4.1.2.5).
    issued.renew_until(2050);
    assert!(matches!(watch.look(), Look::Settling));
    assert!(matches!(watch.look(), Look::Loaded));
    assert_eq!(told(&registry), 2_524_608_000.0);
}
