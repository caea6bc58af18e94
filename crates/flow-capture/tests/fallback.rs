//! The way without BPF, and address translations, against the numbers of the generator.

#[path = "lab/lab.rs"]
mod lab;

use flow_capture::conntrack::{Connections, Event};
use flow_capture::{Capture, Error, Method, Namespace, Options};
use flow_record::TrafficType;
use lab::{Lab, packets_of, rest, row, rows, run, start};
use runtime::Clock;
use std::time::Duration;

/// The same packets as in the test of BPF, with the one difference that is stated: later fragments have no ports.
#[test]
fn copied_packets_give_the_same_sums() {
    let Some(lab) = Lab::new() else { return };
    let Some(mut capture) = start(Options { method: Method::Packets, ..lab.options() }) else { return };
    assert!(capture.status().limits.iter().any(|l| l.contains("no REJECT")));
    lab.frames(
        "500 udp4 4000 5000 100\n300 udp6 4001 5001 1200\n20 vlan 4002 5002 10\n7 icmp4 64\n3 gre 50\n4 frag4 4003 5003 2000\n5 arp\n6 bad\n",
    );
    let (records, windows) = rest(&mut capture);
    let rows: Vec<_> = rows(&records).into_iter().filter(|r| r.what.contains(" in ")).collect();
    assert_eq!(
        rows,
        [
            row("1 10.99.0.1:0>10.99.0.2:0 in ACCEPT", 7, 7 * 84),
            row("17 10.99.0.1:0>10.99.0.2:0 in ACCEPT", 4, 4 * 1_020),
            row("17 10.99.0.1:4000>10.99.0.2:5000 in ACCEPT", 500, 500 * 128),
            row("17 10.99.0.1:4002>10.99.0.2:5002 in ACCEPT", 20, 20 * 38),
            row("17 10.99.0.1:4003>10.99.0.2:5003 in ACCEPT", 4, 4 * 1_028),
            row("17 fd00:99::1:4001>fd00:99::2:5001 in ACCEPT", 300, 300 * 1_248),
            row("47 10.99.0.1:0>10.99.0.2:0 in ACCEPT", 3, 3 * 70),
        ]
    );
    assert_eq!((windows[0].other, windows[0].loss.malformed, windows[0].loss.unseen), (5, 6, 0));
}

/// Rules that log what they drop make REJECT possible, and the drop is not an ACCEPT as well.
#[test]
fn logged_drops_are_rejected() {
    let Some(lab) = Lab::new() else { return };
    lab.rules(
        &lab.b,
        "table inet f {
           chain i { type filter hook input priority 0; policy accept; udp dport 9 log group 7 drop; }
           chain o { type filter hook output priority 0; policy accept; udp dport 84 log group 7 drop; }
         }",
    );
    let options = Options { method: Method::Packets, reject_group: Some(7), ..lab.options() };
    let Some(mut capture) = start(options) else { return };
    lab.frames("50 udp4 4000 9 100\n20 udp4 4000 12 100\n5 udp6 4000 9 1000\n");
    lab.python(
        &lab.b,
        "
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(25):
    try: u.sendto(b'y' * 72, ('10.99.0.1', 84))
    except PermissionError: pass
",
    );
    std::thread::sleep(Duration::from_millis(500));
    let (records, windows) = rest(&mut capture);
    let rows = rows(&records);
    assert!(rows.contains(&row("17 10.99.0.1:4000>10.99.0.2:9 in REJECT", 50, 50 * 128)), "{rows:#?}");
    assert!(rows.contains(&row("17 fd00:99::1:4000>fd00:99::2:9 in REJECT", 5, 5 * 1_048)), "{rows:#?}");
    assert!(rows.contains(&row("17 10.99.0.1:4000>10.99.0.2:12 in ACCEPT", 20, 20 * 128)), "{rows:#?}");
    assert_eq!(packets_of(&rows, &[":9 in ACCEPT"]), 0, "{rows:#?}");
    assert_eq!(packets_of(&rows, &[">10.99.0.1:84 out REJECT"]), 25, "{rows:#?}");
    assert_eq!(windows[0].packets, packets_of(&rows, &[]));
    assert_eq!(windows[0].loss.verdicts, 0);
}

/// REJECT alone can't be had from copied packets, and that is said at the start.
#[test]
fn rejects_alone_need_more_than_packets() {
    let mut options = Options::new(Namespace::Own, vec!["lo".into()]);
    (options.method, options.traffic) = (Method::Packets, TrafficType::Reject);
    let refused = Capture::start(options, Clock::system()).unwrap_err();
    assert!(matches!(&refused, Error::Unsupported(told) if told.contains("NFLOG")), "{refused}");
}

/// A router that translates the source: both faces of the connection, and what went through it.
#[test]
fn both_faces_of_a_translated_connection() {
    let Some(lab) = Lab::new() else { return };
    let b = &lab.b;
    // A third party behind `b`, which hides `a` behind an address of its own.
    let c = format!("{b}c");
    run(&format!("ip netns add {c}"));
    let made = std::panic::catch_unwind(|| {
        run(&format!("ip -n {b} link add in0 type veth peer name vc netns {c}"));
        for (ns, words) in [
            (b, "link set in0 up"),
            (b, "addr add 10.98.0.1/24 dev in0"),
            (&c, "link set vc up"),
            (&c, "addr add 10.98.0.2/24 dev vc"),
            (&lab.a, "route add 10.98.0.0/24 via 10.99.0.2"),
        ] {
            run(&format!("ip -n {ns} {words}"));
        }
        run(&format!(
            "ip netns exec {b} sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_udp_timeout=1"
        ));
        lab.rules(
            b,
            "table ip n { chain p { type nat hook postrouting priority 100; oifname in0 masquerade; } }",
        );
        let mut connections = Connections::listen(&Namespace::Named(b.clone())).unwrap();
        lab.python(
            &lab.a,
            "
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('10.99.0.1', 4444))
for _ in range(9): u.sendto(b'y' * 72, ('10.98.0.2', 53))
",
        );
        let (mut new, mut ended) = (None, None);
        lab::until_with("both events came", || {
            for t in connections.next(Duration::from_millis(100)).unwrap() {
                if t.original.src_port == 4_444 && t.original.protocol == 17 {
                    *(if t.event == Event::New { &mut new } else { &mut ended }) = Some(t);
                }
            }
            // Looking a connection up makes the kernel notice that its time is over.
            run(&format!("ip netns exec {b} cat /proc/net/nf_conntrack"));
            new.is_some() && ended.is_some()
        });
        let (new, ended) = (new.unwrap(), ended.unwrap());
        assert_eq!(
            (new.original.src.to_string(), new.translated.src.to_string()),
            ("10.99.0.1".into(), "10.98.0.1".into())
        );
        assert_eq!((new.original.dst_port, new.translated.dst.to_string()), (53, "10.98.0.2".into()));
        assert!(new.source && !new.destination);
        let forward = ended.forward.unwrap();
        assert_eq!((forward.packets, forward.bytes), (9, 900));
        assert_eq!(connections.overflows(), 0);
    });
    run(&format!("ip netns del {c}"));
    if let Err(e) = made {
        std::panic::resume_unwind(e);
    }
}
