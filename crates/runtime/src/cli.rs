//! Command-line options of every service, and how they lead to its configuration.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{
    self, Config, ConfigError, ConfigErrors, FILE_VARIABLE, Loaded, Origin, Service, VARIABLE_PREFIX,
};
use crate::tls;

/// The exit code of a process whose configuration has mistakes; clap exits with it too.
pub const CONFIG_ERROR_EXIT_CODE: u8 = 2;

/// Ends the name of a variable that names the file of a secret.
const SECRET_FILE_SUFFIX: &str = "_FILE";

/// The arguments of every service, to be flattened into those of a binary.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Read the configuration from this TOML file [env: HEADWATER_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the effective configuration, without its secrets, and exit
    #[arg(long)]
    pub print_config: bool,
}

impl Options {
    /// The configuration; or the code to exit with, once the configuration or its mistakes have been printed.
    ///
    /// # Errors
    /// The exit code: 0 after `--print-config`, 2 after mistakes.
    pub fn load(&self, service: Service) -> Result<Loaded, ExitCode> {
        match self.load_from(service, std::env::vars_os()) {
            Ok(loaded) if self.print_config => {
                // Whoever closed the pipe has read enough.
                let _ = io::stdout().write_all(loaded.effective.as_bytes());
                Err(ExitCode::SUCCESS)
            }
            Ok(loaded) => Ok(loaded),
            Err(errors) => {
                let _ = writeln!(io::stderr(), "{errors}");
                Err(ExitCode::from(CONFIG_ERROR_EXIT_CODE))
            }
        }
    }

    /// The configuration from the file that is named here or in one of the variables, and from the variables.
    ///
    /// # Errors
    /// Every mistake there is.
    pub fn load_from(
        &self,
        service: Service,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, ConfigErrors> {
        let mut errors = Vec::new();
        let variables: Vec<_> =
            variables.into_iter().filter_map(|pair| our_variable(pair, &mut errors)).collect();
        let variables = read_secret_files(variables, &mut errors);
        let named = variables.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        let path = self.config.clone().or_else(|| named.map(|(_, value)| value.into()));
        let text = path.as_deref().and_then(|path| read_file(path, &mut errors));
        let shown = path.as_deref().unwrap_or(Path::new("")).display().to_string();
        let file = text.as_deref().map(|text| config::File { path: &shown, text });
        let loaded = config::load(service, file, variables);
        match loaded {
            Ok(loaded) => {
                errors.extend(certificate_errors(service, &loaded));
                if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors(errors)) }
            }
            Err(more) => Err(ConfigErrors(errors.into_iter().chain(more.0).collect())),
        }
    }
}

/// Faults of the certificates that a service is to show, and of the authorities that it is to trust.
fn certificate_errors(service: Service, loaded: &Loaded) -> Vec<ConfigError> {
    let Config { proxy, origin, control, cluster, .. } = &loaded.config;
    let mut faults = tls::check_cluster(cluster);
    for (owner, setting, files) in [
        (Service::Proxy, "proxy.tls_certificates", &proxy.tls_certificates),
        (Service::Origin, "origin.tls_certificates", &origin.tls_certificates),
        (Service::Origin, "control.tls_certificates", &control.tls_certificates),
    ] {
        if service == owner || service == Service::AllInOne {
            faults.extend(tls::check_files(files).into_iter().map(|error| (setting, error)));
        }
    }
    let source = |setting: &str| loaded.origins.get(setting).unwrap_or(&Origin::Default).clone();
    let errors = faults.into_iter();
    errors
        .map(|(setting, error)| ConfigError { origin: source(setting), text: format!("{setting}: {error}") })
        .collect()
}

/// A variable of Headwater as text.
fn our_variable(
    (name, value): (OsString, OsString),
    errors: &mut Vec<ConfigError>,
) -> Option<(String, String)> {
    let name = name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?;
    match value.into_string() {
        Ok(value) => Some((name, value)),
        Err(_) => {
            errors.push(ConfigError { origin: Origin::Variable(name), text: "not valid UTF-8".into() });
            None
        }
    }
}

