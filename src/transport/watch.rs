//! What comes and goes in directories: device nodes, and the sockets of services. By inotify and not by udev's
//! netlink, which no service with a network of its own can hear.
//!
//! A directory that is not there is waited for, too. What happened is told as one thing, for whoever hears of it
//! looks anew: so nothing depends on the order of events, on a node that came and went at once, or on a queue that
//! ran over.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All names in a directory that begin so.
    Prefix(PathBuf, &'static str),
    /// One path.
    Path(PathBuf),
}

/// How often the watches are set again while directories come and go under them.
const ATTEMPTS: usize = 8;
/// Room for several events; each is 16 bytes and a name of at most 255.
const EVENTS: usize = 2048;

/// The watches on some directories. Readable (`POLLIN`) when something happened in one of them.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    wanted: Vec<Wanted>,
    /// By inotify's number of the directory, what matters in it.
    armed: BTreeMap<i32, Vec<Sought>>,
    unwatched: Vec<PathBuf>,
}

/// What matters in a directory that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sought {
    Prefix(&'static str),
    Name(OsString),
    /// A directory on the way to what is wanted.
    Way(OsString),
}

impl Watch {
    /// Watches for `wanted`. A directory that cannot be watched is in [`Self::unwatched`], and is no error.
    ///
    /// # Errors
    /// The system has no inotify left for this user (`fs.inotify.max_user_instances`).
    pub fn new(wanted: Vec<Wanted>) -> std::io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut watch = Self { inotify, wanted, armed: BTreeMap::new(), unwatched: Vec::new() };
        watch.arm();
        Ok(watch)
    }

    /// Directories in which nothing will be noticed: they may not be read, or the system has no watch left.
    pub fn unwatched(&self) -> &[PathBuf] {
        &self.unwatched
    }

    /// Takes all that happened. Whether any of it may be what is wanted; does not wait.
    pub fn take(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        let mut events = Reader::new(&self.inotify, &mut buffer);
        let (mut happened, mut moved) = (false, false);
        loop {
            let event = match events.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(_nothing_left) => break,
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                (happened, moved) = (true, true);
            }
            // What is still told of a watch that was given up.
            let Some(sought) = self.armed.get(&event.wd()) else { continue };
            let Some(name) = event.file_name() else {
                // The directory itself.
                let gone =
                    ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
                if flags.intersects(gone) {
                    (happened, moved) = (true, true);
                }
                continue;
            };
            let name = OsStr::from_bytes(name.to_bytes());
            for sought in sought {
                match sought {
                    Sought::Prefix(prefix) => happened |= name.as_bytes().starts_with(prefix.as_bytes()),
                    Sought::Name(wanted) => happened |= name == wanted,
                    Sought::Way(way) if name == way => (happened, moved) = (true, true),
                    Sought::Way(_) => {}
                }
            }
        }
        if moved {
            self.arm();
        }
        happened
    }

    /// Sets the watches for what is there now.
    fn arm(&mut self) {
        for _ in 0..ATTEMPTS {
            let nearest: Vec<_> = self.wanted.iter().map(nearest).collect();
            self.set(&nearest);
            // What came between looking and watching made no event.
            if self.wanted.iter().map(self::nearest).eq(nearest) {
                return;
            }
        }
    }

    fn set(&mut self, places: &[(PathBuf, Sought)]) {
        let mut armed: BTreeMap<i32, Vec<Sought>> = BTreeMap::new();
        self.unwatched.clear();
        // Attributes too: udev sets group and mode of a node after it was made, and a socket is opened for all.
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for (directory, sought) in places {
            match add_watch(&self.inotify, directory, flags) {
                Ok(number) => armed.entry(number).or_default().push(sought.clone()),
                Err(_refused) => self.unwatched.push(directory.clone()),
            }
        }
        for number in std::mem::take(&mut self.armed).into_keys() {
            if !armed.contains_key(&number) {
                let _gone_already = remove_watch(&self.inotify, number);
            }
        }
        self.armed = armed;
    }
}

