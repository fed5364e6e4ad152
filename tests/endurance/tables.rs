//! What the process of a mount holds in memory, which it tells its log when it is asked how much room there is (`df`).

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use crate::place::{LONG, Place};

/// Counts, by name.
pub(crate) type Tables = BTreeMap<String, u64>;

impl Place {
    /// What the mount holds once the kernel has forgotten what it can.
    pub(crate) fn tables(&self) -> Tables {
        fs::write("/proc/sys/vm/drop_caches", "2").expect("these tests need root, to have the kernel forget");
        for part in [self.point.clone(), self.point.join("artifacts")] {
            rustix::fs::statvfs(part).unwrap();
        }
        let log = fs::read_to_string(&self.log).unwrap();
        let mut tables = Tables::new();
        // The newest ones come last.
        for line in log.lines().filter(|line| line.contains("::tables:")) {
            for (name, number) in line.split(' ').filter_map(|word| word.split_once('=')) {
                tables.insert(name.to_owned(), number.parse().unwrap());
            }
        }
        assert!(tables.contains_key("inodes") && tables.contains_key("references"), "it does not tell: {tables:?}");
        tables
    }

    /// Waits until the mount holds no more than it did at first.
    #[track_caller]
    pub(crate) fn assert_nothing_leaked(&self, first: &Tables) {
        let begun = Instant::now();
        loop {
            let now = self.tables();
            if now.iter().all(|(name, number)| first.get(name).is_some_and(|first| number <= first)) {
                return;
            }
            assert!(begun.elapsed() < LONG, "it holds {now:?}, at first {first:?}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}
