//! A report as a picture: how video's delay spreads, as SVG.
//!
//! The axis of percentiles widens towards 100, because it is the tail that players notice.

use std::fmt::Write;

use super::Report;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 310.0;

/// Percentiles with a mark on the axis.
const MARKS: [f64; 5] = [0.0, 50.0, 90.0, 99.0, 99.9];
/// Steps of an axis of values: 1, 2 or 5 times a power of ten.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl Report {
    /// Draws the distribution of video's delay.
    pub fn svg(&self) -> String {
        let curve = &self.video_delay_curve;
        let most = curve.iter().map(|(_, ms)| *ms).fold(0.1, f64::max);
        let step = step(most / 4.0);
        let top = (most / step).ceil() * step;
        let y = |ms: f64| BOTTOM - ms / top * (BOTTOM - TOP);

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        let title = format!(
            "Delay of video: {} publishers, {} players, {:.0} s",
            self.publishers, self.players, self.seconds
        );
        text(&mut svg, LEFT, 24.0, "start", &title);
        let delay = self.video_delay_ms;
        let values = format!(
            "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            delay.p50, delay.p99, delay.max
        );
        text(&mut svg, LEFT, 42.0, "start", &values);
        let mut ms = 0.0;
        while ms <= top + step / 2.0 {
            line(&mut svg, (LEFT, y(ms)), (RIGHT, y(ms)));
            text(
                &mut svg,
                LEFT - 8.0,
                y(ms) + 4.0,
                "end",
                &format!("{ms:.4}"),
            );
            ms += step;
        }
        for mark in MARKS {
            line(&mut svg, (x(mark), BOTTOM), (x(mark), BOTTOM + 4.0));
            text(
                &mut svg,
                x(mark),
                BOTTOM + 18.0,
                "middle",
                &format!("{mark}"),
            );
        }
        text(&mut svg, RIGHT, BOTTOM + 18.0, "middle", "max");
        let axes = "ms by percentile of frames";
        text(
            &mut svg,
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 38.0,
            "middle",
            axes,
        );
        let points: Vec<_> = curve
            .iter()
            .map(|(percent, ms)| format!("{:.1},{:.1}", x(*percent), y(*ms)))
            .collect();
        put(
            &mut svg,
            format_args!(
                "<polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"2\" points=\"{}\"/>\n</svg>\n",
                points.join(" ")
            ),
        );
        svg
    }
}

/// Each tenth of what is left to 100 takes as much room; the last mark stands for the maximum.
fn x(percent: f64) -> f64 {
    let nines = -(1.0 - percent / 100.0).max(1e-4).log10();
    LEFT + nines.min(4.0) / 4.0 * (RIGHT - LEFT)
}

/// The smallest step of an axis that is no smaller than `least`.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = STEPS.into_iter().map(|step| step * power);
    steps
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(10.0 * power)
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    // 0.5000 and 20.0000 read as 0.5 and 20.
    let text = match text.split_once('.') {
        Some((_, digits)) if digits.len() == 4 => text.trim_end_matches('0').trim_end_matches('.'),
        _ => text,
    };
    put(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n"),
    );
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    put(
        svg,
        format_args!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#ccc\"/>\n"),
    );
}

/// Writing to a string does not fail.
fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = svg.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps() {
        for (least, expected) in [
            (0.3, 0.5),
            (1.0, 1.0),
            (1.1, 2.0),
            (37.0, 50.0),
            (60.0, 100.0),
        ] {
            assert!((step(least) - expected).abs() < 1e-9, "{least}");
        }
    }

    #[test]
    fn percentiles_lie_within_the_axis_in_their_order() {
        let places = [0.0, 50.0, 99.0, 99.9, 100.0].map(x);
        assert!(places.is_sorted());
        assert_eq!((places[0], places[4]), (LEFT, RIGHT));
    }
}
