//! Pure: single values as a person reads them.

use std::time::Duration;

use serde::Serialize;
use station_proto::time::Time;

/// `3 s`, `12 min`, `5 h`, `3 d`
pub(super) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// How long before `now` it was.
pub(super) fn ago(then: Time, now: Time) -> String {
    let ms = u64::try_from(now.as_ms() - then.as_ms()).unwrap_or(0);
    duration(Duration::from_millis(ms))
}

/// The wire's word of an enum.
pub(super) fn word<T: Serialize>(value: T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// `3.2 GiB`
pub(super) fn gib(mib: u64) -> String {
    let tenths = mib * 10 / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// Control characters would let a log line rewrite the terminal; they are shown escaped.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = !c.is_control() || c == '\t';
            let escaped = (!plain).then(|| c.escape_default());
            escaped.into_iter().flatten().chain(plain.then_some(c))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(duration(Duration::from_secs(119)), "119 s");
        assert_eq!(duration(Duration::from_secs(720)), "12 min");
        assert_eq!(duration(Duration::from_secs(3 * 86_400)), "3 d");
        assert_eq!(gib(1536), "1.5 GiB");
        assert_eq!(printable("a\x1b[31mb\tc"), "a\\u{1b}[31mb\tc");
        assert_eq!(word(station_proto::heartbeat::Phase::ConfigError), "config-error");
    }
}
