//! Tests of event streams: the standard's rules, bounds, and that chunks do not matter.

use proptest::prelude::*;

use super::*;

/// Everything that a stream holds, and how it ended.
fn decode<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    event_bytes_max: usize,
) -> (Vec<Event>, Option<SseError>) {
    let mut decoder = Decoder::new(event_bytes_max);
    let mut events = Vec::new();
    for chunk in chunks {
        let pushed = decoder.push(chunk);
        events.extend(std::iter::from_fn(|| decoder.next_event()));
        if let Err(error) = pushed {
            return (events, Some(error));
        }
    }
    (events, None)
}

fn all(stream: &str) -> Vec<Event> {
    let (events, error) = decode([stream.as_bytes()], 1024);
    assert_eq!(error, None, "{stream:?}");
    events
}

#[test]
fn streams_are_read_as_the_standard_says() {
    let message = Event::message;
    let with_id = |id: &str, data: &str| Event {
        id: Some(id.to_owned()),
        ..Event::message(data)
    };
    for (stream, want) in [
        ("data: a\n\n", vec![message("a")]),
        ("data: a\r\n\r\n", vec![message("a")]),
        ("data: a\r\r", vec![message("a")]),
        (
            "data: a\r\n\rdata: b\n\r\n",
            vec![message("a"), message("b")],
        ),
        ("\u{feff}data: a\n\n", vec![message("a")]),
        (
            "data:a\ndata: b\ndata:  c\ndata\n\n",
            vec![message("a\nb\n c\n")],
        ),
        (": comment\ndata: a\n:\n\n", vec![message("a")]),
        ("id: 1\ndata:\n\n", vec![with_id("1", "")]),
        ("id: 1\n\n", vec![with_id("1", "")]),
        ("id: a\0b\ndata: x\n\n", vec![message("x")]),
        (
            "retry: 250\n\n",
            vec![Event {
                retry_ms: Some(250),
                ..Event::default()
            }],
        ),
        ("retry: soon\nother: x\n\n", vec![]),
        ("event: endpoint\n\n", vec![]),
        (
            "event: endpoint\ndata: /m\n\n",
            vec![Event {
                event: Some("endpoint".to_owned()),
                ..message("/m")
            }],
        ),
        ("event:\ndata: x\n\n", vec![message("x")]),
        ("\n\n\n", vec![]),
        ("data: unfinished\n", vec![]),
    ] {
        assert_eq!(all(stream), want, "{stream:?}");
    }
}

#[test]
fn only_messages_are_messages() {
    for (stream, is_message) in [
        ("data: {}\n\n", true),
        ("event: message\ndata: {}\n\n", true),
        ("event: endpoint\ndata: /m\n\n", false),
        ("id: 1\ndata:\n\n", false),
    ] {
        assert_eq!(all(stream)[0].is_message(), is_message, "{stream:?}");
    }
}

