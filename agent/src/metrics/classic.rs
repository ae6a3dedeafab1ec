//! Pure: the same text in the format from before OpenMetrics, for readers that do not ask for the
//! newer one: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

/// The head lines of a family name its series, there is no kind "info", and no end mark.
pub(super) fn of(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let mut help = None;
    for line in text.split_inclusive('\n') {
        let Some(head) = line.strip_prefix("# ") else {
            all.push_str(line);
            continue;
        };
        let mut words = head.trim_end().splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), said) => help = said,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, shown) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                let said = help.take().unwrap_or_default();
                let (help, kind) = (
                    format!("# HELP {name}{ending} {said}\n"),
                    format!("# TYPE {name}{ending} {shown}\n"),
                );
                all.extend([help, kind]);
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_name_their_series() {
        let open = "# HELP a_b Some help.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total 1\n\
                    # HELP c What it is.\n# TYPE c info\nc_info{x=\"# TYPE\"} 1\n\
                    # HELP d D.\n# TYPE d gauge\nd 2\n# EOF\n";
        let classic = "# HELP a_b_total Some help.\n# TYPE a_b_total counter\na_b_total 1\n\
                       # HELP c_info What it is.\n# TYPE c_info gauge\nc_info{x=\"# TYPE\"} 1\n\
                       # HELP d D.\n# TYPE d gauge\nd 2\n";
        assert_eq!(of(open), classic);
    }
}
