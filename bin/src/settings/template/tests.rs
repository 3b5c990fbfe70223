//! Tests of the template.

use super::*;
use crate::settings::{Environment, Overrides, Settings};

fn load(text: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, text).unwrap();
    Settings::load(&Overrides { file: Some(file), values: Vec::new() }, &Environment::default()).unwrap()
}

/// Returns the values alone, without their origins.
fn values(settings: &Settings) -> Vec<String> {
    let toml = settings.to_toml();
    toml.lines().map(|line| line.split("  # from ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_template_changes_nothing() {
    assert_eq!(load(&template()).to_toml(), load("").to_toml());
}

#[test]
fn every_default_can_be_uncommented() {
    let is_optional =
        |line: &str| line.ends_with("= \"\"") || ["per_second", "burst"].iter().any(|name| line.contains(name));
    let (settings, _rules) = {
        let template = template();
        let (settings, rules) = template.split_once("#[[alerts.rules]]").unwrap();
        (settings.to_owned(), rules.to_owned())
    };
    let uncommented: String = settings
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && !is_optional(setting) => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented.contains("\nlisten = \"127.0.0.1:8080\"\n"), "{uncommented}");
    assert_eq!(values(&load(&uncommented)), values(&load("")));
}