#[test]
fn an_event_has_a_bound_and_the_decoder_stays_failed() {
    let mut decoder = Decoder::new(16);
    decoder.push(b"data: 0123456789\n\n").unwrap();
    let error = decoder
        .push(b"data: a\n\ndata: 0123\ndata: 4567\n\ndata: b\n\n")
        .unwrap_err();
    assert_eq!(
        error,
        SseError::TooLarge {
            event_bytes_max: 16
        }
    );
    assert_eq!(decoder.push(b"data: c\n\n"), Err(error));
    let seen: Vec<_> = std::iter::from_fn(|| decoder.next_event())
        .map(|event| event.data)
        .collect();
    assert_eq!(seen, ["0123456789", "a"]);

    let mut endless = Decoder::new(16);
    assert!(
        (0..9)
            .map(|_| endless.push(b": x"))
            .any(|pushed| pushed.is_err())
    );
    let not_text = Decoder::new(16).push(b"data: \xff\n").unwrap_err();
    assert_eq!(Decoder::new(16).push(b": \xff\n\n"), Ok(()));
    insta::assert_snapshot!(format!("{error}\n{not_text}"), @r"
    an event is longer than 16 bytes
    an event is not valid UTF-8
    ");
}

#[test]
fn a_truncated_stream_can_be_told() {
    for (stream, whole) in [
        ("", true),
        ("data: a\n\n", true),
        (": x\n", true),
        ("data: a\n", false),
        ("da", false),
    ] {
        let mut decoder = Decoder::new(64);
        decoder.push(stream.as_bytes()).unwrap();
        assert_eq!(decoder.is_at_boundary(), whole, "{stream:?}");
    }
}

#[test]
fn events_are_written_one_field_a_line() {
    let mut out = Vec::new();
    comment("keep\nalive", &mut out);
    encode(
        &Event {
            id: Some("1\n2".to_owned()),
            retry_ms: Some(5),
            ..Event::default()
        },
        &mut out,
    );
    encode(
        &Event {
            event: Some("endpoint".to_owned()),
            ..Event::message("a\r\nb\rc\n")
        },
        &mut out,
    );
    insta::assert_snapshot!(String::from_utf8(out).unwrap().replace("\n", "|\n"), @r"
    : keepalive|
    |
    id: 12|
    retry: 5|
    data: |
    |
    event: endpoint|
    data: a|
    data: b|
    data: c|
    data: |
    |
    ");
}

fn event() -> impl Strategy<Value = Event> {
    (
        prop::option::of("[ -~é]{0,8}"),
        prop::option::of("[!-~]{1,8}"),
        "[ -~é\n\0]{0,24}",
        prop::option::of(any::<u64>()),
    )
        .prop_map(|(id, event, data, retry_ms)| Event {
            id,
            event,
            data,
            retry_ms,
        })
}

/// Bytes that look like a stream often enough to matter.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec!["data: x", "data:", "id: 7", "event: e", "retry: 9", ": c", "\n", "\r", "\r\n", "\n\n", "é"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_long_event_is_neither_copied_nor_given_more_memory_than_it_may_have() {
    let bytes_max = 12 << 20;
    let mut decoder = Decoder::new(bytes_max);
    let data = "x".repeat(bytes_max - "data: ".len());
    for piece in format!("data: {data}").as_bytes().chunks(100_000) {
        decoder.push(piece).unwrap();
    }
    assert!(decoder.line.capacity() <= bytes_max + FRAME_BYTES);
    let (held, capacity) = (decoder.line.as_ptr(), decoder.line.capacity());
    decoder.push(b"\n\n").unwrap();
    let event = decoder.next_event().unwrap();
    assert!(event.data == data);
    let event = Event {
        id: Some("1-2".to_owned()),
        ..event
    };
    let encoded = into_bytes(event);
    assert_eq!((encoded.as_ptr(), encoded.capacity()), (held, capacity));
    assert!(encoded.starts_with(b"id: 1-2\ndata: xx") && encoded.ends_with(b"x\n\n"));
}

proptest! {
    #[test]
    fn chunks_do_not_matter(stream in stream(), cuts in prop::collection::vec(1..9_usize, 1..8), max in 4..64_usize) {
        let whole = decode([stream.as_slice()], max);
        let mut chunks = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            chunks.push(head);
            rest = tail;
        }
        prop_assert_eq!(decode(chunks, max), whole.clone());
        prop_assert_eq!(decode(stream.chunks(1), max), whole);
    }

    #[test]
    fn in_the_memory_of_the_data_the_same_is_written(event in event()) {
        let mut out = Vec::new();
        encode(&event, &mut out);
        prop_assert_eq!(into_bytes(event), out);
    }

    #[test]
    fn what_is_written_is_read(events in prop::collection::vec(event(), 0..6)) {
        let mut out = Vec::new();
        for event in &events {
            encode(event, &mut out);
            comment("between", &mut out);
        }
        prop_assert_eq!(decode([out.as_slice()], usize::MAX), (events, None));
    }
}
