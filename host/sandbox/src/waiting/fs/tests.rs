//! What may be done in a granted folder, and what may not.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn folder(at: &Path, access: FolderAccess, bytes_max: u64) -> Folder {
    Folder::open(&FolderGrant {
        path: at.to_owned(),
        access,
        bytes_max,
    })
    .unwrap()
}

/// As a guest calls it.
fn write(folder: &Folder, path: &str, data: &[u8]) -> Result<(), Error> {
    checked(path).and_then(|path| folder.write(&path, data))
}

fn read(folder: &Folder, path: &str) -> Result<Vec<u8>, Error> {
    checked(path).and_then(|path| folder.read(&path))
}

#[test]
fn files_are_written_read_listed_and_removed() {
    let at = tempfile::tempdir().unwrap();
    let folder = folder(at.path(), FolderAccess::Write, 1_000);
    write(&folder, "a/b.txt", b"one").unwrap();
    write(&folder, "./a/b.txt", b"other").unwrap();
    write(&folder, "c", b"").unwrap();
    assert_eq!(read(&folder, "a/b.txt").unwrap(), b"other");
    let names = |path: &str| {
        let entries = folder.entries(&checked(path).unwrap()).unwrap();
        let shown = entries
            .into_iter()
            .map(|entry| format!("{} {} {}", entry.name, entry.is_folder, entry.size_bytes));
        shown.collect::<Vec<_>>()
    };
    assert_eq!(names("."), ["a true 0", "c false 0"]);
    assert_eq!(names("a"), ["b.txt false 5"]);
    folder.remove(Path::new("a/b.txt")).unwrap();
    folder.remove(Path::new("a")).unwrap();
    assert!(matches!(read(&folder, "a/b.txt"), Err(Error::NotFound)));
    assert!(matches!(write(&folder, ".", b"x"), Err(Error::Invalid)));
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let around = tempfile::tempdir().unwrap();
    let at = around.path().join("granted");
    fs::create_dir(&at).unwrap();
    fs::write(around.path().join("secret"), "s").unwrap();
    symlink(around.path().join("secret"), at.join("link")).unwrap();
    symlink("..", at.join("up")).unwrap();
    let folder = folder(&at, FolderAccess::Write, 1_000);
    let absolute = around.path().join("secret");
    for path in [
        "../secret",
        "a/../../secret",
        "link",
        "up/secret",
        "/etc/passwd",
        absolute.to_str().unwrap(),
    ] {
        assert!(
            matches!(read(&folder, path), Err(Error::Denied)),
            "{path} was read"
        );
    }
    for path in ["../new", "up/new", "/tmp/new"] {
        assert!(
            matches!(write(&folder, path, b"x"), Err(Error::Denied)),
            "{path} was written"
        );
    }
    assert!(matches!(read(&folder, ""), Err(Error::Invalid)));
    // A link is replaced, and what it led to stays.
    write(&folder, "link", b"x").unwrap();
    assert_eq!(fs::read(around.path().join("secret")).unwrap(), b"s");
}

#[test]
fn a_folder_to_read_is_not_written_and_no_folder_holds_more_than_its_bytes() {
    let at = tempfile::tempdir().unwrap();
    let writes = folder(at.path(), FolderAccess::Write, 10);
    write(&writes, "a", b"123456").unwrap();
    assert!(matches!(write(&writes, "b", b"12345"), Err(Error::Full)));
    // What is replaced does not count.
    write(&writes, "a", b"1234567890").unwrap();
    assert!(matches!(write(&writes, "b", b"1"), Err(Error::Full)));
    let reads = folder(at.path(), FolderAccess::Read, 10);
    assert_eq!(read(&reads, "a").unwrap(), b"1234567890");
    assert!(matches!(write(&reads, "a", b""), Err(Error::Denied)));
    assert!(matches!(reads.remove(Path::new("a")), Err(Error::Denied)));
    let less = folder(at.path(), FolderAccess::Read, 9);
    assert!(matches!(read(&less, "a"), Err(Error::Full)));
}
