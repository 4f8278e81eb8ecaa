//! The folders of fixes at a report's place: what they are called, and what earlier reports left there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::ReportError;
use super::folder::{Case, folder, folder_name, safe_name};
use super::place::{Claim, Place, Scratch, Written};
use crate::findings::{Finding, shown};
use crate::fixes::{Document, short_hash};
use crate::scan::Scan;

/// Where the folders of a report lie. Not below `fixes/`, which in hive layout is a table: Athena would read them as parts of it.
const ROOT: &str = "apply/";

/// Names the files that reports have written below their root: what the next one may remove.
const MANIFEST: &str = "packtrail-files.json";

/// Fixes of a finding that have a folder: its best.
pub(super) const FOLDERS_PER_FINDING: usize = 3;

/// Characters of the names of role and caller in the name of a folder.
const MOST_NAME_CHARS: usize = 40;

/// For each finding the name of its folder, `apply/<role>-<caller>-<hash>`: the same in every report, whatever else is found. None where it has no fix, and
/// with `redact`, since the files show what that hides.
pub(super) fn folder_names(scan: &Scan, findings: &[Finding], redact: bool) -> Vec<Option<String>> {
    let mut taken = BTreeSet::new();
    let name = |finding: &Finding| {
        let text = |name| scan.names.text(name).map(|text| text.to_string()).unwrap_or_default();
        let (role, caller) = (text(finding.role), text(finding.caller));
        let last = |arn: &str| safe_name(arn.rsplit(['/', ':']).next().unwrap_or_default(), MOST_NAME_CHARS);
        let who = if role.is_empty() { last(&caller) } else { format!("{}-{}", last(&role), last(&caller)) };
        let hash = short_hash(&[&role, &caller, finding.operation.name()].join("\n"));
        format!("{ROOT}{who}-{hash}")
    };
    findings
        .iter()
        .map(|finding| {
            if redact || finding.fixes.is_empty() || finding.asked.is_none() {
                return None;
            }
            let mut name = name(finding);
            while !taken.insert(name.clone()) {
                name.push('x');
            }
            Some(name)
        })
        .collect()
}

/// The folder of the fix of `rank`, from 1, below that of its finding; None beyond [`FOLDERS_PER_FINDING`].
pub(super) fn folder_of(finding_folder: Option<&str>, rank: usize, fix: &crate::fixes::Fix) -> Option<String> {
    finding_folder.filter(|_| rank <= FOLDERS_PER_FINDING).map(|parent| format!("{parent}/{}", folder_name(rank, fix)))
}

/// Files of folders that do not yet lie where they belong.
pub(super) struct Folders {
    root: &'static str,
    files: Vec<Written>,
    manifests: [Written; 2],
}

impl Folders {
    fn new(claim: &Path, root: &'static str) -> Folders {
        let manifest = |name: &str| Written { key: format!("{root}{MANIFEST}"), path: claim.join(name) };
        Folders { root, files: Vec::new(), manifests: [manifest("manifest~before"), manifest("manifest~after")] }
    }

    /// Writes the folders of a report into `claim`.
    pub(super) fn of_report(claim: &Path, scan: &Scan, findings: &[Finding], redact: bool) -> Result<Folders, ReportError> {
        let mut folders = Folders::new(claim, ROOT);
        for (finding, parent) in findings.iter().zip(folder_names(scan, findings, redact)) {
            let (Some(asked), Some(parent)) = (&finding.asked, parent) else { continue };
            let caller = shown(&scan.names, finding.caller, redact);
            let sizing = finding.sizing(scan);
            let case = Case { asked, caller: caller.as_deref(), sizing: &sizing, limit_name: finding.limit_name() };
            for (rank, fix) in (1..).zip(&finding.fixes) {
                let Some(name) = folder_of(Some(&parent), rank, fix) else { break };
                folders.write(claim, &name, &folder(case, fix))?;
            }
        }
        Ok(folders)
    }

    fn write(&mut self, claim: &Path, folder: &str, files: &[Document]) -> Result<(), ReportError> {
        for file in files {
            let key = format!("{folder}/{}", file.name);
            let path = claim.join(key.replace('/', "~"));
            write_file(&path, file.text.as_bytes())?;
            self.files.push(Written { key, path });
        }
        Ok(())
    }

