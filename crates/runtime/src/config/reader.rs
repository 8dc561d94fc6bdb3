//! Reads settings one by one, notes every mistake on the way, and remembers what it read for printing.

use std::collections::BTreeMap;

use super::error::{ConfigError, Origin};
use super::injected::is_injected;
use super::source::{Given, Raw, VARIABLE_PREFIX, variable};
use super::suggest::suggest_name;
use super::value::{Limits, Value};

/// A setting as the table declares it.
pub(super) struct Setting<T> {
    pub(super) key: &'static str,
    pub(super) doc: &'static str,
    /// As it would be written in a variable; empty for none.
    pub(super) default: &'static str,
    pub(super) limits: Option<Limits<T>>,
}

/// A setting as it was read: everything that printing needs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// With its section: `proxy.apps`.
    pub(super) name: String,
    pub(super) doc: &'static str,
    pub(super) kind: String,
    /// As TOML; none for a setting without a default.
    pub(super) default: Option<String>,
    pub(super) value: Redacted,
    pub(super) origin: Origin,
}

/// Form in which a value may be shown.
#[derive(Debug)]
pub(super) enum Redacted {
    Unset,
    /// TOML.
    Value(String),
    /// TOML without its secret: true enough to read, and not to be fed back.
    Secret(String),
}

/// A table of the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Empty for the top level.
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) entries: Vec<Entry>,
}

/// Reader of the given values, with the results of those that were read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    file: BTreeMap<String, Given>,
    variables: BTreeMap<String, String>,
    /// Every setting that was asked for.
    names: Vec<String>,
    /// Names of settings that may hold a secret.
    pub(super) secret_names: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) errors: Vec<ConfigError>,
    /// Variables that a container platform has set by itself.
    pub(super) ignored: Vec<String>,
}

impl Reader {
    /// A variable without text counts as not set, as it comes from `${NAME:-}` in a compose file.
    pub(super) fn new(
        file: BTreeMap<String, Given>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let ours =
            |(name, value): &(String, String)| name.starts_with(VARIABLE_PREFIX) && !value.trim().is_empty();
        let variables = variables.into_iter().filter(ours).collect();
        Self { file, variables, ..Self::default() }
    }

    pub(super) fn begin_section(&mut self, name: &'static str, doc: &'static str) {
        self.sections.push(Section { name, doc, entries: Vec::new() });
    }

    /// Reads a setting of the last section. None when there is a mistake in it, which is noted.
    pub(super) fn read_setting<T: Value>(&mut self, setting: Setting<T>) -> Option<T> {
        let name = self.full_name(setting.key);
        self.names.push(name.clone());
        if T::SECRET {
            self.secret_names.push(name.clone());
        }
        let from_file = self.take_file(&name).map(|given| self.parse(&name, given, &setting));
        let from_variable = self.take_variable(&name).map(|given| self.parse(&name, given, &setting));
        let default = default(&setting);
        let default_shown = default.as_ref().and_then(T::show_toml);
        let given = from_variable.into_iter().chain(from_file).next();
        let (value, origin) = given.unwrap_or((default, Origin::Default));
        let value = value?;
        let entry = Entry {
            key: setting.key.into(),
            name,
            doc: setting.doc,
            kind: describe_kind(&setting),
            default: default_shown,
            value: redact_value(&value),
            origin,
        };
        self.remember_entry(entry);
        Some(value)
    }

    pub(super) fn remember_entry(&mut self, entry: Entry) {
        if let Some(section) = self.sections.last_mut() {
            section.entries.push(entry);
        }
    }

    pub(super) fn add_error(&mut self, origin: Origin, text: String) {
        self.errors.push(ConfigError { origin, text });
    }

    pub(super) fn take_variable(&mut self, name: &str) -> Option<Given> {
        let (name, text) = self.variables.remove_entry(&variable(name))?;
        Some(Given { raw: Raw::Variable(text), origin: Origin::Variable(name) })
    }

