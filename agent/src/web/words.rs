//! How states, sizes and times read to a person.

use std::time::Duration;

use station_proto::app::AppPhase;
use station_proto::heartbeat::Phase;
use station_proto::time::Time;

use crate::web::html::Html;

/// A word and the colour that goes with it (a class in style.css).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

const fn label(word: &'static str, class: &'static str) -> Label {
    Label { word, class }
}

pub(super) const fn app_phase(phase: AppPhase) -> Label {
    match phase {
        AppPhase::Stopped => label("stopped", "quiet"),
        AppPhase::Starting => label("starting", "busy"),
        AppPhase::Ready => label("ready", "good"),
        AppPhase::Degraded => label("not answering", "bad"),
        AppPhase::Backoff => label("waits to start again", "bad"),
        AppPhase::Failed => label("failed", "bad"),
        AppPhase::Stopping => label("stopping", "busy"),
        AppPhase::Unavailable => label("not installed", "quiet"),
    }
}

pub(super) const fn phase(phase: Phase) -> Label {
    match phase {
        Phase::Starting => label("starting", "busy"),
        Phase::Ready => label("ready", "good"),
        Phase::Degraded => label("needs attention", "bad"),
        Phase::ConfigError => label("configuration error", "bad"),
        Phase::StartScriptFailed => label("start script failed", "bad"),
        Phase::Stopping => label("stopping", "busy"),
    }
}

/// The label as a coloured pill.
pub(super) fn pill(label: Label) -> Html {
    Html::literal("<span class=\"pill ").raw(label.class).raw("\">").raw(label.word).raw("</span>")
}

/// What to do.
pub(super) fn action(text: &str) -> Html {
    Html::literal("<p class=\"action\">What to do: ").text(text).raw("</p>")
}

/// A point in time; the script replaces the text by the reader's own time.
pub(super) fn time(at: Time) -> Html {
    Html::literal("<time datetime=\"")
        .value(at)
        .raw("\">")
        .text(&at.0.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .raw("</time>")
}

/// `612 MiB`, `15.2 GiB`, `1.8 TiB`
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn mebibytes(mib: u64) -> String {
    let gib = mib as f64 / 1024.0;
    if mib < 1024 {
        format!("{mib} MiB")
    } else if gib < 1024.0 {
        format!("{gib:.1} GiB")
    } else {
        format!("{:.1} TiB", gib / 1024.0)
    }
}

/// `a moment`, `8 s`, `3 min`, `2 h`
pub(super) fn duration(length: Duration) -> String {
    match length.as_secs() {
        0 => "a moment".to_owned(),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// How long from `now` until `then`; zero if it has passed.
pub(super) fn until(now: Time, then: Time) -> Duration {
    Duration::try_from(then.0.duration_since(now.0)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(mebibytes(612), "612 MiB");
        assert_eq!(mebibytes(15_565), "15.2 GiB");
        assert_eq!(mebibytes(2 * 1024 * 1024), "2.0 TiB");
        assert_eq!(duration(Duration::from_secs(0)), "a moment");
        assert_eq!(duration(Duration::from_secs(119)), "119 s");
        assert_eq!(duration(Duration::from_secs(600)), "10 min");
        assert_eq!(duration(Duration::from_secs(7200)), "2 h");
    }

    #[test]
    fn a_time_in_the_past_is_due_now() {
        let at = |ms| Time::from_ms(ms).unwrap();
        assert_eq!(until(at(5000), at(1000)), Duration::ZERO);
        assert_eq!(until(at(1000), at(5000)), Duration::from_secs(4));
    }
}
