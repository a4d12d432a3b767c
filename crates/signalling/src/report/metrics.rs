//! What clients' reports add up to. Labels are the side, never a member.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::News;

/// Seconds of buffer. `live-player` in RTC mode holds 0.2 to 0.8 s.
const SECONDS: [f64; 9] = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 3.0, 5.0];

/// Frames a second, around what cameras and encoders are set to.
const FRAMES: [f64; 8] = [1.0, 5.0, 10.0, 14.0, 19.0, 24.0, 29.0, 60.0];

#[derive(Debug)]
pub(super) struct Metrics {
    delay: Histogram,
    frames: HistogramVec,
    stalls: IntCounter,
    errors: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let delay = Histogram::with_opts(
            HistogramOpts::new(
                "lockgate_client_player_delay_seconds",
                "Media that players hold back, as clients report it.",
            )
            .buckets(SECONDS.into()),
        )?;
        registry.register(Box::new(delay.clone()))?;
        let frames = HistogramVec::new(
            HistogramOpts::new(
                "lockgate_client_frames_per_second",
                "Video frames a second, as clients report them.",
            )
            .buckets(FRAMES.into()),
            &["side"],
        )?;
        registry.register(Box::new(frames.clone()))?;
        let stalls = IntCounter::new(
            "lockgate_client_stalls_total",
            "Stalls of players, as clients report them.",
        )?;
        registry.register(Box::new(stalls.clone()))?;
        let errors = IntCounterVec::new(
            Opts::new(
                "lockgate_client_errors_total",
                "Errors of pushers and players, as clients report them.",
            ),
            &["side"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        for side in ["pusher", "player"] {
            frames.with_label_values(&[side]);
            errors.with_label_values(&[side]);
        }
        Ok(Self {
            delay,
            frames,
            stalls,
            errors,
        })
    }

    pub(super) fn pusher(&self, news: &News) {
        self.side("pusher", news);
    }

    pub(super) fn player(&self, news: &News) {
        self.side("player", news);
        self.stalls.inc_by(news.stalls());
        // Milliseconds of each; what is heard or seen last is as late as the longer.
        let net = news.net.as_ref();
        let held = ["videoCache", "audioCache"]
            .into_iter()
            .filter_map(|name| net?.get(name).copied())
            .reduce(f64::max);
        if let Some(held) = held {
            self.delay.observe((held / 1000.0).clamp(0.0, 60.0));
        }
    }

    fn side(&self, side: &str, news: &News) {
        if let Some(frames) = news.net.as_ref().and_then(|net| net.get("videoFPS")) {
            let frames = frames.clamp(0.0, 240.0);
            self.frames.with_label_values(&[side]).observe(frames);
        }
        let errors = self.errors.with_label_values(&[side]);
        errors.inc_by(news.errors());
    }
}