    /// Takes everything that the file has below `prefix`, with the prefix taken off.
    pub(super) fn take_table(&mut self, prefix: &str) -> Vec<(String, Given)> {
        let below: Vec<_> = self.file.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
        below
            .into_iter()
            .filter_map(|name| Some((name[prefix.len()..].to_owned(), self.take_file(&name)?)))
            .collect()
    }

    /// Source of the value of a setting that was read.
    pub(super) fn origin_of(&self, name: &str) -> Origin {
        let entry =
            self.sections.iter().flat_map(|section| &section.entries).find(|entry| entry.name == name);
        entry.map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Sources of all settings that were read, by their names.
    pub(super) fn origins(&self) -> BTreeMap<String, Origin> {
        let entries = self.sections.iter().flat_map(|section| &section.entries);
        entries.map(|entry| (entry.name.clone(), entry.origin.clone())).collect()
    }

    /// Notes everything that was given and is no setting; of variables only those that no container platform sets by itself.
    pub(super) fn refuse_the_rest(&mut self) {
        let names = std::mem::take(&mut self.names);
        let sections: Vec<_> = self.sections.iter().map(|section| section.name).collect();
        for (name, given) in std::mem::take(&mut self.file) {
            match (sections.contains(&name.as_str()), &given.raw) {
                (true, Raw::Other("an empty table")) => {}
                (true, _) => self.add_error(
                    given.origin,
                    format!("{name} is a table: write [{name}] and its settings below"),
                ),
                (false, _) => {
                    self.add_error(given.origin, unknown_name("setting", &name, suggest_name(&name, &names)))
                }
            }
        }
        let names: Vec<_> = names.iter().map(|name| variable(name)).collect();
        for (name, value) in std::mem::take(&mut self.variables) {
            if is_injected(&name, &value) {
                self.ignored.push(name);
                continue;
            }
            let text = unknown_name("variable", &name, suggest_name(&name, &names));
            self.add_error(Origin::Variable(name), text);
        }
    }

    fn full_name(&self, key: &str) -> String {
        match self.sections.last().map(|section| section.name) {
            None | Some("") => key.into(),
            Some(section) => format!("{section}.{key}"),
        }
    }

    fn take_file(&mut self, name: &str) -> Option<Given> {
        self.file.remove(name)
    }

    fn parse<T: Value>(&mut self, name: &str, given: Given, setting: &Setting<T>) -> (Option<T>, Origin) {
        let parsed = T::parse(&given.raw).and_then(|value| match &setting.limits {
            Some(limits) if !(limits.allows)(&value) => Err(format!("expected {}", describe_kind(setting))),
            _ => Ok(value),
        });
        match parsed {
            Ok(value) => (Some(value), given.origin),
            Err(text) => {
                let quoted =
                    if T::SECRET { String::new() } else { format!(" = {}", given.raw.quote_value()) };
                self.add_error(given.origin.clone(), format!("{name}{quoted}: {text}"));
                (None, given.origin)
            }
        }
    }
}

fn default<T: Value>(setting: &Setting<T>) -> Option<T> {
    match setting.default {
        "" => T::unset_value(),
        text => T::parse(&Raw::Variable(text.into())).ok(),
    }
}

fn describe_kind<T: Value>(setting: &Setting<T>) -> String {
    let limits = setting.limits.as_ref().map(|limits| limits.text.clone());
    format!("{}{}", T::KIND, limits.unwrap_or_default())
}

fn redact_value<T: Value>(value: &T) -> Redacted {
    match value.show_toml() {
        None => Redacted::Unset,
        Some(text) if value.is_secret() => Redacted::Secret(text),
        Some(text) => Redacted::Value(text),
    }
}

fn unknown_name(what: &str, name: &str, suggestion: Option<&str>) -> String {
    let hint = suggestion.map_or_else(String::new, |near| format!(": did you mean {near}?"));
    format!("no {what} is called {name}{hint}")
}
