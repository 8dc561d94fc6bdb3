//! Callers that don't know the cluster's secret: they get nothing, whatever they call.

use headwater_registry::ServerRecord;
use headwater_runtime::config::Secret;
use headwater_wire::v2::{StatusRequest, StatusResponse};
use headwater_wire::{Channels, ClusterSecrets, ServiceChannel};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::support::TestServer;

const CONTRACT: &str = include_str!("../../../wire/proto/headwater/v2/services.proto");
const SECRET: &str = "cluster-secret-of-today";
const PREVIOUS: &str = "cluster-secret-of-yesterday";

/// Paths of all methods of the contract.
fn methods() -> Vec<String> {
    let mut service = "";
    let mut methods = Vec::new();
    for line in CONTRACT.lines() {
        if let Some(rest) = line.strip_prefix("service ") {
            service = rest.trim_end_matches(" {");
        } else if let Some(rest) = line.trim_start().strip_prefix("rpc ") {
            let method = rest.split('(').next().unwrap();
            methods.push(format!("/headwater.v2.{service}/{method}"));
        }
    }
    methods
}

/// Answer to a call of this path with an empty message, which is a valid one of every method.
async fn call(channel: &ServiceChannel, path: &str) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let codec = ProstCodec::<StatusRequest, StatusResponse>::default();
    client.unary(Request::new(StatusRequest {}), PathAndQuery::try_from(path).unwrap(), codec).await.map(drop)
}

fn channel_with(texts: [Option<&str>; 2], server: &ServerRecord) -> ServiceChannel {
    Channels::to_cluster(&ClusterSecrets::new(texts), None).dedicated(&server.address).unwrap()
}

async fn server_with_secrets() -> TestServer {
    TestServer::with(|config| {
        config.cluster.secret = Secret::new(SECRET);
        config.cluster.previous_secret = Secret::new(PREVIOUS);
    })
    .await
}

#[tokio::test]
async fn a_stranger_may_call_no_method() {
    let server = server_with_secrets().await;
    let methods = methods();
    assert!(methods.len() >= 8, "{methods:?}");
    let unknown = ["/headwater.v2.Operator/Nothing", "/headwater.v1.Operator/Status", "/"].map(str::to_owned);
    for path in methods.iter().chain(&unknown) {
        for secret in [None, Some("cluster-secret-of-others")] {
            let refused = call(&channel_with([secret, None], &server.record), path).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{path}: {refused}");
        }
    }
    assert!(!server.drain.is_cancelled(), "a stranger has drained the server");
}

#[tokio::test]
async fn callers_with_either_secret_are_answered() {
    let server = server_with_secrets().await;
    for secret in [SECRET, PREVIOUS] {
        call(&channel_with([Some(secret), None], &server.record), "/headwater.v2.Operator/Status")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_server_without_a_secret_answers_everybody() {
    let server = TestServer::start().await;
    for secret in [None, Some(SECRET)] {
        call(&channel_with([secret, None], &server.record), "/headwater.v2.Operator/Status").await.unwrap();
    }
}
