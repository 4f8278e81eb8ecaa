use std::cmp::Ordering;
use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Component, Path, PathBuf, is_separator};
use std::sync::Arc;

use super::s3::{self, Remote};
use super::{Day, LogFile, Memory, Reach, TrailError, Wanted};

/// A folder beside `CloudTrail/` in a trail's bucket that holds no management events, hence no STS calls.
///
/// Source: AWS CloudTrail user guide, "Finding your CloudTrail log files" and the pages on digest, Insights, network activity and aggregated events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Folder {
    /// `CloudTrail-Digest`: hashes of log files.
    Digest,
    /// `CloudTrail-Insight`: unusual activity.
    Insight,
    /// `CloudTrail-NetworkActivity`: calls through VPC endpoints.
    NetworkActivity,
    /// `CloudTrail-Aggregated`: five-minute summaries of data events.
    Aggregated,
}

impl Folder {
    /// The folder of this name, compared exactly.
    pub fn of_name(name: &str) -> Option<Folder> {
        match name {
            "CloudTrail-Digest" => Some(Folder::Digest),
            "CloudTrail-Insight" => Some(Folder::Insight),
            "CloudTrail-NetworkActivity" => Some(Folder::NetworkActivity),
            "CloudTrail-Aggregated" => Some(Folder::Aggregated),
            _ => None,
        }
    }
}

/// What listing meets: named files, then the matches of globs, then directories, each in the order of their text.
#[derive(Debug)]
pub enum Entry {
    /// A file to be told by its content.
    File(LogFile),
    /// A file in a folder that holds no management events.
    Skipped {
        /// The file's path as the user would name it.
        location: String,
        /// The folder it lies in.
        folder: Folder,
    },
    /// A folder of S3 that may not be listed: what lies in it is not known.
    Denied {
        /// `s3://bucket/prefix/`.
        prefix: String,
        /// What S3 said.
        reason: String,
    },
    /// Every file of these days of a folder has been handed out: what the next run need not list again, once they are old enough.
    Listed {
        /// A [`Delivery::folder`](super::Delivery::folder).
        folder: String,
        /// The first day listed; None when the folder was listed from its beginning.
        from: Option<Day>,
        /// The last day listed.
        through: Day,
    },
    /// A file or directory that cannot be listed: no permission, a dangling link.
    Unreadable {
        /// Its path as the user would name it.
        location: String,
        /// What the operating system says.
        reason: String,
    },
}

/// The files of some sources, found while it is iterated: nothing is kept of a file that was handed out, beyond 16 bytes where there are several sources.
///
/// Call [`list`] twice to know the number of files beforehand.
#[derive(Debug)]
pub struct Listing {
    sources: VecDeque<Source>,
    walk: Option<Walk>,
    /// `None` where one source alone cannot meet a file twice.
    seen: Option<Seen>,
    /// What lies in S3: listed and fetched beside the reading of the rest, and handed out after it.
    remote: Option<Remote>,
    memory: Memories,
    wanted: Wanted,
}

/// What earlier runs have read.
struct Memories(Option<Arc<dyn Memory>>);

impl fmt::Debug for Memories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memories({})", self.0.is_some())
    }
}

/// Files listed ahead of the reading where that costs nothing: the largest of them is read next, so that none is left to one thread at the end.
const FILES_AHEAD: usize = 16_384;

impl Listing {
    /// How many entries may be asked for now before the files among them are read: a file in S3 comes with its content and is to be read at once.
    pub fn ahead(&self) -> usize {
        if self.sources.is_empty() && self.walk.is_none() && self.remote.is_some() { 1 } else { FILES_AHEAD }
    }
}

#[derive(Debug)]
enum Source {
    Stdin,
    Path { path: PathBuf },
    Glob { first: Option<glob::GlobResult>, rest: glob::Paths },
}

