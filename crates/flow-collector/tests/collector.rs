//! A collector on a real port, with a sender of known records and with softflowd as a real exporter.

#![allow(clippy::unwrap_used, reason = "tests")]

use flow_collector::{Collector, Next, Options};
use flow_record::{Delivery, LogStatus, Record, Window};
use runtime::Clock;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn options() -> Options {
    Options { window: Duration::from_secs(3_600), ..Options::new("127.0.0.1:0".parse().unwrap()) }
}

fn rest(collector: &mut Collector) -> (Vec<Record>, Vec<Window>) {
    collector.stop();
    let (mut records, mut windows) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match collector.next(Duration::from_millis(200)) {
            Next::Delivery(Delivery::Records(more)) => records.extend(more),
            Next::Delivery(Delivery::WindowEnd(window)) => windows.push(window),
            Next::Nothing => assert!(Instant::now() < end),
            Next::Ended => return (records, windows),
        }
    }
}

/// NetFlow v5 with 24 rows a datagram; `number` is that of its first row.
fn v5(number: u32) -> Vec<u8> {
    let mut all = vec![0, 5, 0, 24];
    for word in [1_000, 1_700_000_000, 0, number, 0] {
        all.extend(u32::to_be_bytes(word));
    }
    for row in 0..24 {
        for word in [0x0a00_0000 + (number + row) % 5_000, 0x0a01_0001, 0, 0, 2, 100, 1_000, 1_000] {
            all.extend(u32::to_be_bytes(word));
        }
        all.extend([0, 53, 0, 80, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    all
}

/// What is sent is in the sums, or in the loss: with a small buffer and a sender that doesn't wait, some of it is lost.
#[test]
fn everything_is_summed_up_or_counted_as_lost() {
    for buffer in [32 << 20, 4_096] {
        let mut collector = Collector::start(Options { buffer, ..options() }, Clock::system()).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 5_000u32;
        for n in 0..sent {
            sender.send_to(&v5(n * 24), collector.address()).unwrap();
        }
        // The last one tells how many the system dropped before it: it must get through.
        std::thread::sleep(Duration::from_millis(300));
        sender.send_to(&v5(sent * 24), collector.address()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let address = collector.exporter(flow_record::SourceId(0));
        let (records, windows) = rest(&mut collector);
        let status = collector.status();
        let window = windows[0];
        assert_eq!(address, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(status.datagrams + status.dropped, u64::from(sent) + 1, "{status:?}");
        // The numbers of v5 are those of rows, so the gaps are exact as well.
        assert_eq!(status.records + status.exporters[0].gaps, u64::from(sent + 1) * 24);
        assert_eq!(window.packets, status.records * 2);
        assert_eq!(records.iter().filter_map(|r| r.flow).map(|f| f.packets).sum::<u64>(), window.packets);
        let lossy = records.iter().any(|r| r.status == LogStatus::SkipData);
        assert_eq!(lossy, status.dropped != 0);
        assert_eq!(window.loss.unseen == 0, status.dropped == 0);
        if buffer == 4_096 {
            assert!(status.dropped != 0, "the small buffer was large enough: {status:?}");
        }
    }
}

#[test]
fn strangers_are_refused_and_too_many_flows_are_counted() {
    let allowed = Options { allowed: vec!["192.0.2.7".parse().unwrap()], ..options() };
    let mut collector = Collector::start(allowed, Clock::system()).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(&v5(0), collector.address()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (records, _) = rest(&mut collector);
    assert_eq!((records.len(), collector.status().refused), (0, 1));

    let mut collector = Collector::start(Options { max_flows: 10, ..options() }, Clock::system()).unwrap();
    sender.send_to(&v5(0), collector.address()).unwrap();
    sender.send_to(&[9; 200], collector.address()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (records, windows) = rest(&mut collector);
    assert_eq!((windows[0].packets, windows[0].loss.packets, windows[0].loss.malformed), (20, 28, 1));
    assert!(records.iter().any(|r| r.status == LogStatus::SkipData));
}

/// A pcap file with packets of known sizes, read by softflowd, comes out as the same sums in each version of the protocol; and
/// what was kept of templates is in the file.
#[test]
fn softflowd_s_exports_have_the_sums_of_the_packets() {
    if Command::new("softflowd").arg("-h").output().is_err() {
        println!("SKIPPED: softflowd is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pcap = folder.path().join("packets.pcap");
    // Its records tell times since a start, which is wrong for packets of long ago.
    let began = Clock::system().now().seconds() - 100;
    std::fs::write(&pcap, packets(began as u32)).unwrap();
    for version in ["5", "9", "10"] {
        let templates = folder.path().join(format!("templates-{version}"));
        let with_file = Options { templates: Some(templates.clone()), ..options() };
        let mut collector = Collector::start(with_file, Clock::system()).unwrap();
        let to = collector.address().to_string();
        // With a control socket of its own (-c) it doesn't end after a file.
        let out = Command::new("timeout")
            .args(["20", "softflowd", "-r", pcap.to_str().unwrap(), "-n", &to, "-v", version, "-d"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        std::thread::sleep(Duration::from_millis(500));
        let (records, windows) = rest(&mut collector);
        let mut sums: Vec<(String, u64, u64)> = records
            .iter()
            .filter_map(|r| r.flow)
            .map(|f| {
                (
                    format!("{}:{}>{}:{}", f.tuple.src, f.tuple.src_port, f.tuple.dst, f.tuple.dst_port),
                    f.packets,
                    f.bytes,
                )
            })
            .collect();
        sums.sort();
        let expected = [
            ("10.0.0.1:4000>10.0.0.2:80".to_owned(), 30, 30 * 128),
            ("10.0.0.1:4001>10.0.0.2:80".to_owned(), 20, 20 * 128),
            ("10.0.0.2:80>10.0.0.1:4000".to_owned(), 10, 10 * 128),
        ];
        assert_eq!(sums, expected, "version {version}: {windows:?} {:?}", collector.status());
        let flow = records.iter().find(|r| r.flow.is_some()).unwrap();
        assert!((began - 1..=began + 6).contains(&flow.start), "version {version}: {flow:?}");
        drop(collector);
        if version != "5" {
            assert!(std::fs::read_to_string(&templates).unwrap().contains("template 127.0.0.1"));
        }
    }
}

/// UDP packets with 100 bytes: 30 one way, 10 back, 20 of another flow; one every 100 ms.
fn packets(began: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for n in 0..60u32 {
        let (src, dst, sport, dport) = match n {
            0..30 => (1, 2, 4_000u16, 80u16),
            30..40 => (2, 1, 80, 4_000),
            _ => (1, 2, 4_001, 80),
        };
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 128, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
        frame.extend(sport.to_be_bytes());
        frame.extend(dport.to_be_bytes());
        frame.extend([0, 108, 0, 0]);
        frame.extend([0; 100]);
        for word in [began + n / 10, n % 10 * 100_000, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}
