//! The merged settings, checked against their kinds, each with its origin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use config::{Value, ValueKind};

use super::catalogue::{CATALOGUE, Kind, Setting};
use super::secret::mask;
use super::{Faults, SettingsError};

/// A raw value of a setting.
pub(super) struct Sourced {
    pub(super) setting: &'static Setting,
    /// The file, the variable or the flag that set it, or `default`.
    pub(super) origin: String,
    pub(super) kind: ValueKind,
}

/// A checked value.
#[derive(Clone)]
pub(super) enum SettingValue {
    Text(String),
    Number(u64),
    Flag(bool),
    Rules(Vec<Value>),
}

/// Every setting that has a value.
#[derive(Clone)]
pub(super) struct Resolved {
    values: BTreeMap<&'static str, (SettingValue, String)>,
    /// The settings whose values are wrong; they have their defaults.
    wrong: BTreeSet<&'static str>,
}

impl fmt::Debug for Resolved {
    /// Leaves out the values: passwords are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Resolved {
    /// Checks each value against the kind of its setting. A wrong one leaves a fault, and the default in its place, so that
    /// the other settings can be checked.
    pub(super) fn new(values: impl Iterator<Item = Sourced>, faults: &mut Faults) -> Self {
        let mut resolved = Self { values: BTreeMap::new(), wrong: BTreeSet::new() };
        for Sourced { setting, origin, kind } in values {
            let given =
                read(setting.kind, &kind).map_err(|fault| fault_of(setting, &origin, &shown(setting, &kind), &fault));
            let value = faults.keep(given).map(|given| (given, origin)).or_else(|| {
                resolved.wrong.insert(setting.key);
                let default = ValueKind::String(setting.default?.to_owned());
                Some((read(setting.kind, &default).ok()?, "default".to_owned()))
            });
            resolved.values.extend(value.map(|value| (setting.key, value)));
        }
        resolved
    }

    /// Returns whether the value of any of these settings is wrong.
    pub(super) fn is_any_wrong<const N: usize>(&self, keys: [&str; N]) -> bool {
        keys.iter().any(|key| self.wrong.contains(key))
    }

    /// Returns a text with a default.
    pub(super) fn text(&self, key: &'static str) -> String {
        self.optional(key).expect("a setting with a default always has a value")
    }

    /// Returns an optional text.
    pub(super) fn optional(&self, key: &'static str) -> Option<String> {
        match self.value(key) {
            Some(SettingValue::Text(text)) => Some(text.clone()),
            Some(SettingValue::Number(_) | SettingValue::Flag(_) | SettingValue::Rules(_)) | None => None,
        }
    }

    /// Returns a number with a default.
    pub(super) fn number(&self, key: &'static str) -> u64 {
        match self.value(key) {
            Some(SettingValue::Number(number)) => *number,
            Some(SettingValue::Text(_) | SettingValue::Flag(_) | SettingValue::Rules(_)) | None => {
                unreachable!("{key} is a number by the catalogue")
            }
        }
    }

    /// Returns a number as a count.
    pub(super) fn count(&self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    /// Returns a duration that is set in milliseconds.
    pub(super) fn millis(&self, key: &'static str) -> Duration {
        Duration::from_millis(self.number(key))
    }

    /// Returns a flag.
    pub(super) fn flag(&self, key: &'static str) -> bool {
        matches!(self.value(key), Some(SettingValue::Flag(true)))
    }

    /// Returns the tables of the alert rules.
    pub(super) fn rules(&self) -> &[Value] {
        match self.value("alerts.rules") {
            Some(SettingValue::Rules(rules)) => rules,
            Some(SettingValue::Text(_) | SettingValue::Number(_) | SettingValue::Flag(_)) | None => &[],
        }
    }

    /// Returns whether a layer above the defaults sets this.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|(_, origin)| origin != "default")
    }

