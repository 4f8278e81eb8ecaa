//! Where CloudTrail puts its files:
//! `[prefix/]AWSLogs/[o-orgid/]account/CloudTrail/region/YYYY/MM/DD/account_CloudTrail_region_YYYYMMDDTHHmmZ_16chars.json.gz`.
//!
//! Source: AWS CloudTrail user guide, "Finding your CloudTrail log files".

use chrono::{Datelike, NaiveDate, NaiveDateTime};

/// Days since 1970-01-01 UTC.
pub type Day = i32;

/// What the location of a log file tells when it follows CloudTrail's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Everything up to and with the region: `s3://bucket/AWSLogs/111122223333/CloudTrail/us-east-1/`.
    pub folder: &'a str,
    /// The account whose log it is, 12 digits: `recipientAccountId` of its records.
    pub account: &'a str,
    /// The region whose log it is: `awsRegion` of its records.
    pub region: &'a str,
    /// The day of delivery, by the folders; no event in the file is of a later day.
    pub day: Day,
    /// The time of delivery by the file's name, seconds since 1970-01-01 UTC; None where the name does not tell.
    pub time: Option<i64>,
}

/// Reads CloudTrail's layout off a location (a path, or `s3://` with bucket and key). None where it does not follow the layout, or holds no management events.
pub fn delivery(location: &str) -> Option<Delivery<'_>> {
    let (folders, name) = location.rsplit_once('/')?;
    let (account, region, folder) = region_folder(location)?;
    let mut days = folders.get(folder.len()..)?.split('/');
    let (year, month, day) = (days.next()?, days.next()?, days.next()?);
    if days.next().is_some() {
        return None;
    }
    let number =
        |text: &str, digits: usize| (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(year, 4)?).ok()?, number(month, 2)?, number(day, 2)?)?;
    let time =
        name.split('_').find_map(|part| NaiveDateTime::parse_from_str(part, "%Y%m%dT%H%MZ").ok()).map(|time| time.and_utc().timestamp());
    Some(Delivery { folder, account, region, day: day_of(date), time })
}

/// The account, the region and the folder of the region (up to and with its `/`) that `path` lies in or is; None where it lies in none.
///
/// `account/CloudTrail/` may also be part of a prefix that the trail's owner chose: what follows must look like a region, and the last such place counts.
pub(super) fn region_folder(path: &str) -> Option<(&str, &str, &str)> {
    let mut end = path.len();
    loop {
        let at = path.get(..end)?.rfind("/CloudTrail/")?;
        let account = path.get(..at)?.rsplit('/').next()?;
        let below = at + "/CloudTrail/".len();
        if let Some((region, _)) = path.get(below..)?.split_once('/')
            && is_account(account)
            && is_region(region)
        {
            return Some((account, region, path.get(..below + region.len() + 1)?));
        }
        end = at;
    }
}

/// Whether `text` has the form of a region's name: `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    text.rsplit_once('-')
        .is_some_and(|(names, number)| number.parse::<u8>().is_ok() && names.contains('-') && names.split('-').all(letters))
}

/// Whether `text` is an account id: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The folders of a day, `YYYY/MM/DD`; None beyond the calendar.
#[cfg(feature = "cli")]
pub(super) fn day_folders(day: Day) -> Option<String> {
    let date = NaiveDate::default().checked_add_signed(chrono::TimeDelta::try_days(day.into())?)?;
    (0..=9999).contains(&date.year()).then(|| date.format("%Y/%m/%d").to_string())
}

fn day_of(date: NaiveDate) -> Day {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivered_file_tells_its_account_region_day_and_minute() {
        let location = "s3://trail/x/AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/2026/09/15/111122223333_CloudTrail_us-east-1_20260915T0005Z_0123456789abcdef.json.gz";
        let found = delivery(location).unwrap();
        assert_eq!(found.folder, "s3://trail/x/AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/");
        assert_eq!((found.account, found.region), ("111122223333", "us-east-1"));
        assert_eq!(i64::from(found.day) * 86_400, 1_789_430_400);
        assert_eq!(found.time, Some(1_789_430_400 + 300));
    }

    #[test]
    fn other_layouts_tell_nothing() {
        for location in [
            "a.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/09/15/x.json.gz",
            "s3://b/AWSLogs/11112222333/CloudTrail/us-east-1/2026/09/15/x.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/2026/13/15/x.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/2026/09/15/12/x.json.gz",
            "s3://b/111122223333/CloudTrail/AWSLogs/2026/09/15/x.json.gz",
        ] {
            assert_eq!(delivery(location), None, "{location}");
        }
    }

    #[test]
    fn a_prefix_that_looks_like_the_layout_is_not_taken_for_it() {
        let location = "s3://b/111122223333/CloudTrail/AWSLogs/444455556666/CloudTrail/us-gov-west-1/2026/09/15/x.json.gz";
        let found = delivery(location).unwrap();
        assert_eq!((found.account, found.region), ("444455556666", "us-gov-west-1"));
        assert_eq!(found.folder, "s3://b/111122223333/CloudTrail/AWSLogs/444455556666/CloudTrail/us-gov-west-1/");
        // Every folder from the region's down tells the same.
        for (at, _) in location.match_indices('/').filter(|&(at, _)| at + 1 >= found.folder.len()) {
            assert_eq!(region_folder(&location[..=at]), Some(("444455556666", "us-gov-west-1", found.folder)));
        }
    }
}
