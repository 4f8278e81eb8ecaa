use super::*;
use tables::{CALLS as CALL_COLUMNS, Columns, OBJECTS as OBJECT_COLUMNS, REQUESTS as REQUEST_COLUMNS};

/// The columns that a table of `docs/state.md` lists under a heading.
fn documented(heading: &str) -> Vec<(String, String)> {
    let page = include_str!("../../docs/state.md");
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        (cells.next().unwrap().trim_matches('`').to_owned(), cells.next().unwrap().to_owned())
    })
    .collect()
}

#[test]
fn the_page_on_the_format_lists_every_column() {
    let listed = |columns: Columns| columns.iter().map(|(name, kind)| ((*name).to_owned(), kind.name().to_owned())).collect::<Vec<_>>();
    assert_eq!(documented("calls"), listed(CALL_COLUMNS));
    assert_eq!(documented("objects"), listed(OBJECT_COLUMNS));
    assert_eq!(documented("requests"), listed(REQUEST_COLUMNS));
}

#[test]
fn the_page_on_the_format_lists_every_member_of_the_manifest() {
    let page = include_str!("../../docs/state.md");
    let bytes = Manifest::default().bytes().unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for name in manifest["state"].as_object().unwrap().keys() {
        assert!(page.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`{name}`"))), "{name}");
    }
    assert!(page.contains(&format!("`packtrail-state`, {VERSION} |")));
    let settings = Settings::default();
    assert_eq!((settings.calls, settings.objects, settings.request_bytes, settings.every.as_secs()), (50_000, 100_000, 32 << 20, 60));
    assert_eq!((settings.segments, settings.segment_rows / 2, settings.request_segments, OVERLAP_DAYS), (4, 50_000, 32, 3));
}

#[test]
fn the_names_of_files_tell_whose_they_are() {
    let run = |key: &str| Written::parse(key).map(|written| (written.run, written.temporary));
    assert_eq!(run("calls/day=2026-09-15/000017-9f3a2c1d-000003.parquet"), Some((17, false)));
    assert_eq!(run("requests/1000017-9f3a2c1d-000003.parquet"), Some((1_000_017, false)));
    assert_eq!(run("objects/day=none/.000017-9f3a2c1d-000003.parquet.4711.tmp"), Some((17, true)));
    assert_eq!(run(".manifest.json.4711.tmp"), Some((0, true)));
    for foreign in [
        "manifest.json",
        "lock",
        "calls/000017-9f3a2c1d-000003.parquet",
        "calls/day=2026-09-15/events.parquet",
        "calls/day=1/x/000017-9f3a2c1d-000003.parquet",
        "other/000017-9f3a2c1d-000003.parquet",
        "requests/000017-9f3a2c1d.parquet",
        "notes.tmp",
    ] {
        assert_eq!(run(foreign), None, "{foreign}");
    }
}