    /// Returns every setting with its value and origin, in the order of the catalogue.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static Setting, Option<(&SettingValue, &str)>)> {
        let given = |setting: &Setting| self.values.get(setting.key).map(|(given, origin)| (given, origin.as_str()));
        CATALOGUE.iter().map(move |setting| (setting, given(setting)))
    }

    /// Makes the error of a wrong value.
    pub(super) fn fault(&self, key: &'static str, fault: impl AsRef<str>) -> SettingsError {
        let setting = super::catalogue::find(key).expect("callers name settings of the catalogue");
        let (value, origin) = match self.values.get(key) {
            Some((SettingValue::Text(text), origin)) => (quoted(setting, text), origin.as_str()),
            Some((SettingValue::Number(_) | SettingValue::Flag(_) | SettingValue::Rules(_), origin)) => {
                (String::new(), origin.as_str())
            }
            None => (String::new(), "default"),
        };
        fault_of(setting, origin, &value, fault.as_ref())
    }

    fn value(&self, key: &'static str) -> Option<&SettingValue> {
        debug_assert!(super::catalogue::find(key).is_some(), "{key} is in the catalogue");
        self.values.get(key).map(|(given, _)| given)
    }
}

fn fault_of(setting: &Setting, origin: &str, value: &str, fault: &str) -> SettingsError {
    SettingsError(format!("the setting {}{value}, from {origin}, {fault}", setting.key))
}

fn quoted(setting: &Setting, text: &str) -> String {
    let shown = if setting.kind == Kind::SecretText { mask(text) } else { text.to_owned() };
    format!(" = {shown:?}")
}

fn shown(setting: &Setting, kind: &ValueKind) -> String {
    match kind {
        ValueKind::String(text) => quoted(setting, text),
        ValueKind::Boolean(_) | ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::I128(_) | ValueKind::U128(_) => {
            format!(" = {kind}")
        }
        ValueKind::Float(_) | ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => String::new(),
    }
}

/// Converts a raw value to its setting's kind. A file gives typed values; environment, flags and defaults give texts.
fn read(kind: Kind, value: &ValueKind) -> Result<SettingValue, String> {
    match (kind, value) {
        (Kind::Text | Kind::SecretText, ValueKind::String(text)) if !text.is_empty() => {
            Ok(SettingValue::Text(text.clone()))
        }
        (Kind::Text | Kind::SecretText, _) => Err("must be a text that is not empty".to_owned()),
        (Kind::Choice(choices), ValueKind::String(text)) if choices.contains(&text.as_str()) => {
            Ok(SettingValue::Text(text.clone()))
        }
        (Kind::Choice(choices), _) => Err(format!("must be one of {}", choices.join(", "))),
        (Kind::Flag, ValueKind::Boolean(flag)) => Ok(SettingValue::Flag(*flag)),
        (Kind::Flag, ValueKind::String(text)) if text == "true" || text == "false" => {
            Ok(SettingValue::Flag(text == "true"))
        }
        (Kind::Flag, _) => Err("must be true or false".to_owned()),
        (Kind::Number(min, max), value) => {
            let number = match value {
                ValueKind::I64(number) => u64::try_from(*number).ok(),
                ValueKind::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
                _ => None,
            };
            let number = number.filter(|number| (min..=max).contains(number));
            number.map(SettingValue::Number).ok_or_else(|| format!("must be a whole number from {min} to {max}"))
        }
        (Kind::Threshold, ValueKind::String(text)) => Ok(SettingValue::Text(text.clone())),
        (Kind::Threshold, ValueKind::I64(number)) => Ok(SettingValue::Text(number.to_string())),
        (Kind::Threshold, ValueKind::Float(_)) => {
            Err("must not be a TOML float, which holds decimals inexactly: write it as a string, as in \"10000.50\""
                .to_owned())
        }
        (Kind::Threshold, _) => Err("must be a decimal, as an integer or as a string, or \"none\"".to_owned()),
        (Kind::Rules, ValueKind::Array(rules)) => Ok(SettingValue::Rules(rules.clone())),
        (Kind::Rules, _) => Err("must be given as [[alerts.rules]] tables".to_owned()),
    }
}
