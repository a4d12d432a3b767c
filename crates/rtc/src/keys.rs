//! The keys of a viewer's media, taken where DTLS gives them out. For peers that are sent media the
//! node seals and opens by itself: one key, one sender, or packets of one number would give the key
//! away.
//!
//! Invariant: str0m never sees these keys. Without keys it cannot seal, so nothing that it might
//! want to say by RTP or RTCP can leave.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use parking_lot::Mutex;
use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion,
    SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider};
use str0m::{Rtc, RtcConfig};

/// A record of DTLS that is none. It never leaves: where str0m would send it is where media goes.
const WHERE: &[u8] = &[20];

/// What DTLS exports for SRTP.
pub(crate) struct Keys {
    pub(crate) profile: SrtpProfile,
    /// Both sides' masters (RFC 5764 §4.2).
    pub(crate) material: Vec<u8>,
    /// The node is DTLS's client: the first of the masters is its own.
    pub(crate) client: bool,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// What is shared with one peer's DTLS.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    keys: Mutex<Option<Keys>>,
    asked: AtomicBool,
}

impl Tap {
    /// The keys, once.
    pub(crate) fn take(&self) -> Option<Keys> {
        self.keys.lock().take()
    }

    /// Has str0m send what [`tells_where`] knows again.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }
}

/// Whether a datagram that str0m sends is there only for its destination.
pub(crate) fn tells_where(datagram: &[u8]) -> bool {
    datagram == WHERE
}

thread_local! {
    /// The tap of the peer that this thread is making: [`CryptoProvider`] knows no peers.
    static MAKING: RefCell<Option<Arc<Tap>>> = const { RefCell::new(None) };
}

static DTLS: LazyLock<Provider> = LazyLock::new(|| Provider {
    inner: str0m::crypto::from_feature_flags().dtls_provider,
});

static CRYPTO: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    Arc::new(CryptoProvider {
        dtls_provider: &*DTLS,
        ..str0m::crypto::from_feature_flags()
    })
});

/// Makes a peer whose keys go to the tap instead of str0m.
pub(crate) fn build(config: RtcConfig, now: Instant) -> (Rtc, Arc<Tap>) {
    let tap = Arc::new(Tap::default());
    MAKING.set(Some(Arc::clone(&tap)));
    let rtc = config.set_crypto_provider(Arc::clone(&CRYPTO)).build(now);
    MAKING.set(None);
    (rtc, tap)
}

#[derive(Debug)]
struct Provider {
    inner: &'static dyn DtlsProvider,
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.inner.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = self.inner.new_dtls(cert, now, dtls_version, mtu)?;
        let tap = MAKING.take();
        let tap = tap.ok_or_else(|| CryptoError::Other("no one takes the keys".into()))?;
        Ok(Box::new(Instance { inner, tap, now }))
    }

    fn is_test(&self) -> bool {
        self.inner.is_test()
    }
}

#[derive(Debug)]
struct Instance {
    inner: Box<dyn DtlsInstance>,
    tap: Arc<Tap>,
    /// The latest that it was told.
    now: Instant,
}

impl DtlsInstance for Instance {
    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        if self.tap.asked.swap(false, Ordering::Relaxed) {
            for (to, from) in buf.iter_mut().zip(WHERE) {
                *to = *from;
            }
            return DtlsOutput::Packet(buf.get(..WHERE.len()).unwrap_or_default());
        }
        match self.inner.poll_output(buf) {
            DtlsOutput::KeyingMaterial(material, profile) => {
                *self.tap.keys.lock() = Some(Keys {
                    profile,
                    material: material.to_vec(),
                    client: self.inner.is_active(),
                });
                // Goes on at once, with what comes after the keys.
                DtlsOutput::Timeout(self.now)
            }
            output => output,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        self.inner.handle_timeout(now)
    }

    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
