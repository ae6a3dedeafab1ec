//! The last hour of a figure as a line.

use station_proto::history::History;

use crate::web::html::Html;

/// The drawing's own units: a step is one wide, the full scale so high.
const HEIGHT: f32 = 24.0;

/// The line of the series with that name; nothing if it has fewer than two values. The scale is 0 to
/// 100.
pub(super) fn trend(history: &History, name: &str, gpu: Option<&str>) -> Html {
    let of = history.series.iter().find(|one| one.name == name && one.gpu.as_deref() == gpu);
    let values = of.map(|one| one.values.as_slice()).unwrap_or_default();
    let known = || values.iter().flatten().copied();
    if known().count() < 2 {
        return Html::new();
    }
    let (least, most) = (known().fold(f32::MAX, f32::min), known().fold(0.0, f32::max));
    Html::literal("<svg class=\"trend\" preserveAspectRatio=\"none\" viewBox=\"0 0 ")
        .value(values.len().saturating_sub(1))
        .raw(" ")
        .value(HEIGHT)
        .raw("\" role=\"img\" aria-label=\"")
        .text(&format!("{} minutes: {least:.0} to {most:.0}", minutes(history, values.len())))
        .raw("\">")
        .each(lines(values), |points| {
            Html::literal("<polyline points=\"").text(&points).raw("\"/>")
        })
        .raw("</svg>")
}

fn minutes(history: &History, steps: usize) -> u64 {
    u64::try_from(steps).unwrap_or(0) * u64::from(history.step_s) / 60
}

/// The points of each stretch without a gap.
fn lines(values: &[Option<f32>]) -> Vec<String> {
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    for (at, value) in values.iter().enumerate() {
        match (value, lines.last_mut()) {
            (Some(value), Some(line)) => {
                let height = HEIGHT * (1.0 - value.clamp(0.0, 100.0) / 100.0);
                line.push(format!("{at},{height:.1}"));
            }
            (None, Some(line)) if !line.is_empty() => lines.push(Vec::new()),
            _ => {}
        }
    }
    lines.into_iter().filter(|line| !line.is_empty()).map(|line| line.join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_the_scale_is_fixed() {
        let values = [Some(0.0), Some(100.0), None, None, Some(250.0), None];
        assert_eq!(lines(&values), ["0,24.0 1,0.0", "4,0.0"]);
        assert_eq!(lines(&[None, None]), [""; 0]);
    }
}
