//! Tests of the catalogue and of the search for the nearest name.

use std::collections::BTreeSet;

use super::*;

#[test]
fn every_name_is_there_once_and_sections_stand_together() {
    let keys: BTreeSet<&str> = CATALOGUE.iter().map(|setting| setting.key).collect();
    assert_eq!(keys.len(), CATALOGUE.len());
    let mut sections: Vec<&str> =
        CATALOGUE.iter().filter_map(|setting| setting.key.split_once('.')).map(|(section, _)| section).collect();
    sections.dedup();
    let distinct: BTreeSet<&str> = sections.iter().copied().collect();
    assert_eq!(distinct.len(), sections.len(), "{sections:?}");
}

#[test]
fn every_setting_is_documented_in_a_sentence() {
    for Setting { key, doc, .. } in CATALOGUE {
        assert!(doc.ends_with('.') && !doc.contains('\n'), "{key}: {doc}");
    }
}

#[test]
fn a_known_name_is_nearest_to_itself() {
    for setting in CATALOGUE {
        assert_eq!(nearest(setting.key), setting.key);
    }
}

#[test]
fn a_name_with_one_letter_missing_finds_its_setting() {
    for setting in CATALOGUE.iter().filter(|setting| setting.key.len() > 6) {
        let mut typo = setting.key.to_owned();
        typo.remove(setting.key.len() / 2);
        assert_eq!(nearest(&typo), setting.key, "{typo}");
    }
}

#[test]
fn the_page_on_settings_lists_every_setting_as_it_is() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SETTINGS.md");
    let page = std::fs::read_to_string(page).unwrap();
    // Rules are tables of their own, and shown by an example.
    for Setting { key, default, doc, .. } in CATALOGUE.iter().filter(|setting| setting.kind != Kind::Rules) {
        let default = default.map_or("none".to_owned(), |default| format!("`{default}`"));
        let row = format!("| `{key}` | {default} | {doc} |");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with(&format!("| `{key}` |"))).collect();
        assert_eq!(rows, [row]);
    }
}
