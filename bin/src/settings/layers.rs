//! The sources of settings, read as layers: defaults, file, environment, flags. Each value keeps its origin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::catalogue::{CATALOGUE, Kind, find, nearest};
use super::environment::{Environment, Variable};
use super::resolved::{Resolved, Sourced};
use super::{FILE_DEFAULT, Faults, Overrides, SettingsError};

/// The prefix of the program's variables.
pub(super) const PREFIX: &str = "TALLYHOUSE_";

/// Variables that other programs read, too. A `TALLYHOUSE_` variable of the same setting wins.
pub(super) const ALIASES: [(&str, &str); 4] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint"),
    ("OTEL_SERVICE_NAME", "otlp.service_name"),
];

/// Returns whether a setting may hold a secret.
pub(super) fn is_secret(key: &str) -> bool {
    find(key).is_some_and(|setting| setting.kind == Kind::SecretText)
}

/// The layers, lowest priority first.
pub(super) struct Layers(Vec<Layer>);

/// The settings of one source by name.
#[derive(Debug, Clone, Default)]
struct Layer(BTreeMap<String, Value>);

impl Layers {
    /// Reads every layer. Unknown names leave faults.
    pub(super) fn read(
        overrides: &Overrides,
        environment: &Environment,
        faults: &mut Faults,
    ) -> Result<Self, SettingsError> {
        let file = match &overrides.file {
            Some(file) => file_layer(file, faults)?,
            None if Path::new(FILE_DEFAULT).exists() => file_layer(&PathBuf::from(FILE_DEFAULT), faults)?,
            None => Layer::default(),
        };
        let flags = overrides.values.iter().map(|(key, flag, text)| text_value(key, flag, text)).collect();
        let variables = environment_layer(environment, faults);
        Ok(Self(vec![default_layer(), file, alias_layer(environment), variables, Layer(flags)]))
    }

    /// Merges the layers.
    pub(super) fn resolve(self, faults: &mut Faults) -> Result<Resolved, SettingsError> {
        let mut builder = Config::builder();
        for layer in self.0 {
            builder = builder.add_source(layer);
        }
        let merged =
            builder.build().and_then(|config| config.collect()).map_err(|error| SettingsError(error.to_string()))?;
        let mut flat = BTreeMap::new();
        flatten("", merged, &mut flat);
        let values = flat.into_iter().filter_map(|(key, value)| {
            let setting = find(&key)?;
            let origin = value.origin().unwrap_or_default().to_owned();
            Some(Sourced { setting, origin, kind: value.kind })
        });
        Ok(Resolved::new(values, faults))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

fn default_layer() -> Layer {
    let defaults = CATALOGUE.iter().filter_map(|setting| Some((setting.key, setting.default?)));
    Layer(defaults.map(|(key, text)| text_value(key, "default", text)).collect())
}

fn file_layer(path: &Path, faults: &mut Faults) -> Result<Layer, SettingsError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| SettingsError(format!("the settings file {name} can't be read: {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    check_toml(text).map_err(|fault| SettingsError(format!("the settings file {name} is not TOML{fault}")))?;
    let map = File::from_str(text, FileFormat::Toml).collect();
    // The same grammar accepted the text above. The error is dropped, because it could quote a secret.
    let map = map.map_err(|_| SettingsError(format!("the settings file {name} can't be parsed")))?;
    let mut flat = BTreeMap::new();
    flatten("", map, &mut flat);
    flat.retain(|key, _| {
        let known = find(key).ok_or_else(|| unknown(key, &format!("the settings file {name}"), nearest(key)));
        faults.keep(known).is_some()
    });
    Ok(Layer(flat.into_iter().map(|(key, value)| (key, Value::new(Some(&name), value.kind))).collect()))
}

/// Checks that a text is TOML. The parser's own error would quote the line, and with it a password.
fn check_toml(text: &str) -> Result<(), String> {
    let error = match text.parse::<toml::Table>() {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let before = error.span().and_then(|span| text.get(..span.start));
    let at = before.map(|before| {
        let line = before.matches('\n').count();
        let named = text.lines().nth(line).and_then(named_in).map(|name| format!(" ({name} = …)"));
        format!(" at line {}{}", line + 1, named.unwrap_or_default())
    });
    let at = at.unwrap_or_default();
    let fault = match error.message().lines().next().unwrap_or_default() {
        // Of these faults, only this one quotes a value.
        fault if fault.starts_with("invalid type") => "number too large (write a number this large as a string)",
        fault => fault,
    };
    Err(format!("{at}: {fault}"))
}

/// Returns the name of the setting on a line. Only a known name is shown: any other text may be a part of a password.
fn named_in(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('=')?;
    let name = name.trim();
    let is_known = |key: &str| key == name || key.rsplit_once('.').is_some_and(|(_, last)| last == name);
    CATALOGUE.iter().any(|setting| is_known(setting.key)).then_some(name)
}

fn alias_layer(environment: &Environment) -> Layer {
    let values = ALIASES.iter().filter_map(|(alias, key)| {
        let variable = environment.find(alias)?;
        Some(text_value(key, &variable.origin, &variable.value))
    });
    Layer(values.collect())
}

fn environment_layer(environment: &Environment, faults: &mut Faults) -> Layer {
    let mut layer = Layer::default();
    for Variable { name, origin, value } in environment.iter().filter(|variable| variable.may_be_setting()) {
        let key = key_of(name).unwrap_or_default();
        let known = match setting_of(name).and_then(find) {
            None => Err(unknown(name, "the environment", &variable(nearest(&key)))),
            Some(setting) if setting.kind == Kind::Rules => {
                Err(SettingsError(format!("{name}: alert rules can only be given in the settings file")))
            }
            Some(_) => Ok(text_value(&key, origin, value)),
        };
        layer.0.extend(faults.keep(known));
    }
    layer
}

/// Returns the setting of an environment variable.
pub(super) fn setting_of(name: &str) -> Option<&'static str> {
    find(&key_of(name)?).map(|setting| setting.key).filter(|key| name == variable(key))
}

fn key_of(name: &str) -> Option<String> {
    Some(name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", "."))
}

/// Returns the environment variable of a setting.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn unknown(name: &str, place: &str, nearest: &str) -> SettingsError {
    SettingsError(format!("unknown setting {name} in {place}; did you mean {nearest}?"))
}

fn text_value(key: &str, origin: &str, text: &str) -> (String, Value) {
    (key.to_owned(), Value::new(Some(&origin.to_owned()), text))
}

/// Flattens nested tables to settings by full name. An empty table that is not a section is kept, so that it is refused.
fn flatten(prefix: &str, table: Map<String, Value>, flat: &mut BTreeMap<String, Value>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => flatten(&key, inner, flat),
            ValueKind::Table(_) if CATALOGUE.iter().any(|setting| setting.key.starts_with(&format!("{key}."))) => {}
            _ => {
                flat.insert(key, value);
            }
        }
    }
}
