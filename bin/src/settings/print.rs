//! Formats the effective settings as a settings file.

use std::fmt::Write as _;

use config::{Value, ValueKind};

use super::catalogue::{Kind, Setting};
use super::layers::variable;
use super::resolved::{Resolved, SettingValue};
use super::secret::mask;

/// Formats every setting with its purpose and the origin of its value. A setting without a value is a comment.
pub(super) fn to_toml(resolved: &Resolved) -> String {
    let mut toml =
        String::from("# The effective settings. Secrets are masked; everything else is a valid settings file.\n");
    let mut section = "";
    // In TOML a key belongs to the section above it: top-level keys come first, arrays of tables last.
    let (rules, plain): (Vec<_>, Vec<_>) = resolved.iter().partition(|(setting, _)| setting.kind == Kind::Rules);
    let bare = plain.iter().filter(|(setting, _)| !setting.key.contains('.'));
    let sections = plain.iter().filter(|(setting, _)| setting.key.contains('.'));
    for (setting, given) in bare.chain(sections) {
        let (key_section, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if key_section != section {
            section = key_section;
            line(&mut toml, format_args!("\n[{section}]"));
        }
        line(&mut toml, format_args!("# {} ({})", setting.doc, variable(setting.key)));
        match given {
            Some((given, origin)) => {
                let source = if *origin == "default" { String::new() } else { format!("  # from {origin}") };
                line(&mut toml, format_args!("{name} = {}{source}", format_value(setting, given)));
            }
            None => line(&mut toml, format_args!("# {name} is not set")),
        }
    }
    for (_, given) in rules {
        if let Some((SettingValue::Rules(rules), origin)) = given {
            rules.iter().for_each(|rule| write_rule(&mut toml, rule, origin));
        }
    }
    toml
}

fn format_value(setting: &Setting, given: &SettingValue) -> String {
    match given {
        SettingValue::Text(text) if setting.kind == Kind::SecretText => quoted(&mask(text)),
        SettingValue::Text(text) => quoted(text),
        SettingValue::Number(number) => number.to_string(),
        SettingValue::Flag(flag) => flag.to_string(),
        SettingValue::Rules(_) => String::new(),
    }
}

fn write_rule(toml: &mut String, rule: &Value, origin: &str) {
    line(toml, format_args!("\n[[alerts.rules]]  # from {origin}"));
    if let ValueKind::Table(table) = &rule.kind {
        let mut fields: Vec<_> = table.iter().collect();
        fields.sort_by_key(|(name, _)| *name);
        for (name, value) in fields {
            line(toml, format_args!("{name} = {}", quoted(&value.kind.to_string())));
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn line(toml: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(toml, "{text}").expect("writing to a String never fails");
}
