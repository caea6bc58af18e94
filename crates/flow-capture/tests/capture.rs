//! Real packets between namespaces, against the numbers of the generator that sent them.

#[path = "lab/lab.rs"]
mod lab;

use flow_capture::{Capture, DeviceState, Error, Method, Namespace, Next, Options, State};
use flow_record::{Delivery, LogStatus, TrafficType};
use lab::{Lab, packets_of, read, rest, row, rows, run, start, until};
use runtime::{Clock, Micros};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every kind of packet once: packets and bytes are those that were sent, from the network header on.
#[test]
fn each_kind_of_packet_is_counted_as_it_was_sent() {
    let Some(lab) = Lab::new() else { return };
    // The receiver must not answer: its answers would be flows as well.
    lab.rules(&lab.b, "table inet f { chain o { type filter hook output priority 0; policy drop; } }");
    let Some(mut capture) = start(lab.options()) else { return };
    lab.frames(
        "500 udp4 4000 5000 100\n300 udp6 4001 5001 1200\n20 vlan 4002 5002 10\n7 icmp4 64\n3 gre 50\n4 frag4 4003 5003 2000\n5 arp\n6 bad\n",
    );
    let (records, windows) = rest(&mut capture);
    // What the receiver said of its own accord (multicast reports, ICMP errors) was dropped on its way out.
    let (rows, own): (Vec<_>, Vec<_>) = rows(&records).into_iter().partition(|r| r.what.contains(" in "));
    assert!(own.iter().all(|r| r.what.contains("out REJECT")), "{own:?}");
    assert_eq!(
        rows,
        [
            row("1 10.99.0.1:0>10.99.0.2:0 in ACCEPT", 7, 7 * 84),
            row("17 10.99.0.1:4000>10.99.0.2:5000 in ACCEPT", 500, 500 * 128),
            row("17 10.99.0.1:4002>10.99.0.2:5002 in ACCEPT", 20, 20 * 38),
            row("17 10.99.0.1:4003>10.99.0.2:5003 in ACCEPT", 8, 4 * (2_008 + 40)),
            row("17 fd00:99::1:4001>fd00:99::2:5001 in ACCEPT", 300, 300 * 1_248),
            row("47 10.99.0.1:0>10.99.0.2:0 in ACCEPT", 3, 3 * 70),
        ]
    );
    let window = windows.last().unwrap();
    let all = 838 + packets_of(&own, &[]);
    assert_eq!((window.packets, window.other, window.loss.malformed, window.loss.packets), (all, 5, 6, 0));
    // What could not be read is not passed over in silence.
    assert_eq!(records.iter().filter(|r| r.status == LogStatus::SkipData).count(), 1);
}

const SERVE: &str = "
import socket
s = socket.create_server(('10.99.0.2', 8000)); s6 = socket.create_server(('fd00:99::2', 8001), family=socket.AF_INET6)
for l in (s, s6):
    c, _ = l.accept(); n = 0
    while b := c.recv(65536): n += len(b)
    c.close()
";
const SEND: &str = "
import socket, struct, time
for where, n in ((('10.99.0.2', 8000), 3000000), (('fd00:99::2', 8001), 1000000)):
    for _ in range(100):
        try: c = socket.create_connection(where, 1); break
        except OSError: time.sleep(.05)
    c.sendall(b'x' * n); c.shutdown(socket.SHUT_WR); c.settimeout(5); assert c.recv(1) == b''
    i = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232); c.close()
    print(struct.unpack_from('I', i, 136)[0], struct.unpack_from('Q', i, 200)[0])
";

