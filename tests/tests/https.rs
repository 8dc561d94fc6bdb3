//! Viewers and operators by HTTPS: curl and ffmpeg, which check the certificate.

use std::time::Duration;

use anyhow::{Result, ensure};
use headwater_runtime::config::CertificateFiles;
use headwater_runtime::tls::testing::Authority;
use headwater_tests::broadcasts;
use headwater_tests::player::Player;
use headwater_tests::process::{Process, binary, run};
use headwater_tests::publish;
use headwater_tests::stack::{Plan, free_port};

/// Time for a program to start, or for a stream to be on air.
const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "token-of-the-https-test";

fn certificates(files: &CertificateFiles) -> String {
    format!("{}:{}", files.certificate.display(), files.key.display())
}

/// Output of curl, which trusts this authority only.
async fn curl(authority: &Authority, arguments: &[&str]) -> Result<String> {
    let trusted = authority.file().display().to_string();
    let all = [&["--silent", "--show-error", "--max-time", "20", "--cacert", &trusted], arguments].concat();
    Ok(String::from_utf8(run("curl", &all).await?)?)
}

#[tokio::test]
async fn viewers_and_operators_are_answered_by_https() -> Result<()> {
    let authority = Authority::new();
    let files = certificates(&authority.write("origin", "localhost", 4000));
    let https = free_port()?;
    let control = free_port()?;
    let stack = Plan::tiny()
        .set("ORIGIN_HTTPS_LISTEN", &format!("127.0.0.1:{https}"))
        .set("ORIGIN_TLS_CERTIFICATES", &files)
        .set("CONTROL_LISTEN", &format!("127.0.0.1:{control}"))
        .set("CONTROL_TLS_CERTIFICATES", &files)
        .set("CONTROL_TOKEN", TOKEN)
        .start()
        .await?;
    let file = broadcasts::tiny(30).make(stack.path(), "source").await?;
    let _encoder = publish::ffmpeg(stack.path(), &file, &stack.publish_url("demo"))?;
    Player::new(&stack.origin(0), "demo").wait_live(SOON).await?;

    let playlist = format!("https://localhost:{https}/demo/live.m3u8");
    for (version, number) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let shown = curl(&authority, &[version, "--write-out", "%{http_version}", &playlist]).await?;
        ensure!(
            shown.starts_with("#EXTM3U") && shown.ends_with(&format!("\n{number}")),
            "{version}: {shown}"
        );
    }
    ensure!(curl(&Authority::new(), &[&playlist]).await.is_err(), "another authority's client is content");
    let trusted = authority.file().display().to_string();
    let arguments = [
        "-v",
        "error",
        "-tls_verify",
        "1",
        "-ca_file",
        &trusted,
        "-i",
        &playlist,
        "-frames:v",
        "30",
        "-f",
        "framecrc",
        "-",
    ];
    let frames = String::from_utf8(run("ffmpeg", &arguments).await?)?;
    ensure!(frames.lines().filter(|line| line.starts_with("0,")).count() == 30, "{frames}");

    let recordings = format!("localhost:{control}/api/v1/streams/demo/recordings");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}", "--header", &bearer];
    let by_https = curl(&authority, &[&status[..], &[&format!("https://{recordings}")]].concat()).await?;
    ensure!(by_https != "401" && by_https != "000", "{by_https}");
    ensure!(curl(&authority, &[&status[..], &[&format!("http://{recordings}")]].concat()).await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_origin_with_an_expired_certificate_exits_with_the_settings_name() -> Result<()> {
    let authority = Authority::new();
    let expired = certificates(&authority.write("origin", "localhost", 2021));
    let environment = [
        ("HEADWATER_REGISTRY_URL", "redis://127.0.0.1:1"),
        ("HEADWATER_ORIGIN_HTTPS_LISTEN", "127.0.0.1:0"),
        ("HEADWATER_ORIGIN_TLS_CERTIFICATES", &expired),
        ("HEADWATER_CONTROL_LISTEN", "127.0.0.1:0"),
        ("HEADWATER_CONTROL_TLS_CERTIFICATES", "/nowhere.pem:/nowhere.key"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let origin = binary("headwater-origin")?;
    let none: [&str; 0] = [];
    let mut process = Process::start(authority.directory(), "origin", &origin, none, &environment)?;
    let status = process.wait(SOON).await?;
    let said = process.output();
    ensure!(status.code() == Some(2), "{status}: {said}");
    for start in [
        "HEADWATER_ORIGIN_TLS_CERTIFICATES: origin.tls_certificates: the certificate in ",
        "HEADWATER_CONTROL_TLS_CERTIFICATES: control.tls_certificates: /nowhere.pem cannot be read: ",
    ] {
        ensure!(said.lines().any(|line| line.starts_with(start)), "{said}");
    }
    Ok(())
}