/// Puts the content of a file in place of a variable that names it: `HEADWATER_CONTROL_TOKEN_FILE=/run/secrets/token` is
/// `HEADWATER_CONTROL_TOKEN`, without the line's end.
fn read_secret_files(
    variables: Vec<(String, String)>,
    errors: &mut Vec<ConfigError>,
) -> Vec<(String, String)> {
    let secrets = config::secret_variables();
    let base = |name: &str| {
        let base = name.strip_suffix(SECRET_FILE_SUFFIX)?;
        secrets.iter().any(|secret| secret == base).then(|| base.to_owned())
    };
    let is_set = |name: &str| variables.iter().any(|(other, value)| other == name && !value.is_empty());
    let mut read = Vec::new();
    for (name, value) in &variables {
        let Some(base) = base(name) else {
            read.push((name.clone(), value.clone()));
            continue;
        };
        let text = match value.as_str() {
            "" => continue,
            _ if is_set(&base) => Err(format!("{base} is set too: leave one of them out")),
            path => std::fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}")),
        };
        match text {
            Ok(text) => read.push((base, text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(text) => errors.push(ConfigError { origin: Origin::Variable(name.clone()), text }),
        }
    }
    read
}

fn read_file(path: &Path, errors: &mut Vec<ConfigError>) -> Option<String> {
    std::fs::read_to_string(path)
        .map_err(|error| {
            let origin = Origin::File { path: path.display().to_string(), line: 1 };
            errors.push(ConfigError { origin, text: format!("cannot be read: {error}") });
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Binary {
        #[command(flatten)]
        options: Options,
    }

    fn load(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
        let binary = Binary::parse_from(std::iter::once(&"headwater").chain(arguments));
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let loaded = binary.options.load_from(Service::AllInOne, variables);
        loaded.map(|loaded| loaded.config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_command_line_names_the_file_before_the_variable_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("a.toml"), "drain_timeout = \"1m\"").unwrap();
        std::fs::write(path("b.toml"), "drain_timeout = \"2m\"").unwrap();
        let variable = [("HEADWATER_CONFIG", &*path("b.toml"))];
        assert_eq!(load(&[], &variable).unwrap().drain_timeout, Duration::from_secs(120));
        assert_eq!(
            load(&["--config", &path("a.toml")], &variable).unwrap().drain_timeout,
            Duration::from_secs(60)
        );
    }

    #[test]
    fn every_secret_may_stand_in_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret").display().to_string();
        std::fs::write(&path, "hunter2-hunter2-hunter2\n").unwrap();
        let loaded = load(&[], &[("HEADWATER_CONTROL_TOKEN_FILE", &path)]).unwrap();
        assert!(loaded.control.token.unwrap().is("hunter2-hunter2-hunter2"));
        let variables = config::secret_variables();
        for name in [
            "CLUSTER_SECRET",
            "CLUSTER_PREVIOUS_SECRET",
            "CONTROL_TOKEN",
            "DIRECTORY_SECRET",
            "DIRECTORY_PREVIOUS_SECRET",
            "REGISTRY_URL",
            "INPUTS",
        ] {
            let name = format!("HEADWATER_{name}");
            assert!(variables.contains(&name), "{name}: {variables:?}");
            let missing = format!("{name}_FILE");
            let said = load(&[], &[(&missing, "/nowhere/secret")]).unwrap_err();
            assert!(said.starts_with(&format!("{missing}: /nowhere/secret cannot be read: ")), "{said}");
        }
        let both =
            [("HEADWATER_CONTROL_TOKEN_FILE", &*path), ("HEADWATER_CONTROL_TOKEN", "0123456789abcdef")];
        let said = load(&[], &both).unwrap_err();
        assert!(said.contains("HEADWATER_CONTROL_TOKEN is set too") && !said.contains("hunter"), "{said}");
        let said = load(&[], &[("HEADWATER_PROXY_APPS_FILE", &path)]).unwrap_err();
        assert!(said.contains("HEADWATER_PROXY_APPS_FILE"), "only secrets: {said}");
    }

    #[test]
    fn an_expired_certificate_is_a_mistake_of_its_line() {
        let authority = crate::tls::testing::Authority::new();
        let files = authority.write("live", "live.test", 2021);
        let path = authority.directory().join("hw.toml");
        let shown = path.display().to_string();
        let certificate = files.certificate.display().to_string();
        let text = format!(
            "[proxy]\nrtmps_listen = \"127.0.0.1:1936\"\n[[proxy.tls_certificates]]\ncertificate = {certificate:?}\n\
             key = {:?}\n",
            files.key.display().to_string()
        );
        std::fs::write(&path, text).unwrap();
        let mistakes = load(&["--config", &shown], &[]).unwrap_err();
        let expected = format!(
            "{shown}:3: proxy.tls_certificates: the certificate in {certificate} has expired on \
             2021-01-01T00:00:00.000Z: renew it"
        );
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn a_file_that_is_not_there_does_not_hide_other_mistakes() {
        let errors = load(&["--config", "/nowhere.toml"], &[("HEADWATER_PROXY_APPS", "a b")]).unwrap_err();
        let lines: Vec<_> = errors.lines().collect();
        assert_eq!(lines.len(), 2, "{errors}");
        assert!(lines[0].starts_with("/nowhere.toml:1: cannot be read: "), "{errors}");
        assert!(lines[1].starts_with("HEADWATER_PROXY_APPS: "), "{errors}");
    }
}
