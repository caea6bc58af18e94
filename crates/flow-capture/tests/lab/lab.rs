//! Two namespaces with a cable between them, and what runs in them.
#![allow(dead_code, reason = "no test file uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use flow_capture::{Capture, Error, Method, Namespace, Next, Options};
use flow_record::{Action, Delivery, Direction, LogStatus, Record, Window};
use runtime::Clock;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Namespaces `a` and `b`, with 10.99.0.1/fd00:99::1 and 10.99.0.2/fd00:99::2 on devices `va` and `vb`.
pub struct Lab {
    pub a: String,
    pub b: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Runs a command; its output is shown when it fails.
pub fn run(words: &str) -> Output {
    let mut parts = words.split_whitespace();
    let out = Command::new(parts.next().unwrap()).args(parts).output().unwrap();
    assert!(
        out.status.success(),
        "{words}: {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    out
}

/// Runs a command with a text on its standard input.
pub fn feed(words: &str, text: &str) {
    let mut parts = words.split_whitespace();
    let mut child = Command::new(parts.next().unwrap()).args(parts).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{words}");
}

impl Lab {
    /// `None` where it can't be had; the reason is printed.
    pub fn new() -> Option<Self> {
        for tool in ["ip", "nft", "python3"] {
            if Command::new(tool).arg("--help").output().is_err() {
                println!("SKIPPED: {tool} is not installed");
                return None;
            }
        }
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let lab = Self { a: format!("fc{id}a{n}"), b: format!("fc{id}b{n}") };
        let made = Command::new("ip").args(["netns", "add", &lab.a]).output().unwrap();
        if !made.status.success() {
            println!(
                "SKIPPED: network namespaces can't be made: {}",
                String::from_utf8_lossy(&made.stderr).trim()
            );
            return None;
        }
        run(&format!("ip netns add {}", lab.b));
        // Nothing of its own accord: no neighbour discovery, no multicast reports.
        for ns in [&lab.a, &lab.b] {
            run(&format!(
                "ip netns exec {ns} sysctl -qw net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.addr_gen_mode=1"
            ));
        }
        let quiet = "table inet quiet { chain o { type filter hook output priority -300; ip6 daddr ff00::/8 drop; } }";
        lab.rules(&lab.a, quiet);
        lab.rules(&lab.b, quiet);
        lab.cable();
        Some(lab)
    }

    /// Lays the cable.
    pub fn cable(&self) {
        let (a, b) = (&self.a, &self.b);
        run(&format!("ip link add va netns {a} type veth peer name vb netns {b}"));
        for (ns, dev, n) in [(a, "va", 1), (b, "vb", 2)] {
            run(&format!("ip -n {ns} link set lo up"));
            run(&format!("ip -n {ns} addr add 10.99.0.{n}/24 dev {dev}"));
            run(&format!("ip -n {ns} addr add fd00:99::{n}/64 dev {dev} nodad"));
            run(&format!("ip -n {ns} link set {dev} up"));
        }
        self.neighbours();
    }

    fn neighbours(&self) {
        let (va, vb) = (self.address(&self.a, "va"), self.address(&self.b, "vb"));
        for (ns, dev, n, mac) in [(&self.a, "va", 2, &vb), (&self.b, "vb", 1, &va)] {
            run(&format!("ip -n {ns} neigh replace 10.99.0.{n} lladdr {mac} dev {dev} nud permanent"));
            run(&format!("ip -n {ns} neigh replace fd00:99::{n} lladdr {mac} dev {dev} nud permanent"));
        }
    }

    pub fn address(&self, ns: &str, dev: &str) -> String {
        let out = run(&format!("ip -n {ns} -br link show dev {dev}"));
        String::from_utf8_lossy(&out.stdout).split_whitespace().nth(2).unwrap().to_owned()
    }

    /// Sends known frames from `a` to `b`.
    pub fn frames(&self, script: &str) {
        let mac = self.address(&self.b, "vb").replace(':', "");
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/frames.py");
        feed(&format!("ip netns exec {} python3 {program} va {mac}", self.a), script);
    }

    /// Rules in one of the namespaces.
    pub fn rules(&self, ns: &str, text: &str) {
        feed(&format!("ip netns exec {ns} nft -f -"), &text.replace("} ", "}\n"));
    }

    /// What a Python program in one of the namespaces printed; it must end well.
    pub fn python(&self, ns: &str, program: &str) -> String {
        let out = Command::new("ip").args(["netns", "exec", ns, "python3", "-c", program]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Options for device `vb` in `b`.
    pub fn options(&self) -> Options {
        let mut options = Options::new(Namespace::Named(self.b.clone()), vec!["vb".into()]);
        options.window = Duration::from_secs(3_600);
        options.method = Method::Bpf;
        options
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for ns in [&self.a, &self.b] {
            let _ = Command::new("ip").args(["netns", "del", ns]).output();
        }
    }
}

/// Starts a capture; `None` where rights or the kernel don't allow it.
pub fn start(options: Options) -> Option<Capture> {
    match Capture::start(options, Clock::system()) {
        Ok(capture) => Some(capture),
        Err(e @ (Error::Rights(_) | Error::Unsupported(_))) => {
            println!("SKIPPED: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// Everything up to the end of a capture that was asked to stop.
pub fn rest(capture: &mut Capture) -> (Vec<Record>, Vec<Window>) {
    capture.stop();
    read(capture, |_| false)
}

/// Deliveries up to the end, or until enough windows have ended.
pub fn read(capture: &mut Capture, enough: impl Fn(&[Window]) -> bool) -> (Vec<Record>, Vec<Window>) {
    let (mut records, mut windows) = (Vec::new(), Vec::new());
    let end = Instant::now() + Duration::from_secs(60);
    while !enough(&windows) {
        match capture.next(Duration::from_millis(200)) {
            Next::Delivery(Delivery::Records(more)) => records.extend(more),
            Next::Delivery(Delivery::WindowEnd(window)) => windows.push(window),
            Next::Nothing => assert!(Instant::now() < end, "nothing more came: {:?}", capture.status()),
            Next::Ended => break,
        }
    }
    (records, windows)
}

/// Waits until something is so.
pub fn until(what: &str, so: impl Fn() -> bool) {
    until_with(what, so);
}

/// The same, for what changes something.
pub fn until_with(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A flow's sums, in a form that is short to write down in a test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub what: String,
    pub packets: u64,
    pub bytes: u64,
}

/// `protocol source:port>destination:port in|out ACTION`, packets and bytes, sorted.
pub fn rows(records: &[Record]) -> Vec<Row> {
    let mut rows: Vec<Row> = records
        .iter()
        .filter(|r| r.status == LogStatus::Ok)
        .map(|r| {
            let f = r.flow.unwrap();
            let way = if f.extras.direction == Some(Direction::In) { "in" } else { "out" };
            let action = if f.action == Action::Accept { "ACCEPT" } else { "REJECT" };
            let t = f.tuple;
            let what =
                format!("{} {}:{}>{}:{} {way} {action}", t.protocol, t.src, t.src_port, t.dst, t.dst_port);
            Row { what, packets: f.packets, bytes: f.bytes }
        })
        .collect();
    rows.sort();
    rows
}

/// The same, for what a test expects.
pub fn row(what: &str, packets: u64, bytes: u64) -> Row {
    Row { what: what.into(), packets, bytes }
}

/// Packets of the rows whose text has all these parts.
pub fn packets_of(rows: &[Row], parts: &[&str]) -> u64 {
    rows.iter().filter(|r| parts.iter().all(|p| r.what.contains(p))).map(|r| r.packets).sum()
}
