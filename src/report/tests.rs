use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::fixes::Advice;
use crate::packing::Profile;
use crate::scan::{Filter, scan};
use crate::trail::{self, Reach, Store};

/// Writes the report of the samples' calls before `until` and returns the folder it was written in until it was whole.
fn report(place: Place, formats: &[Format], layout: Layout, until: Option<i64>) -> (Result<(), ReportError>, PathBuf) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").to_string_lossy().into_owned();
    let listing = trail::list(&[samples], &Reach::default()).unwrap();
    let report = Report::open(place, formats, layout, &Scratch::default()).unwrap();
    let folder = report.claim.path.clone();
    assert!(folder.exists());
    let scan = scan(listing, &Filter { until, ..Filter::default() }, Profile::builtin(), &|_| ());
    let findings = crate::findings::findings(&scan, until, &[], &Advice::default());
    (report.write(&scan, &findings, &|| "{}\n".to_owned(), false), folder)
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let store = Store::disk(directory, false).unwrap();
    let keys = store.list("").unwrap();
    keys.into_iter().map(|key| (key.clone(), fs::read(directory.join(&key)).unwrap())).collect()
}

#[test]
fn a_store_gets_the_files_that_a_directory_gets_and_loses_the_partitions_it_no_longer_has() {
    let august = Some(1_785_715_200); // 2026-08-03
    for (formats, layout) in [(&[Format::Csv, Format::Json][..], Layout::Flat), (&[Format::Parquet], Layout::Hive)] {
        let (directory, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut counts = Vec::new();
        for until in [None, august] {
            fs::create_dir_all(bucket.path().join("daily/day=2026-09-01")).unwrap();
            fs::write(bucket.path().join("daily/day=2026-09-01/own.parquet"), "not packtrail's").unwrap();
            let (written, _) = report(Place::Directory(directory.path().to_owned()), formats, layout, until);
            written.unwrap();
            let (written, folder) = report(Place::Store(Store::disk(bucket.path(), false).unwrap()), formats, layout, until);
            written.unwrap();
            assert!(!folder.exists() && !folder.starts_with(bucket.path()), "{}", folder.display());
            let mut uploaded = files(bucket.path());
            assert!(uploaded.remove("daily/day=2026-09-01/own.parquet").is_some());
            assert!(uploaded == files(directory.path()), "{:?}", uploaded.keys());
            counts.push(uploaded.keys().filter(|key| !key.starts_with("apply/")).count());
            assert!(
                uploaded.contains_key("apply/packtrail-files.json")
                    && !uploaded.keys().any(|key| key.starts_with("fixes/") && key.ends_with("md"))
            );
        }
        if layout == Layout::Hive {
            assert!(counts[0] > 150 && counts[1] == 2 * 19 + 3, "{counts:?}");
        } else {
            assert_eq!(counts, [9, 9]);
        }
    }
}

#[test]
fn folders_that_a_store_no_longer_has_go_and_the_others_of_an_earlier_report_with_them() {
    let bucket = tempfile::tempdir().unwrap();
    let write = |until| report(Place::Store(Store::disk(bucket.path(), false).unwrap()), &[Format::Csv], Layout::Flat, until).0.unwrap();
    write(None);
    let all = files(bucket.path()).into_keys().filter(|key| key.starts_with("apply/")).count();
    fs::write(bucket.path().join("apply/own"), "not packtrail's").unwrap();
    // Before the first call there is no finding.
    write(Some(0));
    let left: Vec<String> = files(bucket.path()).into_keys().filter(|key| key.starts_with("apply/")).collect();
    assert!(all > 20 && left == ["apply/own"], "{all} {left:?}");
}

#[test]
fn the_summary_is_not_put_before_every_table_is() {
    let bucket = tempfile::tempdir().unwrap();
    fs::create_dir(bucket.path().join("fixes.csv")).unwrap();
    let (written, folder) = report(Place::Store(Store::disk(bucket.path(), false).unwrap()), &[Format::Csv], Layout::Flat, None);
    assert!(matches!(written, Err(ReportError::Store(_))), "{written:?}");
    assert!(!bucket.path().join("summary.json").exists() && !folder.exists());
}
