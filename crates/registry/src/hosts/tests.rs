use chunked::Ranges;

use super::*;

#[test]
fn clones_share_what_they_learn() {
    let hosts = Hosts::default();
    let clone = hosts.clone();
    clone.learn("a:443", Asked { ranges: 2, header_len: 20 }, Served::Whole);
    assert_eq!(hosts.abilities("a:443").ranges, Ranges::One);
    assert!(matches!(hosts.abilities("b:443").ranges, Ranges::Many { count: 380, header_len: 7500 }));
}

#[test]
fn a_registry_leads_to_the_host_of_its_blobs() {
    let hosts = Hosts::default();
    assert_eq!(hosts.behind("registry:443"), "registry:443");
    hosts.leads_to("registry:443", "blobs:443");
    assert_eq!(hosts.behind("registry:443"), "blobs:443");
    hosts.leads_to("registry:443", "registry:443");
    assert_eq!(hosts.behind("registry:443"), "registry:443");
}

#[test]
fn bodies_know_of_each_other() {
    let mut host = Host::new(Known::default(), 0);
    let now = Instant::now();
    let first = host.start(now);
    let second = host.start(now);
    host.progress(100, Duration::ZERO);
    assert_eq!(host.end(&second, now), 1);
    assert!(host.together.is_none());
    let third = host.start(now);
    assert_eq!(host.together.map(|(_, together)| together.len), Some(0));
    assert_eq!(host.end(&third, now), 1);
    assert_eq!(host.end(&first, now), 2);
    let alone = host.start(now);
    assert_eq!(host.end(&alone, now), 0);
}

#[test]
fn a_transfer_counts_what_is_read() {
    let hosts = Hosts::default();
    let mut transfer = hosts.transfer("a", 1);
    let mut buffer = [0; 4];
    assert_eq!(transfer.read(&mut "abcdef".as_bytes(), &mut buffer).unwrap(), 4);
    assert_eq!(transfer.len, 4);
    drop(transfer);
    assert_eq!(hosts.table().get("a").map(|host| host.active), Some(0));
}
