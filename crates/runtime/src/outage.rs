//! Something that is tried again and again, and may fail for long: the log says once that it does, and once that it works
//! again.

/// Whether the last try has failed.
#[derive(Clone, Debug, Default)]
pub struct Outage(bool);

impl Outage {
    /// A try has failed. Whether that is news.
    pub fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }

    /// A try has worked. Whether that is news.
    pub fn ends(&mut self) -> bool {
        std::mem::replace(&mut self.0, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_news_once() {
        let mut outage = Outage::default();
        assert!(!outage.ends(), "it has worked from the start");
        assert_eq!([(); 3].map(|()| outage.begins()), [true, false, false]);
        assert_eq!([(); 2].map(|()| outage.ends()), [true, false]);
        assert!(outage.begins());
    }
}
