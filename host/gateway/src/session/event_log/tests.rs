use std::time::Duration;

use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::*;

const FOREVER: Duration = Duration::from_secs(3_600);
const BOUNDS: LogBounds = LogBounds {
    events_max: 3,
    bytes_max: 1 << 10,
};

fn dropped() -> IntCounter {
    IntCounter::new("dropped", "dropped").unwrap()
}

/// What is there to read, as `id data`.
async fn read(reader: &mut LogReader, events: usize) -> Vec<String> {
    let mut read = Vec::new();
    for _ in 0..events {
        let encoded = reader.next(FOREVER).await.unwrap();
        let text = String::from_utf8(encoded.to_vec()).unwrap();
        read.push(text.trim_end().replace('\n', " "));
    }
    read
}

#[tokio::test]
async fn events_come_in_order_and_once() {
    let log = EventLog::new(7, (BOUNDS, &dropped()));
    log.append("a").await;
    log.append("b").await;
    let mut first = log.read(None);
    assert_eq!(
        read(&mut first, 2).await,
        ["id: 7-1 data: a", "id: 7-2 data: b"]
    );
    drop(first);
    log.append("c").await;
    let mut second = log.read(None);
    assert_eq!(read(&mut second, 1).await, ["id: 7-3 data: c"]);
    log.end();
    assert!(second.next(FOREVER).await.is_none());
}

#[tokio::test]
async fn a_client_comes_back_to_where_it_was() {
    let log = EventLog::new(1, (BOUNDS, &dropped()));
    for message in ["a", "b", "c"] {
        log.append(message).await;
    }
    let mut lost = log.read(None);
    assert_eq!(read(&mut lost, 3).await.len(), 3);
    let mut back = log.read(Some(1));
    assert_eq!(
        String::from_utf8(back.primer().to_vec()).unwrap(),
        "id: 1-1\nretry: 1000\ndata: \n\n"
    );
    assert_eq!(
        read(&mut back, 2).await,
        ["id: 1-2 data: b", "id: 1-3 data: c"]
    );
    assert!(
        lost.next(FOREVER).await.is_none(),
        "one message goes to one reader"
    );
}

#[tokio::test]
async fn without_a_reader_the_oldest_make_room() {
    let log = EventLog::new(1, (BOUNDS, &dropped()));
    for message in ["a", "b", "c", "d"] {
        log.append(message).await;
    }
    log.append(&"e".repeat(2_000)).await;
    let mut reader = log.read(Some(0));
    let events = read(&mut reader, 1).await;
    assert!(events[0].starts_with("id: 1-5 data: eee"), "{events:?}");
}

#[tokio::test]
async fn a_writer_waits_for_its_reader() {
    let log = EventLog::new(1, (BOUNDS, &dropped()));
    let mut reader = log.read(None);
    let writer = TaskTracker::new().spawn({
        let log = Arc::clone(&log);
        async move {
            for number in 0..100 {
                log.append(&number.to_string()).await;
            }
            log.end();
        }
    });
    for _ in 0..50 {
        yield_now().await;
    }
    assert!(!writer.is_finished());
    let events = read(&mut reader, 100).await;
    assert_eq!(
        events.last().map(String::as_str),
        Some("id: 1-100 data: 99")
    );
    assert!(reader.next(FOREVER).await.is_none());
    writer.await.unwrap();
}

#[tokio::test]
async fn a_writer_is_not_held_up_by_a_reader_that_left() {
    let log = EventLog::new(1, (BOUNDS, &dropped()));
    let reader = log.read(None);
    let writer = TaskTracker::new().spawn({
        let log = Arc::clone(&log);
        async move {
            for number in 0..10 {
                log.append(&number.to_string()).await;
            }
        }
    });
    for _ in 0..50 {
        yield_now().await;
    }
    assert!(!writer.is_finished());
    drop(reader);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_channel_keeps_nothing_that_was_read() {
    let log = EventLog::of_channel((BOUNDS, &dropped()));
    let mut reader = log.read(None);
    log.append("a").await;
    log.append("b").await;
    assert_eq!(
        read(&mut reader, 2).await,
        ["event: message data: a", "event: message data: b"]
    );
    assert_eq!(log.lock().kept.len(), 0);
    log.append("c").await;
    assert_eq!(read(&mut reader, 1).await, ["event: message data: c"]);
}

#[tokio::test]
async fn a_quiet_stream_is_kept_open() {
    let log = EventLog::new(1, (BOUNDS, &dropped()));
    let mut reader = log.read(None);
    let quiet = reader.next(Duration::from_millis(1)).await.unwrap();
    assert_eq!(&quiet[..], b": keep-alive\n\n");
}

#[test]
fn positions_are_read_as_they_are_written() {
    for (id, want) in [
        ("3-17", Some((3, 17))),
        ("0-0", Some((0, 0))),
        ("3", None),
        ("-1-2", None),
        ("a-b", None),
        ("1-99999999999999999999", None),
    ] {
        let read = Position::parse(id).map(|at| (at.stream, at.number));
        assert_eq!(read, want, "{id}");
    }
}
