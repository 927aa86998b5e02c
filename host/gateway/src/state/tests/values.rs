//! Values: kept until they expire, within bounds that refuse by name.

use std::time::Duration;

use super::{room, sample};
use crate::state::{StateBounds, StateError};

#[test]
fn values_live_as_long_as_they_are_told() {
    let (room, clock, _) = room(StateBounds::default());
    let state = room.plugin_state("acme", "cache");
    state.set("brief", b"1".to_vec(), Some(1_000)).unwrap();
    state.set("forever", b"2".to_vec(), None).unwrap();
    state
        .set("saturated", b"3".to_vec(), Some(u64::MAX))
        .unwrap();
    let all = || {
        ["brief", "forever", "saturated", "unknown"].map(|key| state.get(key).map(|value| value[0]))
    };

    assert_eq!(all(), [Some(b'1'), Some(b'2'), Some(b'3'), None]);
    clock.advance(Duration::from_millis(999));
    assert_eq!(all(), [Some(b'1'), Some(b'2'), Some(b'3'), None]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(all(), [None, Some(b'2'), Some(b'3'), None]);

    state.set("forever", b"4".to_vec(), Some(0)).unwrap();
    state.delete("saturated");
    state.delete("unknown");
    assert_eq!(all(), [None, None, None, None]);
}

#[test]
fn every_bound_refuses_by_name_and_leaves_the_old_value() {
    let bounds = StateBounds {
        state_keys_max: 2,
        state_bytes_max: 20,
        state_value_bytes_max: 10,
        state_key_bytes_max: 4,
        ..StateBounds::default()
    };
    let (room, clock, registry) = room(bounds);
    let state = room.plugin_state("acme", "cache");
    let bytes = |len: usize| vec![0; len];
    let cases = [
        ("a", 9, Ok(())),
        ("b", 9, Ok(())),
        ("c", 1, Err(StateError::KeysUsedUp { keys_max: 2 })),
        (
            "a",
            10,
            Err(StateError::BytesUsedUp {
                bytes: 21,
                bytes_max: 20,
            }),
        ),
        (
            "a",
            11,
            Err(StateError::ValueTooLong {
                bytes: 11,
                bytes_max: 10,
            }),
        ),
        (
            "abcde",
            1,
            Err(StateError::KeyTooLong {
                bytes: 5,
                bytes_max: 4,
            }),
        ),
        ("b", 8, Ok(())),
        ("a", 10, Ok(())),
    ];
    for (key, len, want) in cases {
        let before = state.get(key);
        let got = state.set(key, bytes(len), Some(1_000));
        assert_eq!(got, want, "{key} {len}");
        let kept = state.get(key);
        assert_eq!(
            kept.map(|value| value.len()),
            if want.is_ok() {
                Some(len)
            } else {
                before.map(|value| value.len())
            }
        );
        if let Err(error) = want {
            assert!(error.to_string().contains("_max: "), "{error}");
        }
    }
    let sample = |start: &str| sample(&registry, start);
    assert_eq!(
        sample(r#"portcullis_state_bytes{plugin="cache",tenant="acme"}"#).as_deref(),
        Some("20")
    );
    assert_eq!(
        sample(r#"portcullis_state_keys{plugin="cache",tenant="acme"}"#).as_deref(),
        Some("2")
    );
    for bound in [
        "state_keys",
        "state_bytes",
        "state_value_bytes",
        "state_key_bytes",
    ] {
        let start = format!(
            r#"portcullis_state_refused_total{{bound="{bound}",plugin="cache",tenant="acme"}}"#
        );
        assert_eq!(sample(&start).as_deref(), Some("1"), "{bound}");
    }

    // What has expired makes room.
    clock.advance(Duration::from_secs(1));
    state.set("c", bytes(10), None).unwrap();
    assert_eq!(
        sample(r#"portcullis_state_bytes{plugin="cache",tenant="acme"}"#).as_deref(),
        Some("11")
    );
}