/// TCP with and without offload. Segments of 64 KiB count as the packets that they become; each has its headers. The sender's
/// kernel tells how many packets and bytes it sent (TCP_INFO), with repeats.
#[test]
fn offloaded_segments_count_as_packets_on_the_wire() {
    for offload in ["on", "off"] {
        let Some(lab) = Lab::new() else { return };
        if offload == "off" {
            for (ns, dev) in [(&lab.a, "va"), (&lab.b, "vb")] {
                if Command::new("ethtool").arg("--version").output().is_err() {
                    println!("SKIPPED: ethtool is not installed");
                    return;
                }
                run(&format!("ip netns exec {ns} ethtool -K {dev} tso off gso off gro off"));
            }
        }
        let Some(mut capture) = start(lab.options()) else { return };
        let serve = Command::new("ip").args(["netns", "exec", &lab.b, "python3", "-c", SERVE]).spawn();
        let told = lab.python(&lab.a, SEND);
        assert!(serve.unwrap().wait().unwrap().success());
        let (records, windows) = rest(&mut capture);
        let rows = rows(&records);
        for ((port, headers), told) in
            [(">10.99.0.2:8000 in", 52), (">fd00:99::2:8001 in", 72)].iter().zip(told.lines())
        {
            let told: Vec<u64> = told.split_whitespace().map(|w| w.parse().unwrap()).collect();
            // Attempts before the server listened are flows as well, of one packet.
            let one = rows.iter().filter(|r| r.what.contains(port)).max_by_key(|r| r.packets).unwrap();
            // The first packet (SYN) has 8 bytes more of options than the others.
            let expected = (told[0], told[1] + told[0] * headers + 8);
            assert_eq!((one.packets, one.bytes), expected, "offload {offload}: {one:?}");
        }
        // In each direction of a whole connection: SYN, ACK, FIN; data has PSH.
        let flows = records.iter().filter_map(|r| r.flow).filter(|f| f.tuple.dst_port == 8_000);
        let sent = flows.max_by_key(|f| f.packets).unwrap();
        assert_eq!(sent.extras.tcp_flags & 0x1f, 0x1b);
        assert_eq!(windows.iter().map(|w| w.loss.packets + w.loss.verdicts).sum::<u64>(), 0);
    }
}