/// Lists the log files of `sources`, each a file, a directory (walked, links followed), a glob, `-` (standard input) or `s3://` with a bucket and a key or prefix.
///
/// A path that exists is that path, also when it has glob characters. A glob stands for the files and directories it matches, as though they had been
/// named. The same file reached twice is listed once; a file that is also named on its own counts as named.
///
/// What is in S3 is fetched as it is listed; what `reach` does not want is left out there, since each object costs a request, and read all the same on disk.
///
/// # Errors
///
/// [`TrailError::Missing`] for a source that does not exist or a glob that matches nothing, [`TrailError::Glob`] for a malformed glob, [`TrailError::S3`]
/// for a source in S3 that cannot be reached. Whatever goes wrong later concerns one file or directory and is an [`Entry::Unreadable`].
pub fn list(sources: &[String], reach: &Reach) -> Result<Listing, TrailError> {
    let (in_s3, sources): (Vec<&String>, Vec<&String>) = sources.iter().partition(|source| source.starts_with("s3://"));
    let mut found = VecDeque::with_capacity(sources.len());
    let mut several = sources.len() > 1;
    let mut named = HashSet::new();
    // Named files first, so that they keep their names, then globs, then directories, each in the order of their text, as a walk goes: where two copies of a
    // call tie the smaller location wins, whatever the order on the command line.
    let mut sources = sources;
    sources.sort_by_cached_key(|source| {
        let path = Path::new(source);
        (path.is_dir(), path.symlink_metadata().is_err(), source.as_str())
    });
    for source in sources {
        if source == "-" {
            found.push_back(Source::Stdin);
            continue;
        }
        let path = PathBuf::from(source);
        // A dangling link exists, too: it is unreadable rather than missing.
        if path.symlink_metadata().is_ok() {
            if !path.is_dir() {
                named.insert(identity(&path));
            }
            found.push_back(Source::Path { path });
        } else if source.contains(['*', '?', '[']) {
            let mut rest = glob::glob(source).map_err(|error| TrailError::Glob { pattern: source.clone(), source: error })?;
            let first = rest.next();
            if first.is_none() {
                return Err(TrailError::Missing(source.clone()));
            }
            // A glob may match a directory and files in it.
            several = true;
            found.push_back(Source::Glob { first, rest });
        } else {
            return Err(TrailError::Missing(source.clone()));
        }
    }
    let seen = several.then(|| Seen { listed: HashSet::new(), named });
    // Last, so that wrong usage is told before anything is asked for.
    let in_s3: Vec<&str> = in_s3.into_iter().map(String::as_str).collect();
    let remote = if in_s3.is_empty() { None } else { Some(s3::list(&in_s3, reach)?) };
    Ok(Listing { sources: found, walk: None, seen, remote, memory: Memories(reach.memory.clone()), wanted: reach.wanted.clone() })
}

impl Iterator for Listing {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let local = self.next_local();
            match (&local, &self.memory.0) {
                (Some(Entry::File(file)), _) if self.wanted.excepts(&file.location) => {}
                (Some(Entry::File(file)), Some(memory)) if memory.knows(file) => {}
                (Some(_), _) => return local,
                // Known files were left out before they were fetched.
                (None, _) => return self.remote.as_mut()?.next(),
            }
        }
    }
}

impl Listing {
    fn next_local(&mut self) -> Option<Entry> {
        loop {
            if let Some(walk) = &mut self.walk {
                match walk.next_entry(&mut self.seen) {
                    Some(entry) => return Some(entry),
                    None => self.walk = None,
                }
            }
            let path = match self.sources.front_mut()? {
                Source::Stdin => {
                    self.sources.pop_front();
                    let stdin = self.seen.as_mut().is_none_or(|seen| seen.is_new(Path::new("-")));
                    if stdin {
                        return Some(Entry::File(LogFile::stdin()));
                    }
                    continue;
                }
                Source::Path { path } => {
                    let path = std::mem::take(path);
                    self.sources.pop_front();
                    path
                }
                Source::Glob { first, rest } => match first.take().or_else(|| rest.next()) {
                    Some(Ok(path)) => path,
                    Some(Err(error)) => {
                        return Some(Entry::Unreadable {
                            location: error.path().to_string_lossy().into_owned(),
                            reason: error.error().to_string(),
                        });
                    }
                    None => {
                        self.sources.pop_front();
                        continue;
                    }
                },
            };
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    let (walk, wrong) = Walk::new(path);
                    self.walk = Some(walk);
                    if wrong.is_some() {
                        return wrong;
                    }
                }
                Ok(metadata) => {
                    let new = self.seen.as_mut().is_none_or(|seen| seen.is_new(&path));
                    if new {
                        return Some(Entry::File(LogFile::at(path, true, metadata.is_file().then_some(metadata.len()), stamp(&metadata))));
                    }
                }
                Err(error) => {
                    return Some(Entry::Unreadable { location: path.to_string_lossy().into_owned(), reason: error.to_string() });
                }
            }
        }
    }
}

