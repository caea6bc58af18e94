//! The object against its source, and what is read from its maps.

use super::*;
use std::process::Command;

/// The committed object is what `build.sh` makes of the committed source. Only the same version of the compiler gives the same
/// bytes; with another one this test checks that the object has the same programs and maps.
#[test]
fn the_object_is_built_from_the_source() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/bpf");
    let Ok(version) = Command::new("clang").arg("--version").output() else {
        println!("SKIPPED: clang is not installed");
        return;
    };
    if Command::new("llvm-strip").arg("--version").output().is_err() {
        println!("SKIPPED: llvm-strip is not installed");
        return;
    }
    let built = std::env::temp_dir().join(format!("flow-bpf-{}.o", std::process::id()));
    let run = Command::new(format!("{folder}/build.sh")).arg(&built).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let fresh = std::fs::read(&built).unwrap();
    std::fs::remove_file(&built).unwrap();
    if String::from_utf8_lossy(&version.stdout).contains("version 14.0.6") {
        assert!(fresh == OBJECT, "bpf/flow.bpf.o is older than its source: run bpf/build.sh");
    } else {
        let Some(committed) = names(OBJECT) else {
            println!("SKIPPED: another clang than the committed object's, and no right to load BPF programs");
            return;
        };
        assert_eq!(names(&fresh), Some(committed));
    }
}

/// Programs and maps of an object. Loading it makes the maps, so it takes rights.
fn names(object: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    let bpf = EbpfLoader::new().load(object).ok()?;
    let mut programs: Vec<_> = bpf.programs().map(|(name, _)| name.to_owned()).collect();
    let mut maps: Vec<_> = bpf.maps().map(|(name, _)| name.to_owned()).collect();
    programs.sort();
    maps.sort();
    Some((programs, maps))
}

#[test]
fn moments_become_seconds_of_the_wall_clock() {
    let clocks = Clocks { monotonic: 10_000_000_000, wall_micros: 1_700_000_000_500_000 };
    assert_eq!(clocks.second(10_000_000_000), 1_700_000_000);
    assert_eq!(clocks.second(9_400_000_000), 1_699_999_999);
    // A moment after the reading (another CPU) is the reading's.
    assert_eq!(clocks.second(11_000_000_000), 1_700_000_000);
}

#[test]
fn keys_are_read_as_the_programs_write_them() {
    let mut key = [0; KEY];
    key[..4].copy_from_slice(&[10, 0, 0, 1]);
    key[16..20].copy_from_slice(&[10, 0, 0, 2]);
    key[32..34].copy_from_slice(&4_000u16.to_ne_bytes());
    key[34..36].copy_from_slice(&80u16.to_ne_bytes());
    (key[36], key[38]) = (6, 4);
    let t = tuple(&key);
    assert_eq!((t.src.to_string(), t.dst.to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    assert_eq!((t.src_port, t.dst_port, t.protocol), (4_000, 80, 6));
    key[38] = 6;
    assert_eq!(tuple(&key).src.to_string(), "a00:1::");
}
