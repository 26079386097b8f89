//! From OpenMetrics to the text format that Prometheus had before, for what does not ask for OpenMetrics.

/// Counters are called as their samples are, and there are no units and no end.
pub(super) fn as_plain_text(open_metrics: &str) -> String {
    let lines: Vec<&str> = open_metrics.lines().collect();
    let counters: Vec<&str> = lines.iter().filter_map(|line| counter(line)).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in lines {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "EOF"] | ["#", "UNIT", ..] => continue,
            ["#", kind @ ("HELP" | "TYPE"), name, rest] if counters.contains(&name) => {
                text += &format!("# {kind} {name}_total {rest}");
            }
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

fn counter(line: &str) -> Option<&str> {
    line.strip_prefix("# TYPE ")?.strip_suffix(" counter")
}

#[cfg(test)]
mod tests {
    use super::as_plain_text;

    #[test]
    fn counters_are_called_as_their_samples_and_the_end_is_left_out() {
        let open = "# HELP a_b Bytes of a b.\n# TYPE a_b counter\na_b_total{x=\"# EOF\"} 1\n# HELP g G.\n# TYPE g gauge\ng 0.05\n# EOF\n";
        let plain = "# HELP a_b_total Bytes of a b.\n# TYPE a_b_total counter\na_b_total{x=\"# EOF\"} 1\n# HELP g G.\n# TYPE g gauge\ng 0.05\n";
        assert_eq!(as_plain_text(open), plain);
    }
}
