//! Bloom filters of words: what is not in one is not in its block.

/// Bits that a word sets.
const HASHES: u64 = 7;
/// Bits for each word: about one word in a hundred that isn't there seems to be.
const BITS: usize = 10;
/// Largest filter, in bytes. A fuller one only says "perhaps" more often.
const MAX: usize = 128 << 10;

/// The hash of a word, without regard to case. It is on disk: it never changes.
pub(crate) fn hash(word: &str) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    let mut buffer = [0; 4];
    for c in word.chars().flat_map(char::to_lowercase) {
        for byte in c.encode_utf8(&mut buffer).bytes() {
            h = (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // FNV's upper bits are poor: they are mixed once more.
    h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ (h >> 33)
}

/// Makes the filter of these hashes (each once, or more often).
pub(crate) fn build(hashes: &[u64]) -> Vec<u8> {
    let bytes = (hashes.len() * BITS).div_ceil(8).clamp(8, MAX);
    let mut bits = vec![0u8; bytes];
    for h in hashes {
        for place in places(*h, bytes) {
            if let Some(byte) = bits.get_mut(place / 8) {
                *byte |= 1 << (place % 8);
            }
        }
    }
    bits
}

/// May the word with this hash be there?
pub(crate) fn may_have(bits: &[u8], hash: u64) -> bool {
    bits.is_empty()
        || places(hash, bits.len())
            .all(|place| bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1))
}

fn places(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let step = hash.rotate_left(32) | 1;
    let bits = (bytes * 8) as u64;
    (0..HASHES).map(move |n| (hash.wrapping_add(step.wrapping_mul(n)) % bits) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_most_of_the_rest_is_not() {
        let words: Vec<u64> = (0..2000).map(|n| hash(&format!("word{n}"))).collect();
        let bits = build(&words);
        assert!(words.iter().all(|h| may_have(&bits, *h)));
        let wrong = (0..2000).filter(|n| may_have(&bits, hash(&format!("other{n}")))).count();
        assert!(wrong < 100, "{wrong} of 2000");
        assert_eq!(hash("Éa"), hash("éA"));
        assert!(may_have(&[], 7), "no filter says nothing");
    }
}
