//! Embeds an origin in a program of one's own: it answers viewers at a port until Ctrl-C, and finishes the requests under way.
//!
//! `cargo run -p headwater --example embed -- REDIS_URL 127.0.0.1:8080`

#![allow(clippy::print_stdout, reason = "this is what the example shows")]

use anyhow::{Context, bail};
use headwater_origin::{Origin, Settings};
use headwater_runtime::config::{self, Service};
use headwater_runtime::readiness::Readiness;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [redis, listen] = &arguments[..] else { bail!("usage: embed REDIS_URL ADDRESS:PORT") };
    // The settings of a configuration file and its variables, of which a program may make its own.
    let variables = [
        ("HEADWATER_REGISTRY_URL".to_owned(), redis.clone()),
        ("HEADWATER_ORIGIN_HTTP_LISTEN".to_owned(), listen.clone()),
        ("HEADWATER_STORE_URL".to_owned(), "none".to_owned()),
    ];
    let config = config::load(Service::Origin, None, variables).ok().context("a setting is wrong")?.config;
    let registry = &config.registry;
    let registry = headwater_registry::open(registry.redis_url(), registry.prefix.as_str(), registry.lease)?;
    let readiness = Readiness::default();
    let origin = Origin::start(&Settings::from(config), registry, &readiness).await?;
    println!("viewers watch at http://{}/<stream>", origin.address());

    let drain = CancellationToken::new();
    let served = tokio::spawn(origin.serve(drain.clone()));
    tokio::signal::ctrl_c().await?;
    drain.cancel();
    Ok(served.await??)
}
