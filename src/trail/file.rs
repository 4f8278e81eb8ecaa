use std::fs::File;
use std::io::{self, Read, Stdin};
use std::path::{Path, PathBuf};

use super::s3::{Body, Fetched};

/// One log file, not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// The file as the user would name it: the path below the source as given, `-` for standard input.
    pub location: String,
    /// Named on the command line, by its path, by a glob or as `-`, rather than met in a walked directory: a named file that is no CloudTrail log is
    /// unreadable, one that was met is skipped.
    pub named: bool,
    /// Size on disk in bytes when it was listed; `None` for what has no size beforehand (standard input, pipes).
    pub bytes: Option<u64>,
    /// Tells versions of a file with the same location and size apart: modification time in nanoseconds on disk, the start of the ETag in S3; 0 when not known.
    pub stamp: u64,
    content: Where,
}

/// Where the bytes of a log file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Where {
    Stdin,
    /// The path where the location does not tell it, because it is not UTF-8.
    Disk(Option<PathBuf>),
    /// None before it was asked for.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "nothing is listed in S3"))]
    S3(Option<Fetched>),
}

impl LogFile {
    /// Standard input.
    pub fn stdin() -> LogFile {
        LogFile { location: "-".to_owned(), named: true, bytes: None, stamp: 0, content: Where::Stdin }
    }

    /// The file at `path`, whose name for people is that path.
    pub fn at(path: PathBuf, named: bool, bytes: Option<u64>, stamp: u64) -> LogFile {
        let (location, path) = match path.into_os_string().into_string() {
            Ok(location) => (location, None),
            Err(path) => (path.to_string_lossy().into_owned(), Some(PathBuf::from(path))),
        };
        LogFile { location, named, bytes, stamp, content: Where::Disk(path) }
    }

    /// A key in S3 as it was listed.
    #[cfg(feature = "cli")]
    pub(super) fn listed(location: String, named: bool, bytes: u64, stamp: u64) -> LogFile {
        LogFile { location, named, bytes: Some(bytes), stamp, content: Where::S3(None) }
    }

    /// The same with its content.
    #[cfg(feature = "cli")]
    pub(super) fn fetched(self, content: Fetched) -> LogFile {
        LogFile { content: Where::S3(Some(content)), ..self }
    }

    /// Opens the file for reading from its start. A file in S3 can be opened once: its content is kept no longer than it is read.
    ///
    /// # Errors
    ///
    /// What the operating system or S3 says, without the file's name: the caller knows its location.
    pub fn open(&self) -> io::Result<Content> {
        match &self.content {
            Where::Stdin => Ok(Content::Stdin(io::stdin())),
            Where::S3(content) => content.as_ref().ok_or_else(|| io::Error::other("not fetched"))?.open().map(Content::S3),
            Where::Disk(path) => {
                let path = path.as_deref().unwrap_or(Path::new(&self.location));
                // Opening a directory works on Unix and fails on the first read with a message nobody understands.
                if self.bytes.is_none() && path.is_dir() {
                    return Err(io::Error::from(io::ErrorKind::IsADirectory));
                }
                Ok(Content::Disk(Disk { file: File::open(path)?, left: self.bytes, ended: false }))
            }
        }
    }
}

/// The bytes of an opened log file, in order.
///
/// Read, not mapped: reading into a buffer that is used again takes a third of the time of mapping for
/// small files; for large ones mapping saves a fifth of the time of reading, which is lost in the time of
/// inflating (`benches/read.rs`), and a mapped file that another program cuts short ends the process.
#[derive(Debug)]
pub enum Content {
    /// A file or a named pipe.
    Disk(Disk),
    /// Standard input.
    Stdin(Stdin),
    /// An object in S3.
    S3(Body),
}

/// An opened file on disk.
#[derive(Debug)]
pub struct Disk {
    file: File,
    /// Bytes that were listed and not yet read; None where that is not known, or the file has more.
    left: Option<u64>,
    /// When the last of them came there was room for more: to ask once more is one call to the system more for each small file.
    ended: bool,
}

impl Read for Disk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let bytes = self.file.read(buffer)?;
        self.left = self.left.and_then(|left| left.checked_sub(bytes as u64));
        self.ended = self.left == Some(0) && bytes < buffer.len();
        Ok(bytes)
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Disk(file) => file.read(buffer),
            Content::Stdin(stdin) => stdin.read(buffer),
            Content::S3(body) => body.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_end_whatever_size_it_was_listed_with() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 100]).unwrap();
        for listed in [None, Some(0), Some(1), Some(60), Some(99), Some(100), Some(101), Some(1000)] {
            for room in [1, 30, 60, 99, 100, 101, 1000] {
                let mut content = LogFile::at(file.path().to_owned(), true, listed, 0).open().unwrap();
                let (mut buffer, mut read) = (vec![0; room], Vec::new());
                loop {
                    match content.read(&mut buffer).unwrap() {
                        0 => break,
                        bytes => read.extend_from_slice(&buffer[..bytes]),
                    }
                }
                assert_eq!(read, [7; 100], "{listed:?} {room}");
            }
        }
    }
}