/// tcpdump sees the same number of packets, when nothing is offloaded.
#[test]
fn tcpdump_counts_the_same() {
    let Some(lab) = Lab::new() else { return };
    if Command::new("tcpdump").arg("--version").output().is_err() {
        println!("SKIPPED: tcpdump is not installed");
        return;
    }
    let Some(mut capture) = start(lab.options()) else { return };
    let dump = Command::new("ip")
        .args([
            "netns",
            "exec",
            &lab.b,
            "tcpdump",
            "-Z",
            "root",
            "-n",
            "-i",
            "vb",
            "--immediate-mode",
            "-w",
            "/dev/null",
            "-B",
            "16384",
            "udp",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    lab.frames("3000 udp4 4000 5000 40\n1000 udp6 4000 5000 300\n");
    std::thread::sleep(Duration::from_millis(500));
    run(&format!("kill -INT {}", dump.id()));
    let told = String::from_utf8_lossy(&dump.wait_with_output().unwrap().stderr).into_owned();
    let count: u64 = told
        .lines()
        // Of those "captured" some may not have been read yet when it was told to end.
        .find(|l| l.contains("packets received by filter"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let (records, _) = rest(&mut capture);
    assert_eq!(packets_of(&rows(&records), &["17 "]), count, "{told}");
    assert_eq!(count, 4_000);
}

/// Drops in input (dropped, rejected, counted), in output and on the way through; what is accepted beside them stays.
#[test]
fn what_rules_drop_is_rejected_and_only_that() {
    let Some(lab) = Lab::new() else { return };
    lab.rules(
        &lab.b,
        "table inet f {
           chain i { type filter hook input priority 0; policy accept; udp dport 9 drop; udp dport 10 reject; udp dport 11 counter drop; icmp type echo-reply drop; }
           chain o { type filter hook output priority 0; policy accept; udp dport 84 drop; icmp type destination-unreachable accept; }
         }",
    );
    let Some(mut capture) = start(lab.options()) else { return };
    lab.frames("50 udp4 4000 9 100\n40 udp4 4000 10 100\n30 udp6 4000 11 100\n20 udp4 4000 12 100\n5 frag4 4001 9 2000\n6 icmp4 64\n");
    lab.python(
        &lab.b,
        "
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port, n in ((84, 25), (85, 15)):
    for _ in range(n):
        try: u.sendto(b'y' * 72, ('10.99.0.1', port))
        except PermissionError: pass
",
    );
    let (records, windows) = rest(&mut capture);
    let rows = rows(&records);
    for (expected, packets, bytes) in [
        ("17 10.99.0.1:4000>10.99.0.2:9 in REJECT", 50, 50 * 128),
        ("17 10.99.0.1:4000>10.99.0.2:10 in REJECT", 40, 40 * 128),
        ("17 fd00:99::1:4000>fd00:99::2:11 in REJECT", 30, 30 * 148),
        // Put together before they are dropped, seen one by one: the sums are those of the fragments.
        ("17 10.99.0.1:4001>10.99.0.2:9 in REJECT", 10, 5 * (2_008 + 40)),
        ("1 10.99.0.1:0>10.99.0.2:0 in REJECT", 6, 6 * 84),
        ("17 10.99.0.1:4000>10.99.0.2:12 in ACCEPT", 20, 20 * 128),
    ] {
        assert!(rows.contains(&row(expected, packets, bytes)), "{expected} {packets} {bytes} in {rows:#?}");
    }
    assert_eq!(packets_of(&rows, &[">10.99.0.1:84 out REJECT"]), 25, "{rows:#?}");
    assert_eq!(packets_of(&rows, &[">10.99.0.1:85 out ACCEPT"]), 15, "{rows:#?}");
    assert_eq!(
        packets_of(&rows, &["in ACCEPT", "17 "]),
        20 + packets_of(&rows, &[":85>", "in ACCEPT"]),
        "{rows:#?}"
    );
    assert_eq!(packets_of(&rows, &[">10.99.0.1:84", "ACCEPT"]), 0, "{rows:#?}");
    assert_eq!(windows[0].loss.verdicts, 0);
}

/// A router between two networks drops on the way through. The device that the packet came in by has the drop; where it isn't
/// observed, the one by which it would have left.
#[test]
fn a_drop_on_the_way_through_belongs_to_one_device() {
    let Some(lab) = Lab::new() else { return };
    let b = &lab.b;
    run(&format!("ip -n {b} link add in0 type veth peer name in1"));
    for words in [
        "link set in0 up",
        "link set in1 up",
        "addr add 10.98.0.1/24 dev in0",
        "neigh replace 10.98.0.2 lladdr 02:00:00:00:00:01 dev in0",
    ] {
        run(&format!("ip -n {b} {words}"));
    }
    run(&format!("ip netns exec {b} sysctl -qw net.ipv4.ip_forward=1"));
    run(&format!("ip -n {} route add 10.98.0.0/24 via 10.99.0.2", lab.a));
    lab.rules(
        b,
        "table inet f { chain w { type filter hook forward priority 0; policy accept; udp dport 9 drop; } }",
    );
    let both = Options { devices: vec!["vb".into(), "in0".into()], ..lab.options() };
    let inner = Options { devices: vec!["in0".into()], traffic: TrafficType::Reject, ..lab.options() };
    let (Some(mut both), Some(mut inner)) = (start(both), start(inner)) else { return };
    lab.python(
        &lab.a,
        "
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port, n in ((9, 33), (10, 44)):
    for _ in range(n): u.sendto(b'y' * 72, ('10.98.0.2', port))
",
    );
    let (records, _) = rest(&mut both);
    let (of_vb, of_in0): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| r.source.0 == 0);
    let (of_vb, of_in0) = (rows(&of_vb), rows(&of_in0));
    assert_eq!(packets_of(&of_vb, &[">10.98.0.2:9 in REJECT"]), 33, "{of_vb:#?}");
    assert_eq!(packets_of(&of_vb, &[">10.98.0.2:9 in ACCEPT"]), 0, "{of_vb:#?}");
    assert_eq!(packets_of(&of_vb, &[">10.98.0.2:10 in ACCEPT"]), 44, "{of_vb:#?}");
    assert_eq!(packets_of(&of_in0, &[">10.98.0.2:9"]), 0, "{of_in0:#?}");
    assert_eq!(packets_of(&of_in0, &[">10.98.0.2:10 out ACCEPT"]), 44, "{of_in0:#?}");
    let (records, _) = rest(&mut inner);
    let rows = rows(&records);
    assert_eq!((packets_of(&rows, &[">10.98.0.2:9 out REJECT"]), rows.len()), (33, 1), "{rows:#?}");
}

/// The other namespace's drops are not ours, even where device numbers are the same.
#[test]
fn drops_in_other_namespaces_are_not_ours() {
    let (Some(lab), Some(other)) = (Lab::new(), Lab::new()) else { return };
    for lab in [&lab, &other] {
        lab.rules(
            &lab.b,
            "table inet f { chain i { type filter hook input priority 0; udp dport 9 drop; } }",
        );
    }
    let Some(mut capture) = start(lab.options()) else { return };
    other.frames("100 udp4 1 9 10\n");
    lab.frames("10 udp4 1 9 10\n");
    let (records, _) = rest(&mut capture);
    let rows = rows(&records);
    assert_eq!(
        (packets_of(&rows, &["10.99.", "REJECT"]), packets_of(&rows, &["10.99."])),
        (10, 10),
        "{rows:#?}"
    );
}

/// More flows than there is room for: those that are there are exact, the others are counted as lost, and each window says so.
#[test]
fn what_finds_no_room_is_counted() {
    let Some(lab) = Lab::new() else { return };
    lab.rules(
        &lab.b,
        "table inet f { chain i { type filter hook input priority 0; udp dport 9 drop; udp dport 7 drop; } }",
    );
    // No packets of the system's own, some of which would be lost as well.
    for ns in [&lab.a, &lab.b] {
        run(&format!("ip netns exec {ns} sysctl -qw net.ipv6.conf.all.disable_ipv6=1"));
    }
    let options = Options { max_flows: 1_000, max_rejected: 500, ..lab.options() };
    let Some(mut capture) = start(options) else { return };
    lab.frames("2 flows 3000\n");
    let (records, windows) = rest(&mut capture);
    let window = windows[0];
    let rows = rows(&records);
    assert_eq!(window.packets + window.loss.packets, 6_000, "{window:?}");
    assert_eq!(window.packets, packets_of(&rows, &[]));
    assert!(window.loss.packets >= 2 * (3_000 - 1_000 - 200), "{window:?}");
    assert!(window.loss.verdicts >= 2 * (3_000 - 500 - 200), "{window:?}");
    assert!(records.iter().any(|r| r.status == LogStatus::SkipData));
}

/// Windows one after the other lose nothing between them, and one without packets says NODATA.
#[test]
fn nothing_falls_between_windows() {
    let Some(lab) = Lab::new() else { return };
    let Some(mut capture) = start(Options { window: Duration::from_millis(200), ..lab.options() }) else {
        return;
    };
    lab.frames("20000 udp4 4000 5000 20\n");
    let already = capture.status().windows;
    let (mut records, mut windows) = read(&mut capture, |w| w.len() as u64 >= already + 3);
    let (more, others) = rest(&mut capture);
    records.extend(more);
    windows.extend(others);
    let rows = rows(&records);
    assert_eq!(packets_of(&rows, &["10.99.0.1:4000>10.99.0.2:5000 in ACCEPT"]), 20_000);
    assert!(
        windows.len() > 3
            && windows.iter().enumerate().all(|(n, w)| w.number == n as u64 && w.start <= w.end)
    );
    assert!(records.iter().any(|r| r.status == LogStatus::NoData && r.flow.is_none()));
    assert!(windows.iter().all(|w| !w.loss.any()));
}

/// A reader that doesn't read: windows get longer, nothing is lost.
#[test]
fn a_slow_reader_loses_nothing() {
    let Some(lab) = Lab::new() else { return };
    let options = Options { window: Duration::from_millis(100), queue: 1, ..lab.options() };
    let Some(mut capture) = start(Options { traffic: TrafficType::Accept, ..options }) else { return };
    lab.rules(&lab.b, "table inet f { chain o { type filter hook output priority 0; policy drop; } }");
    for _ in 0..4 {
        lab.frames("1 flows 3000\n");
        std::thread::sleep(Duration::from_millis(300));
    }
    let (records, windows) = rest(&mut capture);
    assert_eq!(packets_of(&rows(&records), &["in ACCEPT"]), 12_000);
    assert!(windows.len() < 9, "the queue was not the limit: {}", windows.len());
}

/// A device that is removed and made again is observed again; the window of that says that something may be missing.
#[test]
fn a_device_that_comes_back_is_observed_again() {
    let Some(lab) = Lab::new() else { return };
    let Some(mut capture) = start(lab.options()) else { return };
    lab.frames("10 udp4 1 2 10\n");
    run(&format!("ip -n {} link del vb", lab.b));
    until("the device is gone", || capture.status().devices[0].state == DeviceState::Missing);
    lab.cable();
    until("it is back", || matches!(capture.status().devices[0].state, DeviceState::Attached(_)));
    lab.frames("20 udp4 1 2 10\n");
    let (records, _) = rest(&mut capture);
    // Its number is another one, the source is the same.
    assert_eq!(packets_of(&rows(&records), &["10.99.0.1:1>10.99.0.2:2 in"]), 30);
    assert!(records.iter().any(|r| r.status == LogStatus::SkipData));
}

/// A namespace that goes is an error state; when one of that name is made, it is observed.
#[test]
fn a_namespace_that_comes_back_is_entered_again() {
    let Some(lab) = Lab::new() else { return };
    let Some(mut capture) = start(lab.options()) else { return };
    lab.frames("10 udp4 1 2 10\n");
    run(&format!("ip netns del {}", lab.b));
    until("the state says so", || matches!(capture.status().state, State::NoNamespace(_)));
    until("the kernel took the cable with it", || {
        !Command::new("ip").args(["-n", &lab.a, "link", "show", "va"]).output().unwrap().status.success()
    });
    run(&format!("ip netns add {}", lab.b));
    lab.cable();
    until("it is observed again", || {
        let status = capture.status();
        status.state == State::Running && matches!(status.devices[0].state, DeviceState::Attached(_))
    });
    lab.frames("20 udp4 1 2 10\n");
    let (records, _) = rest(&mut capture);
    assert!(packets_of(&rows(&records), &["10.99.0.1:1>10.99.0.2:2 in"]) >= 20);
}

/// The wall clock is set while a window is open: no time runs backwards in the records.
#[test]
fn a_step_of_the_clock_makes_no_nonsense() {
    let Some(lab) = Lab::new() else { return };
    let clock = Clock::manual(Micros::from_seconds(1_700_000_000));
    let options = Options { window: Duration::from_millis(300), ..lab.options() };
    let Ok(mut capture) = Capture::start(options, clock.clone()) else {
        println!("SKIPPED: no right to load BPF programs");
        return;
    };
    for step in [-7_200, 3_600, 10] {
        lab.frames("10 udp4 1 2 10\n");
        clock.advance(step * 1_000_000);
        std::thread::sleep(Duration::from_millis(400));
    }
    let (records, windows) = rest(&mut capture);
    assert_eq!(packets_of(&rows(&records), &["10.99.0.1:1>10.99.0.2:2 in"]), 30);
    assert!(windows.iter().all(|w| w.start <= w.end), "{windows:?}");
    assert!(records.iter().all(|r| r.start <= r.end), "{records:?}");
}

/// Without rights there is an error that names them, not a capture that sees nothing.
#[test]
fn without_rights_there_is_a_clear_error() {
    let example = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/capture");
    if !example.exists() || Command::new("setpriv").arg("--version").output().is_err() {
        println!("SKIPPED: the example is not built, or there is no setpriv");
        return;
    }
    // The file may lie where only root can go: a copy is run.
    let copy = std::env::temp_dir().join(format!("flow-capture-{}", std::process::id()));
    std::fs::copy(&example, &copy).unwrap();
    let out = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["own", "lo", "1"])
        .output();
    std::fs::remove_file(&copy).unwrap();
    let out = out.unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(
        !out.status.success() && told.contains("no right to capture flows") && told.contains("CAP_BPF"),
        "{told}"
    );
}

/// The best way is BPF where it is allowed; a handle that is let go ends its thread.
#[test]
fn the_best_way_is_taken_and_let_go() {
    let Some(lab) = Lab::new() else { return };
    let Some(capture) = start(Options { method: Method::Best, ..lab.options() }) else { return };
    if capture.status().method == Method::Bpf {
        assert_eq!(capture.status().fallback, None);
        assert!(capture.status().limits.is_empty());
    }
    drop(capture);
    let wrong = Options::new(Namespace::Own, Vec::new());
    assert!(matches!(Capture::start(wrong, Clock::system()), Err(Error::Options(_))));
    // Nobody is there: a state, and then none of it in the way of the end.
    let absent = Options::new(Namespace::Named("no-such-namespace".into()), vec!["eth9".into()]);
    let Some(mut capture) = start(Options { window: Duration::from_millis(100), ..absent }) else { return };
    assert!(matches!(capture.status().state, State::NoNamespace(_)));
    let Next::Delivery(Delivery::Records(first)) = capture.next(Duration::from_secs(5)) else { panic!() };
    assert_eq!(first[0].status, LogStatus::NoData);
}