    /// Puts the files where they belong, and away with those of earlier reports that are no longer among them; what no report wrote stays.
    pub(super) fn publish(&self, place: &Place) -> Result<(), ReportError> {
        let [before, after] = &self.manifests;
        let earlier = place.read(&after.key)?;
        let had = earlier.as_deref().map(|bytes| listed(bytes, self.root)).unwrap_or_default();
        let new: BTreeSet<String> = self.files.iter().map(|file| file.key.clone()).collect();
        // Listed before they are written: a run that is killed leaves no file that the next does not know of.
        let all: BTreeSet<String> = had.union(&new).cloned().collect();
        if all != had {
            write_file(&before.path, manifest(&all).as_bytes())?;
            place.put(before)?;
        }
        place.put_all(&self.files)?;
        for key in had.difference(&new) {
            place.delete(key)?;
        }
        if new.is_empty() {
            return if earlier.is_some() { place.delete(&after.key) } else { Ok(()) };
        }
        if all != new {
            write_file(&after.path, manifest(&new).as_bytes())?;
            place.put(after)?;
        }
        Ok(())
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|source| ReportError::Io { path: path.to_owned(), source })
}

fn manifest(keys: &BTreeSet<String>) -> String {
    format!("{:#}\n", json!({ "written_by": "packtrail", "files": keys }))
}

/// The files a manifest names, as far as they can be ours: two or three safe names below `root`.
fn listed(manifest: &[u8], root: &str) -> BTreeSet<String> {
    let Ok(manifest) = serde_json::from_slice::<Value>(manifest) else { return BTreeSet::new() };
    let ours = |key: &&str| {
        let names: Vec<&str> = key.strip_prefix(root).unwrap_or_default().split('/').collect();
        matches!(names.len(), 2 | 3) && names.iter().all(|name| safe_name(name, usize::MAX) == *name)
    };
    let files = manifest.get("files").and_then(Value::as_array).into_iter().flatten();
    files.filter_map(Value::as_str).filter(ours).map(str::to_owned).collect()
}

/// Writes `folders`, each a name and its files, below `place`: all of them or, where that fails before the first is in its place, none. Folders that an
/// earlier call wrote there and this one does not go.
///
/// # Errors
/// [`ReportError`] when a file cannot be written.
pub fn write_folders(place: &Place, folders: &[(String, Vec<Document>)], scratch: &Scratch) -> Result<(), ReportError> {
    let claim: Claim = place.claim(scratch)?;
    let mut all = Folders::new(&claim.path, "");
    let written = folders.iter().try_for_each(|(name, files)| all.write(&claim.path, name, files));
    let _held = claim.hold();
    written?;
    all.publish(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(names: &[&str]) -> Vec<Document> {
        names.iter().map(|name| Document { name: (*name).to_owned(), text: format!("{name}\n") }).collect()
    }

    fn keys(directory: &Path) -> Vec<String> {
        crate::trail::Store::disk(directory, false).unwrap().list("").unwrap()
    }

    #[test]
    fn folders_of_an_earlier_call_go_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::Directory(directory.path().to_owned());
        let write = |folders: &[(&str, &[&str])]| {
            let folders: Vec<_> = folders.iter().map(|(name, files)| ((*name).to_owned(), documents(files))).collect();
            write_folders(&place, &folders, &Scratch::default()).unwrap();
            keys(directory.path())
        };
        assert_eq!(write(&[]), [""; 0]);
        assert_eq!(write(&[("1-a", &["x", "y"]), ("2-b", &["x"])]), ["1-a/x", "1-a/y", "2-b/x", MANIFEST]);
        std::fs::write(directory.path().join("2-b/own"), "").unwrap();
        std::fs::create_dir(directory.path().join("3-c")).unwrap();
        std::fs::write(directory.path().join("3-c/x"), "").unwrap();
        assert_eq!(write(&[("1-a", &["x"])]), ["1-a/x", "2-b/own", "3-c/x", MANIFEST]);
        assert_eq!(write(&[]), ["2-b/own", "3-c/x"]);
        assert!(!directory.path().join("1-a").exists());
    }

    #[test]
    fn a_manifest_can_name_nothing_but_files_below_its_root() {
        let listed_of = |keys: &[&str], root| listed(json!({ "files": keys }).to_string().as_bytes(), root);
        let wrong = [
            "/etc/passwd",
            "../x/y",
            "apply/../../x",
            "apply/a/../x",
            "apply/x",
            "events.csv",
            "apply//x",
            "apply/a/b/c/d",
            "apply/.git/x",
        ];
        assert_eq!(listed_of(&wrong, ROOT), BTreeSet::new());
        assert_eq!(listed_of(&["../x", "a", "/a/b", ".git/config"], ""), BTreeSet::new());
        assert_eq!(listed_of(&["apply/a-1/1-b/README.md"], ROOT).len(), 1);
        assert_eq!(listed(b"no manifest", ROOT), BTreeSet::new());
    }
}
