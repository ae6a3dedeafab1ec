//! Exponential back-off with jitter, as a pure function.
//!
//! The caller supplies the random number, so that a test can name it.

use std::time::Duration;

/// How long to wait before try number `attempt` (0 = the first repeat).
///
/// `base * 2^attempt`, at most `max`, times a factor between 0.5 and 1.5 chosen by `jitter`
/// (0.0 to 1.0). The jitter keeps hundreds of machines from coming back in step.
pub fn delay(base: Duration, max: Duration, attempt: u32, jitter: f64) -> Duration {
    let exponential = base.saturating_mul(2_u32.saturating_pow(attempt.min(20)));
    exponential.min(max).mul_f64(0.5 + jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_until_the_limit_and_stays_within_the_jitter() {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(60));
        let centre = |attempt| delay(base, max, attempt, 0.5);
        assert_eq!(centre(0), Duration::from_millis(500));
        assert_eq!(centre(3), Duration::from_secs(4));
        assert_eq!(centre(30), max);
        assert_eq!(delay(base, max, 0, 0.0), Duration::from_millis(250));
        assert_eq!(delay(base, max, 30, 1.0), Duration::from_secs(90));
    }
}
