use super::*;

fn report(origin: u64, streams: &[(&str, u32)]) -> ViewerReport {
    let streams = streams.iter().map(|(name, viewers)| (stream(name), *viewers)).collect();
    ViewerReport { origin: OriginId(origin), streams, is_cut: false }
}

async fn counted(registry: &Arc<dyn Registry>, names: &[&str]) -> Vec<Option<u64>> {
    let streams: Vec<_> = names.iter().map(|name| stream(name)).collect();
    registry.viewers(&streams).await.unwrap()
}

pub(crate) async fn viewers_are_added_up_over_all_origins(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    registry.report_viewers(&report(1, &[("a", 3), ("b", 1)])).await.unwrap();
    registry.report_viewers(&report(2, &[("a", 40)])).await.unwrap();
    let another = backend.with_defaults().await;
    assert_eq!(counted(&another, &["a", "b", "c"]).await, [Some(43), Some(1), Some(0)]);
    registry.report_viewers(&report(1, &[("b", 2)])).await.unwrap();
    assert_eq!(counted(&another, &["a", "b"]).await, [Some(40), Some(2)], "a report replaces the one before");
}

pub(crate) async fn viewers_that_nobody_reports_are_unknown_and_not_none(backend: &impl Backend) {
    let registry = backend.with_defaults().await;
    assert_eq!(counted(&registry, &["a"]).await, [None]);
    let cut = ViewerReport { is_cut: true, ..report(1, &[("a", 3)]) };
    registry.report_viewers(&cut).await.unwrap();
    registry.report_viewers(&report(2, &[("b", 4)])).await.unwrap();
    assert_eq!(counted(&registry, &["a", "b"]).await, [Some(3), None]);
    registry.report_viewers(&report(1, &[])).await.unwrap();
    assert_eq!(counted(&registry, &["a", "b"]).await, [Some(0), Some(4)]);
}

pub(crate) async fn an_origin_that_stops_to_report_is_forgotten(backend: &impl Backend) {
    let short = backend.open(SHORT).await;
    let long = backend.with_defaults().await;
    short.report_viewers(&report(1, &[("a", 3)])).await.unwrap();
    long.report_viewers(&report(2, &[("a", 4)])).await.unwrap();
    outlast_a_short_ttl(backend).await;
    assert_eq!(counted(&long, &["a"]).await, [Some(4)]);
}
