//! `headwater up`: the three services as one process.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use headwater_runtime::cli::Options;
use headwater_runtime::config::{Config, InputMode, Service};
use headwater_runtime::process::{self, Process};
use headwater_server::WorkerCommand;
use tracing::warn;

use crate::first_start::{create_first_token, make_secret};

/// Runs the three services until the process is told to stop.
pub fn run(options: &Options) -> ExitCode {
    process::run(Service::AllInOne, options, serve_all)
}

async fn serve_all(mut process: Process) -> anyhow::Result<()> {
    if uses_directory(&process.config) {
        make_secret(&mut process.config)?;
    }
    let config = &process.config.registry;
    let registry = headwater_registry::open(config.redis_url(), config.prefix.as_str(), config.lease)?;
    let proxy = headwater_proxy::run(without_grace(process.clone()), registry.clone());
    let server = headwater_server::run(
        process.clone().map_config(headwater_server::Settings::from),
        registry.clone(),
        WorkerCommand::own()?,
    );
    let origin =
        headwater_origin::run(process.clone().map_config(headwater_origin::Settings::from), registry);
    let services = async {
        tokio::try_join!(async { anyhow::Ok(proxy.await?) }, async { anyhow::Ok(server.await?) }, async {
            anyhow::Ok(origin.await?)
        },)
    };
    let greeting = async {
        process.readiness.ready().await;
        print_addresses(&process.config);
        print_first_token(&process.config).await;
        std::future::pending::<()>().await
    };
    tokio::select! {
        ended = services => ended.map(drop),
        () = greeting => Ok(()),
    }
}

/// Whether keys are looked up in the directory, or the control API works on it.
fn uses_directory(config: &Config) -> bool {
    config.input_mode == InputMode::Keys || config.control.listen.is_some()
}

/// There is no other proxy that publishers could go to: waiting for them to leave would lead nowhere.
fn without_grace(process: Process) -> Process<headwater_proxy::Settings> {
    let mut process = process.map_config(headwater_proxy::Settings::from);
    process.config.proxy.drain_timeout = Duration::ZERO;
    process
}

/// The two addresses that a newcomer needs.
#[expect(clippy::print_stdout, reason = "this is what the command was run for")]
fn print_addresses(config: &Config) {
    // The port stays in the RTMP address: it is what people look for.
    let publish = local_authority(config.proxy.rtmp_listen, 0);
    let watch = local_authority(config.origin.http_listen, 80);
    let app = config.proxy.apps.first().map_or("live", |app| app.as_str());
    let (key, stream) = match (config.input_mode, config.inputs.first()) {
        (InputMode::Open, _) => ("demo", "demo".to_owned()),
        (InputMode::Keys, Some(input)) => ("<the key of a live input>", input.stream.to_string()),
        (InputMode::Keys, None) => ("<the key of a live input>", "<its uid>".to_owned()),
    };
    println!("\n  publish   rtmp://{publish}/{app}/{key}\n  watch     http://{watch}/{stream}\n");
}

/// Prints an access token with every right, where the control API is on and neither the configuration nor the directory has
/// a token yet.
#[expect(clippy::print_stdout, reason = "the token is shown this once, and to no log")]
async fn print_first_token(config: &Config) {
    let Some(listen) = config.control.listen else { return };
    match create_first_token(config).await {
        Ok(Some(token)) => {
            let api = local_authority(listen, 80);
            println!(
                "  API       http://{api}/api/v1\n  token     {token}   (every right; not shown again)\n"
            );
        }
        Ok(None) => {}
        Err(error) => warn!(error = format!("{error:#}"), "no first access token could be made"),
    }
}

/// How somebody on this machine reaches a listener.
fn local_authority(listen: SocketAddr, default_port: u16) -> String {
    let host = match listen.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        std::net::IpAddr::V4(ip) => ip.to_string(),
    };
    if listen.port() == default_port { host } else { format!("{host}:{}", listen.port()) }
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{File, load};

    use super::*;

    #[test]
    fn a_directory_is_made_for_keys_and_for_the_control_api_only() {
        let is_used = |text: &str| {
            let file = File { path: "hw.toml", text };
            uses_directory(&load(Service::AllInOne, Some(file), []).unwrap().config)
        };
        assert!(!is_used(""));
        assert!(is_used("inputs.mode = \"keys\""));
        assert!(is_used("control.listen = \"127.0.0.1:8081\""));
    }

    #[test]
    fn addresses_are_written_as_somebody_types_them() {
        assert_eq!(local_authority("0.0.0.0:8080".parse().unwrap(), 80), "localhost:8080");
        assert_eq!(local_authority("[::1]:8080".parse().unwrap(), 80), "[::1]:8080");
        assert_eq!(local_authority("10.0.0.7:80".parse().unwrap(), 80), "10.0.0.7");
    }
}
