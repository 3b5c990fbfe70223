//! The alert rules: the rule of `alerts.threshold`, and the rules of the file.

use config::{Value, ValueKind};
use tallyhouse_pipeline::{Rule, RuleDraft, RuleSet};

use super::Faults;
use super::resolved::Resolved;

/// The name of the rule of `alerts.threshold`.
const DEFAULT_RULE: &str = "default";

/// The value of `alerts.threshold` that switches the rule off.
const NONE: &str = "none";

/// The fields of a rule, named as in messages.
const FIELDS: [&str; 8] = ["name", "threshold", "on", "unit", "type", "destinationId", "sourceId", "reference"];

/// Returns the alert rules of the settings.
pub(super) fn rules(resolved: &Resolved, faults: &mut Faults) -> Option<RuleSet> {
    let mut rules = Vec::new();
    let threshold = resolved.text("alerts.threshold");
    if threshold != NONE {
        let draft = RuleDraft { name: DEFAULT_RULE.to_owned(), threshold, ..RuleDraft::default() };
        let rule = Rule::new(draft)
            .map_err(|error| resolved.fault("alerts.threshold", format!("is not a threshold: {error}")));
        rules.push(faults.keep(rule));
    }
    let in_rules = |fault: String| resolved.fault("alerts.rules", fault);
    for (number, table) in (1..).zip(resolved.rules()) {
        let rule = draft(table).and_then(|draft| Rule::new(draft).map_err(|error| error.to_string()));
        let rule = rule.map_err(|fault| in_rules(format!("has a fault in rule number {number}: {fault}")));
        rules.push(faults.keep(rule));
    }
    let rules = rules.into_iter().collect::<Option<Vec<Rule>>>()?;
    let rules = RuleSet::new(rules).map_err(|error| {
        let hint = format!("; {DEFAULT_RULE:?} is the name of the rule of alerts.threshold");
        in_rules(format!("has a fault: {error}{hint}"))
    });
    faults.keep(rules)
}

/// Reads one rule.
fn draft(table: &Value) -> Result<RuleDraft, String> {
    let ValueKind::Table(table) = &table.kind else {
        return Err("a rule must be a table".to_owned());
    };
    if let Some(unknown) = table.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let like =
            |field: &&&str| strsim::normalized_damerau_levenshtein(&unknown.to_lowercase(), &field.to_lowercase());
        let nearest = FIELDS.iter().max_by(|a, b| like(a).total_cmp(&like(b))).copied().unwrap_or("name");
        return Err(format!("unknown field {unknown:?}; did you mean {nearest:?}?"));
    }
    let text = |field: &str| match table.get(field).map(|value| &value.kind) {
        None => Ok(None),
        Some(ValueKind::String(text)) => Ok(Some(text.clone())),
        Some(ValueKind::I64(number)) if field == "threshold" => Ok(Some(number.to_string())),
        Some(ValueKind::Float(_)) if field == "threshold" => {
            Err("threshold must not be a TOML float, which holds decimals inexactly: write it as a string".to_owned())
        }
        Some(_) => Err(format!("{field} must be a string")),
    };
    Ok(RuleDraft {
        name: text("name")?.ok_or("name is missing")?,
        threshold: text("threshold")?.ok_or("threshold is missing")?,
        on: text("on")?,
        unit: text("unit")?,
        record_type: text("type")?,
        destination_id: text("destinationId")?,
        source_id: text("sourceId")?,
        reference: text("reference")?,
    })
}

#[cfg(test)]
mod tests;
