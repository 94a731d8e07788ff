use super::*;
use crate::audit::{Entry, Log, Outcome};
use crate::store::FileStore;

#[tokio::test]
async fn records_that_wait_for_the_writer_are_all_in_the_log_in_their_order() {
    let folder = std::env::temp_dir().join(format!("rootseal-disk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("audit.log");
    let disk = Disk::start(
        Box::new(FileStore::open(&folder).unwrap()),
        LogPlace { path: path.clone(), rotate: u64::MAX },
    )
    .unwrap();
    let (go_on, busy) = mpsc::channel::<()>();
    disk.writer.0.send(Box::new(move |_desk| busy.recv().unwrap())).unwrap();
    let mut records = tokio::task::JoinSet::new();
    for time in 1..=100 {
        let entry = Entry::new(time, "session", Outcome::Granted, 0, 1);
        let disk = disk.clone();
        records.spawn(async move { disk.record(entry).await });
    }
    // Each runs up to where it waits for the writer.
    tokio::task::yield_now().await;
    go_on.send(()).unwrap();
    assert!(records.join_all().await.into_iter().all(|record| record.is_ok()));
    let text = std::fs::read_to_string(&path).unwrap();
    let times: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].as_u64().unwrap())
        .collect();
    assert_eq!(times, (1..=100).collect::<Vec<_>>());
    Log::open(&path, u64::MAX).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
