//! Pure: reads the kernel's pressure stall information (`/proc/pressure/*`).
//!
//! Format: <https://docs.kernel.org/accounting/psi.html>

/// `avg10` of the line that begins with `kind` (`some` or `full`).
pub(super) fn avg10(text: &str, kind: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.split(' ').next() == Some(kind))?;
    line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lines() {
        let text = "some avg10=1.50 avg60=0.00 avg300=0.00 total=1\n\
                    full avg10=0.25 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(avg10(text, "some"), Some(1.5));
        assert_eq!(avg10(text, "full"), Some(0.25));
        assert_eq!(avg10("some avg60=1.0", "some"), None);
        assert_eq!(avg10("", "some"), None);
    }
}
