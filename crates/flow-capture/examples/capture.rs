//! Prints what passes a device: `capture NAMESPACE|own DEVICE[,DEVICE…] SECONDS [bpf|packets] [WINDOW-MILLISECONDS]`.
//! With the word `quiet` only the sums; `flows=N` is the room for flows.

use flow_capture::{Capture, Method, Namespace, Next, Options};
use flow_record::Delivery;
use flow_record::fields::{Identity, line, of_device};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().collect();
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    let namespace = if word(1) == "own" { Namespace::Own } else { Namespace::Named(word(1).into()) };
    let mut options = Options::new(namespace, word(2).split(',').map(str::to_owned).collect());
    options.method = match word(4) {
        "bpf" => Method::Bpf,
        "packets" => Method::Packets,
        _ => Method::Best,
    };
    options.window = Duration::from_millis(word(5).parse().unwrap_or(60_000));
    if let Some(room) = words.iter().find_map(|w| w.strip_prefix("flows=")) {
        options.max_flows = room.parse()?;
    }
    let quiet = words.iter().any(|w| w == "quiet");
    let devices = options.devices.clone();
    let end = Instant::now() + Duration::from_secs(word(3).parse()?);
    let mut capture = Capture::start(options, runtime::Clock::system()).map_err(|e| e.to_string())?;
    eprintln!("{:?}", capture.status());
    let mut stopped = false;
    loop {
        if !stopped && Instant::now() >= end {
            capture.stop();
            stopped = true;
        }
        match capture.next(Duration::from_millis(200)) {
            Next::Delivery(Delivery::Records(records)) if !quiet => {
                for record in &records {
                    let interface = devices.get(record.source.0 as usize).map_or("-", String::as_str);
                    println!(
                        "{}",
                        line(&of_device(record, &Identity { version: "1", account: "0", interface }))
                    );
                }
            }
            Next::Delivery(Delivery::WindowEnd(window)) => eprintln!("{window:?}"),
            Next::Delivery(_) | Next::Nothing => {}
            Next::Ended => break,
        }
    }
    eprintln!("{:?}", capture.status());
    Ok(())
}