/// One directory being walked, links followed.
#[derive(Debug)]
struct Walk {
    root: PathBuf,
    canonical_root: PathBuf,
    /// What is left of the directories that the walk is in, the innermost last; each in reverse order.
    open: Vec<Vec<Found>>,
    /// Canonical targets outside the root of the directory links that were followed.
    linked: Vec<PathBuf>,
    /// The directory of the last file, and the special folder it lies in: the next file is most often beside it.
    last: (PathBuf, Option<Folder>),
}

/// An entry of a directory. It is asked for its size only when its turn comes, by its name in the open directory, which is cheaper than by its path.
#[derive(Debug)]
struct Found {
    name: OsString,
    /// What it is, or what a link leads to.
    kind: Result<fs::FileType, io::Error>,
    linked: bool,
    entry: fs::DirEntry,
}

impl Found {
    fn new(entry: fs::DirEntry) -> Found {
        let own = entry.file_type();
        let linked = own.as_ref().is_ok_and(fs::FileType::is_symlink);
        let kind = if linked { fs::metadata(entry.path()).map(|target| target.file_type()) } else { own };
        Found { name: entry.file_name(), kind, linked, entry }
    }

    fn is_dir(&self) -> bool {
        self.kind.as_ref().is_ok_and(fs::FileType::is_dir)
    }

    /// Size and stamp.
    fn version(&self, path: &Path) -> io::Result<(u64, u64)> {
        let metadata = if self.linked { fs::metadata(path) } else { self.entry.metadata() }?;
        Ok((metadata.len(), stamp(&metadata)))
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Entry {
    Entry::Unreadable { location: path.to_string_lossy().into_owned(), reason: error.to_string() }
}

impl Walk {
    /// A walk below `root`, and what is wrong with that.
    fn new(root: PathBuf) -> (Walk, Option<Entry>) {
        let canonical_root = fs::canonicalize(&root).unwrap_or_else(|_| root.clone());
        let mut walk = Walk { last: (root.clone(), None), root, canonical_root, open: Vec::new(), linked: Vec::new() };
        let root = walk.root.clone();
        let wrong = walk.enter(&root);
        (walk, wrong)
    }

    /// Goes into a directory; what is wrong where that cannot be read to its end.
    fn enter(&mut self, directory: &Path) -> Option<Entry> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return Some(unreadable(directory, &error)),
        };
        let mut found = Vec::new();
        let mut wrong = None;
        for entry in entries {
            match entry {
                Ok(entry) => found.push(Found::new(entry)),
                Err(error) => {
                    wrong = Some(unreadable(directory, &error));
                    break;
                }
            }
        }
        found.sort_unstable_by(|one, other| by_text(other, one));
        self.open.push(found);
        wrong
    }

    fn next_entry(&mut self, seen: &mut Option<Seen>) -> Option<Entry> {
        loop {
            let Some(found) = self.open.last_mut()?.pop() else {
                self.open.pop();
                continue;
            };
            let path = found.entry.path();
            let kind = match &found.kind {
                Ok(kind) => *kind,
                Err(error) => return Some(unreadable(&path, error)),
            };
            if kind.is_dir() {
                if !(found.linked && self.reaches_again(&path))
                    && let Some(wrong) = self.enter(&path)
                {
                    return Some(wrong);
                }
                continue;
            }
            // A pipe or socket in a directory is no file that CloudTrail delivered, and reading it could wait for ever.
            if !kind.is_file() {
                continue;
            }
            if found.linked && fs::canonicalize(&path).is_ok_and(|target| target.starts_with(&self.canonical_root)) {
                continue;
            }
            if seen.as_mut().is_some_and(|seen| !seen.is_new(&path)) {
                continue;
            }
            if let Some(folder) = self.folder(&path) {
                return Some(Entry::Skipped { location: path.to_string_lossy().into_owned(), folder });
            }
            let (bytes, stamp) = match found.version(&path) {
                Ok(version) => version,
                Err(error) => return Some(unreadable(&path, &error)),
            };
            let named = seen.as_ref().is_some_and(|seen| seen.is_named(&path));
            return Some(Entry::File(LogFile::at(path, named, Some(bytes), stamp)));
        }
    }

