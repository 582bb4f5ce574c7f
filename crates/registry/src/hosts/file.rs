//! The file in which hosts are remembered from one run to the next.
//!
//! It is a cache: whatever cannot be read of it is as if it were not there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use chunked::Ranges;
use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::known::{Known, OPTIMISTIC, narrower};
use super::{HOSTS_MAX, Host, Hosts, make_room, unix_seconds};
use crate::error::{Error, at_path};
use crate::replacement::Replacement;

const VERSION: u32 = 1;
/// Longest file that is read; a thousand hosts take less.
const FILE_LEN_MAX: u64 = 1 << 20;
/// Longest name of a host: 253 bytes, and a port.
const NAME_LEN_MAX: usize = 260;
/// Hosts are asked anew after a week: they get better, and networks change.
const SECONDS_MAX: u64 = 7 * 24 * 3600;
/// After a day where they served no ranges: a cache may have been in the way, and nothing costs as much as believing it.
const SECONDS_WITHOUT_RANGES_MAX: u64 = 24 * 3600;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    hosts: BTreeMap<String, Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    since: u64,
    ranges: RangesRow,
    confirmed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    leads_to: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    round_trip: Option<f64>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth: Option<f64>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_bandwidth: Option<f64>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_range: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RangesRow {
    Many { count: usize, header_len: usize },
    One,
    None,
}

impl Hosts {
    /// Reads what earlier runs learned. A file that is not there or not understood is an empty one, and what is older
    /// than a week is forgotten.
    pub fn load(path: &Path) -> Self {
        let hosts = Self::default();
        hosts.table().extend(read(path, unix_seconds(SystemTime::now())));
        hosts
    }

    /// Writes what is known for later runs, together with what other processes wrote meanwhile of other hosts.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let mut all = read(path, unix_seconds(SystemTime::now()));
        all.extend(
            self.table().iter().map(|(name, host)| (name.clone(), Host::new(host.known.clone(), host.since))),
        );
        make_room(&mut all, HOSTS_MAX);
        let hosts = all.iter().map(|(name, host)| (name.clone(), Row::of(host))).collect();
        let document = Document { version: VERSION, hosts };
        let text = serde_json::to_vec_pretty(&document).map_err(at_path("write", path))?;
        let mut file = Replacement::start(path)?;
        file.write_all(&text).map_err(at_path("write", path))?;
        file.commit()
    }
}

fn read(path: &Path, now: u64) -> BTreeMap<String, Host> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_LEN_MAX).read_to_end(&mut text));
    if read.is_ok() { parse(&text, now) } else { BTreeMap::new() }
}

fn parse(text: &[u8], now: u64) -> BTreeMap<String, Host> {
    let Ok(Document { version: VERSION, hosts }) = serde_json::from_slice(text) else {
        return BTreeMap::new();
    };
    let is_fresh = |row: &Row| row.since <= now && now - row.since < row.seconds_max();
    let mut table: BTreeMap<_, _> = hosts
        .into_iter()
        .filter(|(name, row)| name.len() <= NAME_LEN_MAX && is_fresh(row))
        .map(|(name, row)| (name, row.host()))
        .collect();
    make_room(&mut table, HOSTS_MAX);
    table
}

impl Row {
    /// Returns how long this is believed.
    fn seconds_max(&self) -> u64 {
        match self.ranges {
            RangesRow::None => SECONDS_WITHOUT_RANGES_MAX,
            RangesRow::One | RangesRow::Many { .. } => SECONDS_MAX,
        }
    }

    fn of(host: &Host) -> Self {
        let known = &host.known;
        Self {
            since: host.since,
            ranges: match known.ranges {
                Ranges::Many { count, header_len } => RangesRow::Many { count, header_len },
                Ranges::One => RangesRow::One,
                Ranges::None => RangesRow::None,
            },
            confirmed: known.is_confirmed,
            leads_to: known.leads_to.clone(),
            round_trip: known.round_trip.value(),
            bandwidth: known.bandwidth.value(),
            connection_bandwidth: known.connection_bandwidth.value(),
            per_range: known.per_range.value(),
        }
    }

    fn host(self) -> Host {
        let ranges = match self.ranges {
            RangesRow::Many { count, header_len } => Ranges::Many { count, header_len },
            RangesRow::One => Ranges::One,
            RangesRow::None => Ranges::None,
        };
        let known = Known {
            ranges: narrower(ranges, OPTIMISTIC),
            is_confirmed: self.confirmed,
            leads_to: self.leads_to.filter(|name| name.len() <= NAME_LEN_MAX),
            round_trip: Estimate::from_value(self.round_trip),
            bandwidth: Estimate::from_value(self.bandwidth),
            connection_bandwidth: Estimate::from_value(self.connection_bandwidth),
            per_range: Estimate::from_value(self.per_range),
        };
        Host::new(known, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::{Asked, Served};

    #[test]
    fn what_was_learned_is_there_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts.json");
        let hosts = Hosts::load(&path);
        hosts.learn("one.example", Asked { ranges: 2, header_len: 20 }, Served::Whole);
        hosts.leads_to("registry.example", "one.example");
        hosts.answered("one.example", std::time::Duration::from_millis(50));
        hosts.save(&path).unwrap();

        let other = Hosts::default();
        other.learn("none.example", Asked { ranges: 1, header_len: 10 }, Served::Whole);
        other.save(&path).unwrap();

        let again = Hosts::load(&path);
        assert_eq!(again.behind("registry.example"), "one.example");
        assert_eq!(again.known("one.example"), hosts.known("one.example"));
        assert_eq!(again.known("none.example").unwrap().ranges, Ranges::None);
    }

    #[test]
    fn old_odd_and_foreign_files_are_as_if_they_were_not_there() {
        let row = |since: u64| format!(r#"{{"since": {since}, "ranges": "one", "confirmed": true}}"#);
        let file = |version: u32, row: &str| format!(r#"{{"version": {version}, "hosts": {{"a": {row}}}}}"#);
        let week = SECONDS_MAX;
        for (text, count) in [
            (file(1, &row(101)), 1),
            (file(1, &row(100 + week)), 1),
            (file(1, &row(101 + week)), 0),
            (file(1, &row(100)), 0),
            (file(1, &row(101).replace("one", "none")), 0),
            (file(1, &row(99 + week).replace("one", "none")), 1),
            (file(2, &row(100)), 0),
            (file(1, "{}"), 0),
            ("[".repeat(10_000), 0),
            (String::new(), 0),
        ] {
            assert_eq!(parse(text.as_bytes(), 100 + week).len(), count, "{text:.100}");
        }
        assert!(read(Path::new("/nowhere/at/all"), 0).is_empty());
    }

    #[test]
    fn more_hosts_than_fit_are_forgotten() {
        let hosts = Hosts::default();
        for number in 0..HOSTS_MAX + 5 {
            hosts.learn(&number.to_string(), Asked { ranges: 1, header_len: 10 }, Served::All);
        }
        assert_eq!(hosts.table().len(), HOSTS_MAX);
    }
}
