//! The names of the keys, to the letter.

use super::*;

#[test]
fn keys_have_the_names_that_producers_and_operators_know() {
    let keys = Keys::new("tallyhouse");
    let names = [
        (keys.records.clone(), "tallyhouse:records"),
        (keys.processing("c1"), "tallyhouse:processing:{tallyhouse:records}:c1"),
        (keys.processing_pattern(), "tallyhouse:processing:{tallyhouse:records}:*"),
        (keys.consumers.clone(), "tallyhouse:consumers:{tallyhouse:records}"),
        (keys.wake.clone(), "tallyhouse:wake:{tallyhouse:records}"),
        (keys.stream.clone(), "tallyhouse:records:stream"),
        (keys.dead_letters.clone(), "tallyhouse:dead-letters"),
        (keys.channel(Topic::Notifications), "tallyhouse:notifications"),
        (keys.channel(Topic::Alerts), "tallyhouse:alerts"),
        (keys.channel_stream(Topic::Notifications), "tallyhouse:notifications:stream"),
        (keys.channel_stream(Topic::Alerts), "tallyhouse:alerts:stream"),
    ];
    for (name, expect) in names {
        assert_eq!(name, expect);
    }
}

#[test]
fn the_pattern_of_lists_takes_the_prefix_to_the_letter() {
    let pattern = Keys::new(r"a*[b]?\").processing_pattern();
    assert_eq!(pattern, r"a\*\[b\]\?\\:processing:{a\*\[b\]\?\\:records}:*");
}