    /// Whether the linked directory lies in what is walked without the link; remembers it if not.
    fn reaches_again(&mut self, link: &Path) -> bool {
        let Ok(target) = fs::canonicalize(link) else {
            return false;
        };
        let again = target.starts_with(&self.canonical_root) || self.linked.iter().any(|linked| target.starts_with(linked));
        if !again {
            self.linked.push(target);
        }
        again
    }

    /// The special folder below the root that `path` lies in. The root's own name does not count: who names a digest folder wants it looked at.
    fn folder(&mut self, path: &Path) -> Option<Folder> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let directory = bytes.iter().rposition(|&byte| is_separator(char::from(byte))).and_then(|end| bytes.get(..end))?;
        if directory != self.last.0.as_os_str().as_encoded_bytes() {
            let parent = path.parent()?;
            let below = parent.strip_prefix(&self.root).ok()?;
            let folder = below.components().find_map(|component| match component {
                Component::Normal(name) => name.to_str().and_then(Folder::of_name),
                _ => None,
            });
            self.last = (parent.to_owned(), folder);
        }
        self.last.1
    }
}

/// Modification time in nanoseconds since 1970; 0 where the file system has none.
fn stamp(metadata: &fs::Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// Orders the entries of a directory so that a walk meets all paths in the order of their text: a directory counts with the `/` that follows its name.
fn by_text(a: &Found, b: &Found) -> Ordering {
    let (first, second) = (a.name.as_encoded_bytes(), b.name.as_encoded_bytes());
    let after = |found: &Found| found.is_dir().then_some(&b'/');
    match (after(a), after(b)) {
        (None, None) => first.cmp(second),
        (one, other) => first.iter().chain(one).cmp(second.iter().chain(other)),
    }
}

/// Files by the hash of their canonical path: 16 bytes each, so that two files share one by a chance of 1 in 10^25 among millions.
#[derive(Debug)]
struct Seen {
    listed: HashSet<[u64; 2]>,
    named: HashSet<[u64; 2]>,
}

impl Seen {
    fn is_new(&mut self, path: &Path) -> bool {
        self.listed.insert(identity(path))
    }

    fn is_named(&self, path: &Path) -> bool {
        !self.named.is_empty() && self.named.contains(&identity(path))
    }
}

fn identity(path: &Path) -> [u64; 2] {
    let canonical = fs::canonicalize(path);
    let path = canonical.as_deref().unwrap_or(path);
    [0_u8, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        half.hash(&mut hasher);
        path.hash(&mut hasher);
        hasher.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of files named by their paths below it.
    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        directory
    }

    /// What listing `sources`, paths below `root`, comes to: `+` before a named file, `-` before a skipped one, `!` before an unreadable one.
    fn listed(root: &Path, sources: &[&str]) -> Vec<String> {
        let full: Vec<String> = sources.iter().map(|source| root.join(source).to_str().unwrap().to_owned()).collect();
        let below = |location: &str| location.strip_prefix(root.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned();
        list(&full, &Reach::default())
            .unwrap()
            .map(|entry| match entry {
                Entry::File(file) => format!("{}{}", if file.named { "+" } else { "" }, below(&file.location)),
                Entry::Skipped { location, .. } => format!("-{}", below(&location)),
                Entry::Denied { prefix, .. } | Entry::Listed { folder: prefix, .. } => panic!("{prefix} is on no disk"),
                Entry::Unreadable { location, .. } => format!("!{}", below(&location)),
            })
            .collect()
    }

    #[test]
    fn a_directory_is_walked_in_order_and_knows_its_folders() {
        let root = directory(&[
            "b/2.json",
            "b/1.json.gz",
            "a/CloudTrail-Digest/x/d.json.gz",
            "a/CloudTrail/x.json.gz",
            "c/CloudTrail-Insight/i.gz",
        ]);
        assert_eq!(
            listed(root.path(), &[""]),
            ["-a/CloudTrail-Digest/x/d.json.gz", "a/CloudTrail/x.json.gz", "b/1.json.gz", "b/2.json", "-c/CloudTrail-Insight/i.gz"]
        );
        // Who names such a folder wants it looked at.
        assert_eq!(listed(root.path(), &["a/CloudTrail-Digest"]), ["a/CloudTrail-Digest/x/d.json.gz"]);
    }

    #[test]
    fn a_walk_goes_by_the_text_of_whole_paths() {
        let root =
            directory(&["a/x", "a-1", "a.json", "a0", "a/CloudTrail-Digest/d", "a/CloudTrail/e", "a/b/CloudTrail-Digest/f", "a/b/g"]);
        assert_eq!(
            listed(root.path(), &[""]),
            ["a-1", "a.json", "-a/CloudTrail-Digest/d", "a/CloudTrail/e", "-a/b/CloudTrail-Digest/f", "a/b/g", "a/x", "a0"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_utf8_is_opened_all_the_same() {
        use std::io::Read;
        use std::os::unix::ffi::OsStrExt;

        let root = directory(&[]);
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"\xff.json")), "text").unwrap();
        let mut entries = list(&[root.path().to_str().unwrap().to_owned()], &Reach::default()).unwrap();
        let Some(Entry::File(file)) = entries.next() else { panic!("a file") };
        let mut text = String::new();
        file.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), file.location.ends_with("\u{fffd}.json")), ("text", true));
    }

    #[test]
    fn a_file_reached_twice_is_listed_once_and_counts_as_named_if_it_is_anywhere() {
        let root = directory(&["a/1", "a/2", "b/3"]);
        assert_eq!(listed(root.path(), &["a", "a/2", "a/../a/1", "b", "b/3"]), ["+a/../a/1", "+a/2", "+b/3"]);
        assert_eq!(listed(root.path(), &["a/*", "a"]), ["+a/1", "+a/2"]);
        assert_eq!(listed(root.path(), &["*"]), ["a/1", "a/2", "b/3"]);
        assert_eq!(listed(root.path(), &["**/[12]"]), ["+a/1", "+a/2"]);
    }

    #[test]
    fn a_path_that_exists_is_no_glob() {
        let root = directory(&["[1]", "1"]);
        assert_eq!(listed(root.path(), &["[1]"]), ["+[1]"]);
    }

    #[test]
    fn a_source_that_does_not_exist_is_missing() {
        let root = directory(&["a"]);
        let nowhere = if cfg!(feature = "cli") { "s3:///prefix" } else { "c" };
        for source in ["b", "a/b", "*.json", nowhere] {
            let source = if source.contains(':') { source.to_owned() } else { root.path().join(source).to_str().unwrap().to_owned() };
            let error = list(&["-".to_owned(), source.clone()], &Reach::default()).unwrap_err();
            assert_eq!(error.to_string(), format!("no such file or directory: `{source}`"));
        }
        let error = list(&["x/[".to_owned()], &Reach::default()).unwrap_err();
        assert_eq!(error.to_string(), "invalid glob `x/[`");
    }

    #[test]
    fn standard_input_is_listed_once() {
        let entries: Vec<Entry> = list(&["-".to_owned(), "-".to_owned()], &Reach::default()).unwrap().collect();
        assert!(matches!(entries.as_slice(), [Entry::File(file)] if *file == LogFile::stdin()));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_nothing_is_listed_twice_or_for_ever() {
        use std::os::unix::fs::symlink;

        let outside = directory(&["o/1", "o/p/2"]);
        let root = directory(&["a/1", "b/2"]);
        symlink("..", root.path().join("a/up")).unwrap();
        symlink("../b", root.path().join("a/b")).unwrap();
        symlink("1", root.path().join("a/one")).unwrap();
        symlink("nowhere", root.path().join("a/z")).unwrap();
        symlink(outside.path().join("o"), root.path().join("c")).unwrap();
        symlink(outside.path().join("o/p"), root.path().join("d")).unwrap();
        assert_eq!(listed(root.path(), &[""]), ["a/1", "!a/z", "b/2", "c/1", "c/p/2"]);
        assert_eq!(listed(root.path(), &["a/one", "a/1"]), ["+a/1"]);
    }
}
