//! Peers that speak another version of the contract.

use headwater_wire::v2::{StatusRequest, StatusResponse};
use headwater_wire::version::PACKAGE;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::support::TestServer;

async fn status_of(server: &TestServer, package: &str) -> Result<StatusResponse, tonic::Status> {
    let mut client = Grpc::new(server.channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::try_from(format!("/{package}.Operator/Status")).unwrap();
    let codec = ProstCodec::<StatusRequest, StatusResponse>::default();
    client.unary(Request::new(StatusRequest {}), path, codec).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_peer_of_another_version_is_told_both_versions() {
    let server = TestServer::start().await;
    assert_eq!(status_of(&server, PACKAGE).await.unwrap().version, env!("CARGO_PKG_VERSION"));
    let refused = status_of(&server, "headwater.v1").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    for version in ["headwater.v1", PACKAGE] {
        assert!(refused.message().contains(version), "{refused}");
    }
}
