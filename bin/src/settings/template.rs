//! A settings file to begin with: every setting with its purpose and default, commented out.

use super::catalogue::{CATALOGUE, Kind, Setting};
use super::layers::variable;

const HEAD: &str = "\
# Settings of Tallyhouse. Each line without a blank after its # is a setting with its default:
# remove the # and change the value. Flags and environment variables (in parentheses) win over this file.
";

/// Alert rules are tables, which have to come last.
const RULE: &str = "
#[[alerts.rules]]
#name = \"large-value\"
#threshold = \"1000\"
#unit = \"EUR\"
";

/// Returns the text of the file.
pub(crate) fn template() -> String {
    let (mut text, mut section) = (HEAD.to_owned(), "");
    // In TOML a key belongs to the section above it: top-level keys come first.
    let (sections, bare): (Vec<&Setting>, Vec<&Setting>) =
        CATALOGUE.iter().filter(|setting| setting.kind != Kind::Rules).partition(|setting| setting.key.contains('.'));
    for setting in bare.into_iter().chain(sections) {
        let (of, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if of != section {
            section = of;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let (doc, variable) = (setting.doc, variable(setting.key));
        text.push_str(&format!("# {doc} ({variable})\n#{name} = {}\n", value(setting)));
    }
    text + RULE
}

/// Returns the default; for an optional setting an empty value of its kind, to be filled in.
fn value(setting: &Setting) -> String {
    let is_bare = matches!(setting.kind, Kind::Number(..) | Kind::Flag);
    match setting.default {
        Some(default) if is_bare => default.to_owned(),
        Some(default) => toml::Value::String(default.to_owned()).to_string(),
        None if is_bare => "0".to_owned(),
        None => "\"\"".to_owned(),
    }
}

#[cfg(test)]
mod tests;
