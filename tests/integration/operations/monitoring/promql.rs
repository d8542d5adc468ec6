//! Which metrics and labels a PromQL expression names; as much of the language as dashboards use.

/// A metric and the labels that it is selected by.
#[derive(PartialEq, Debug)]
pub struct Selector {
    pub metric: String,
    pub labels: Vec<String>,
}

/// Words before a list of labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];

/// All that `expression` selects, in its order.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let code = without_strings(expression);
    let mut rest = code.as_str();
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        let (word, tail) = (&rest[..end], rest[end..].trim_start());
        rest = match first {
            '[' => after(rest, ']'),
            _ if first.is_ascii_digit() => tail,
            _ if word.is_empty() => &rest[first.len_utf8()..],
            _ if GROUPING.contains(&word) && tail.starts_with('(') => after(tail, ')'),
            _ if is_called(tail) || OPERATORS.contains(&word) => tail,
            _ => {
                let inside = tail.strip_prefix('{').map_or("", |matchers| before(matchers, '}'));
                found.push(Selector { metric: word.to_owned(), labels: labels(inside) });
                if tail.starts_with('{') { after(tail, '}') } else { tail }
            }
        };
    }
    found
}

/// What `tail` follows is a function, or an aggregation: `sum(…)`, `sum by (…) (…)`.
fn is_called(tail: &str) -> bool {
    let word = tail.split(|c| !is_of_word(c)).next();
    tail.starts_with('(') || word == Some("by") || word == Some("without")
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn labels(matchers: &str) -> Vec<String> {
    let names = matchers.split(',').filter_map(|matcher| matcher.split(['=', '!']).next());
    names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Every second part between double quotes is a string; dashboards escape none in them.
fn without_strings(expression: &str) -> String {
    expression.split('"').step_by(2).collect()
}

fn before(text: &str, end: char) -> &str {
    text.split_once(end).unwrap_or_else(|| panic!("no {end} in {text}")).0
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).unwrap_or_else(|| panic!("no {end} in {text}")).1
}

#[test]
fn metrics_are_told_from_functions_labels_and_operators() {
    let found = selectors(
        r#"sum by (a) (rate(x_total{b=~"$b", c!="by, {d}"}[$__rate_interval])) > 1.5e3 or on (e) y offset 5m - time()"#,
    );
    let wanted = [("x_total", vec!["b", "c"]), ("y", vec![])];
    let wanted = wanted.map(|(metric, labels)| Selector {
        metric: metric.to_owned(),
        labels: labels.into_iter().map(str::to_owned).collect(),
    });
    assert_eq!(found, wanted);
}