/// The directory nearest to what is wanted that is there, and what matters in it.
fn nearest(wanted: &Wanted) -> (PathBuf, Sought) {
    let (mut directory, mut sought) = match wanted {
        Wanted::Prefix(directory, prefix) => (directory.as_path(), Sought::Prefix(prefix)),
        Wanted::Path(path) => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            (parent, Sought::Name(path.file_name().unwrap_or_default().to_owned()))
        }
    };
    while !directory.is_dir() {
        let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else { break };
        (directory, sought) = (parent, Sought::Way(name.to_owned()));
    }
    // The parent of a bare name is the directory that we are in.
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    (directory.to_owned(), sought)
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("rootseal-watch-{}-{number}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// The kernel queues an event before the call that causes it returns: what is not there now does not come.
    fn is_readable(watch: &Watch) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    fn happened(watch: &mut Watch) -> bool {
        is_readable(watch) && watch.take()
    }

    fn nodes(folder: &Folder) -> Watch {
        Watch::new(vec![Wanted::Prefix(folder.0.clone(), "hidraw")]).unwrap()
    }

    #[test]
    fn a_node_that_comes_gets_its_mode_and_goes_is_noticed_each_time() {
        let folder = Folder::new();
        let mut watch = nodes(&folder);
        assert!(!is_readable(&watch));
        let node = folder.at("hidraw7");
        File::create(&node).unwrap();
        assert!(happened(&mut watch));
        fs::set_permissions(&node, Permissions::from_mode(0o660)).unwrap();
        assert!(happened(&mut watch));
        fs::remove_file(&node).unwrap();
        assert!(happened(&mut watch));
        assert!(!is_readable(&watch), "all was taken");
    }

    #[test]
    fn what_is_none_of_ours_is_taken_and_not_told() {
        let folder = Folder::new();
        let mut watch = nodes(&folder);
        for name in ["hidra", "tty7", "a-hidraw0"] {
            File::create(folder.at(name)).unwrap();
        }
        assert!(is_readable(&watch) && !watch.take());
        assert!(!is_readable(&watch));
    }

    #[test]
    fn a_node_made_and_gone_at_once_and_a_burst_are_one_thing() {
        let folder = Folder::new();
        let mut watch = nodes(&folder);
        for number in 0..50 {
            let node = folder.at(&format!("hidraw{number}"));
            File::create(&node).unwrap();
            fs::remove_file(node).unwrap();
        }
        assert!(happened(&mut watch));
        assert!(!is_readable(&watch));
    }

    #[test]
    fn a_path_is_waited_for_before_its_directories_are_there() {
        let folder = Folder::new();
        let socket = folder.at("run/pcscd/pcscd.comm");
        let mut watch = Watch::new(vec![Wanted::Path(socket.clone())]).unwrap();
        File::create(folder.at("else")).unwrap();
        assert!(!watch.take());
        for round in 0..2 {
            fs::create_dir(folder.at("run")).unwrap();
            assert!(happened(&mut watch), "{round}");
            fs::create_dir(folder.at("run/pcscd")).unwrap();
            assert!(happened(&mut watch), "{round}");
            File::create(&socket).unwrap();
            assert!(happened(&mut watch), "{round}");
            fs::remove_dir_all(folder.at("run")).unwrap();
            while is_readable(&watch) {
                watch.take();
            }
        }
    }

    #[test]
    fn directories_that_come_all_at_once_are_caught_up_with() {
        let folder = Folder::new();
        let socket = folder.at("a/b/c/socket");
        let mut watch = Watch::new(vec![Wanted::Path(socket.clone())]).unwrap();
        fs::create_dir_all(folder.at("a/b/c")).unwrap();
        assert!(happened(&mut watch));
        File::create(&socket).unwrap();
        assert!(happened(&mut watch));
    }

    #[test]
    fn a_directory_that_another_takes_the_place_of_is_followed_by_name() {
        let folder = Folder::new();
        let run = folder.at("run");
        fs::create_dir(&run).unwrap();
        let mut watch = Watch::new(vec![Wanted::Path(run.join("socket"))]).unwrap();
        fs::rename(&run, folder.at("old")).unwrap();
        assert!(happened(&mut watch));
        fs::create_dir(&run).unwrap();
        assert!(happened(&mut watch));
        File::create(folder.at("old/socket")).unwrap();
        assert!(!happened(&mut watch), "the old one is no longer watched");
        File::create(run.join("socket")).unwrap();
        assert!(happened(&mut watch));
    }

    #[test]
    fn two_sockets_of_one_directory_are_both_noticed() {
        let folder = Folder::new();
        let paths = ["one", "two"].map(|name| folder.at(name));
        let mut watch = Watch::new(paths.iter().cloned().map(Wanted::Path).collect()).unwrap();
        for path in paths {
            File::create(path).unwrap();
            assert!(happened(&mut watch));
        }
    }

    /// As many events as the kernel queues, and more.
    #[test]
    fn a_queue_that_runs_over_counts_as_something_that_happened() {
        let folder = Folder::new();
        let mut watch = nodes(&folder);
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        let names = [folder.at("a"), folder.at("b")];
        // Alternating, because the kernel joins an event with an equal one before it.
        for name in names.iter().cycle().take(limit / 2 + 1) {
            File::create(name).unwrap();
            fs::remove_file(name).unwrap();
        }
        assert!(watch.take(), "none of the names is ours, and yet one may have been lost");
        File::create(folder.at("hidraw0")).unwrap();
        assert!(happened(&mut watch));
    }

    /// As root nothing is refused, so this asks for what is not there.
    #[test]
    fn what_cannot_be_watched_is_named() {
        let folder = Folder::new();
        let mut watch = nodes(&folder);
        assert!(watch.unwatched().is_empty());
        watch.set(&[("/nonexistent".into(), Sought::Prefix("hidraw"))]);
        assert_eq!(watch.unwatched(), [PathBuf::from("/nonexistent")]);
    }
}
