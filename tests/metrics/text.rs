//! A strict reader of Prometheus' text format: it takes what the exporter may write and nothing else.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The name with the suffix of a histogram's lines.
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// A metric with all of its lines.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// Reads the text.
///
/// # Errors
/// What is wrong, and where.
pub(crate) fn parse(text: &str) -> Result<Vec<Family>, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        let wrong = |what: &str| format!("{what}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            if families.iter().any(|family| family.name == name) {
                return Err(wrong("a second family of this name"));
            }
            families.push(Family {
                name: name.into(),
                help: help.into(),
                kind: String::new(),
                samples: Vec::new(),
            });
            continue;
        }
        let family = families.last_mut().ok_or_else(|| wrong("before the first HELP"))?;
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            match rest.split_once(' ') {
                Some((name, kind)) if name == family.name && family.kind.is_empty() => {
                    family.kind = kind.into();
                }
                _ => return Err(wrong("not the TYPE of the HELP above")),
            }
        } else {
            family.samples.push(sample(line).ok_or_else(|| wrong("no sample"))?);
        }
    }
    families.iter().try_for_each(check)?;
    Ok(families)
}

fn sample(line: &str) -> Option<Sample> {
    let (key, value) = line.rsplit_once(' ')?;
    let (name, labels) = match key.split_once('{') {
        Some((name, labels)) => (name, pairs(labels.strip_suffix('}')?)?),
        None => (key, Labels::new()),
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c == '_';
    (!name.is_empty() && name.chars().all(allowed)).then_some(())?;
    Some(Sample { name: name.into(), labels, value: value.parse().ok()? })
}

/// Pairs without escapes, as no label value here needs one.
fn pairs(text: &str) -> Option<Labels> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        (!value.contains(['"', '\\'])).then(|| (name.to_owned(), value.to_owned()))
    };
    text.split(',').map(pair).collect()
}

fn check(family: &Family) -> Result<(), String> {
    let name = &family.name;
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{name}: {what}")) };
    ensure(!family.help.is_empty(), "no help")?;
    ensure(!family.samples.is_empty(), "no samples")?;
    let keys: BTreeSet<_> = family.samples.iter().map(|sample| (&sample.name, &sample.labels)).collect();
    ensure(keys.len() == family.samples.len(), "the same series twice")?;
    ensure(
        name.ends_with("_total") == (family.kind == "counter"),
        "a counter, and only a counter, ends in _total",
    )?;
    match family.kind.as_str() {
        "counter" => {
            ensure(family.samples.iter().all(|sample| sample.name == *name), "a sample of another name")?;
            ensure(family.samples.iter().all(|sample| sample.value >= 0.0), "a counter below 0")
        }
        "gauge" => {
            ensure(family.samples.iter().all(|sample| sample.name == *name), "a sample of another name")
        }
        "histogram" => check_histogram(family),
        _ => ensure(false, "an unknown kind"),
    }
}

fn check_histogram(family: &Family) -> Result<(), String> {
    let name = &family.name;
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{name}: {what}")) };
    let mut series: BTreeMap<Labels, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        series.entry(labels).or_default().push(sample);
    }
    for samples in series.values() {
        let of = |suffix: &str| {
            let full = format!("{name}{suffix}");
            samples.iter().filter(move |sample| sample.name == full).copied().collect::<Vec<_>>()
        };
        let (buckets, sums, counts) = (of("_bucket"), of("_sum"), of("_count"));
        ensure(buckets.len() + 2 == samples.len(), "a sample of another name")?;
        let ([_], [count]) = (sums.as_slice(), counts.as_slice()) else {
            return ensure(false, "not one sum and one count");
        };
        let bound = |sample: &Sample| sample.labels.get("le").and_then(|le| le.parse::<f64>().ok());
        let bounds: Option<Vec<f64>> = buckets.iter().map(|bucket| bound(bucket)).collect();
        let bounds = bounds.ok_or_else(|| format!("{name}: a bucket without a bound"))?;
        ensure(bounds.is_sorted_by(|a, b| a < b), "bounds that do not rise")?;
        ensure(bounds.last() == Some(&f64::INFINITY), "no last bucket +Inf")?;
        ensure(buckets.is_sorted_by_key(|bucket| bucket.value), "buckets that are not cumulative")?;
        ensure(
            buckets.last().map(|last| last.value) == Some(count.value),
            "a count other than that of +Inf",
        )?;
    }
    Ok(())
}

/// Texts that the reader must refuse.
#[test]
fn faulty_texts_are_refused() {
    let histogram = |lines: &str| format!("# HELP a_seconds a\n# TYPE a_seconds histogram\n{lines}");
    let faulty = [
        "# HELP a a\n# TYPE a gauge\na 1".to_owned(),
        "a 1\n".to_owned(),
        "# HELP a a\n# TYPE a gauge\n".to_owned(),
        "# HELP a a\na 1\n".to_owned(),
        "# HELP a a\n# TYPE b gauge\nb 1\n".to_owned(),
        "# HELP a a\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total a\n# TYPE a_total gauge\na_total 1\n".to_owned(),
        "# HELP a a\n# TYPE a gauge\na 1\na 2\n".to_owned(),
        "# HELP a a\n# TYPE a gauge\nb 1\n".to_owned(),
        "# HELP a a\n# TYPE a gauge\na{b=1} 1\n".to_owned(),
        "# HELP a a\n# TYPE a gauge\na one\n".to_owned(),
        histogram("a_seconds_bucket{le=\"1\"} 1\na_seconds_sum 1\na_seconds_count 1\n"),
        histogram(
            "a_seconds_bucket{le=\"1\"} 2\na_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum 1\na_seconds_count 1\n",
        ),
        histogram("a_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum 1\na_seconds_count 2\n"),
        histogram("a_seconds_bucket{le=\"+Inf\"} 1\na_seconds_count 1\n"),
    ];
    for text in faulty {
        assert!(parse(&text).is_err(), "this was accepted:\n{text}");
    }
}
