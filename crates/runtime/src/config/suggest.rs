//! Suggestions for misspelt names.

use strsim::normalized_damerau_levenshtein;

use super::source::VARIABLE_PREFIX;

/// Names that differ more are no help.
const MIN_SIMILARITY: f64 = 0.7;

/// The name nearest to `wrong`, if any is near: the same setting of another section, or a misspelt name. Names are those
/// of settings, or those of variables.
pub(super) fn suggest_name<'a>(wrong: &str, names: &'a [String]) -> Option<&'a str> {
    let bare = |name: &str| name.trim_start_matches(VARIABLE_PREFIX).to_owned();
    let similarity = |name: &&String| normalized_damerau_levenshtein(&bare(wrong), &bare(name));
    let moved: Vec<_> = names.iter().filter(|name| is_moved(wrong, name)).collect();
    let near =
        |names: Vec<&'a String>| names.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let misspelt = || near(names.iter().collect()).filter(|name| similarity(name) >= MIN_SIMILARITY);
    near(moved).or_else(misspelt).map(String::as_str)
}

/// The name nearest to `wrong`, if any is near.
pub(super) fn nearest_name<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    let similarity = |name: &&'a str| normalized_damerau_levenshtein(wrong, name);
    let near = names.iter().copied().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    near.filter(|name| similarity(name) >= MIN_SIMILARITY)
}

/// Whether the two are the same setting of different sections, or `wrong` has no section at all.
fn is_moved(wrong: &str, name: &str) -> bool {
    match (wrong.strip_prefix(VARIABLE_PREFIX), wrong.rsplit_once('.')) {
        (Some(bare), _) => name.ends_with(&format!("_{bare}")),
        (None, Some((_, key))) => name.ends_with(&format!(".{key}")),
        (None, None) => name.ends_with(&format!(".{wrong}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_is_found_and_a_strange_one_has_none() {
        let names = ["proxy.rtmp_listen", "proxy.metrics_listen", "server.metrics_listen"].map(String::from);
        assert_eq!(suggest_name("proxy.rtmp_listn", &names), Some("proxy.rtmp_listen"));
        assert_eq!(suggest_name("rtmp_listen", &names), Some("proxy.rtmp_listen"));
        assert_eq!(suggest_name("server.rtmp_listen", &names), Some("proxy.rtmp_listen"));
        assert_eq!(suggest_name("sever.metrics_listen", &names), Some("server.metrics_listen"));
        assert_eq!(suggest_name("colour", &names), None);
    }

    #[test]
    fn the_nearest_variable_is_found_and_the_prefix_makes_none_near() {
        let names = ["HEADWATER_PROXY_APPS", "HEADWATER_LOG_LEVEL"].map(String::from);
        assert_eq!(suggest_name("HEADWATER_PROXI_APPS", &names), Some("HEADWATER_PROXY_APPS"));
        assert_eq!(suggest_name("HEADWATER_LEVEL", &names), Some("HEADWATER_LOG_LEVEL"));
        assert_eq!(suggest_name("HEADWATER_X", &names), None);
    }
}
